"""This module is what a run in process returns: its commits, and everything that follows from them, made when it is asked for."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.commit import decode_commit
from schemas.events import BacktestCompleted
from schemas.ids import sha256
from schemas.market_data import Bars

if TYPE_CHECKING:  # pandas alone takes half of a second, the fold a quarter: whoever asks for a frame or a table waits for them
    import pandas as pd
    import pyarrow as pa

    from projections.fold import RunTables
    from reports.figures import Picture


class Result:
    """One finished run. Frames are made anew from the commits' fold on first use; change them as you like.

    commits : the log's bytes, as a worker would have appended them; an iterator is read when the log is first needed
    backtest_id, statistics : of a run that completed, where they are known before its log is read
    """

    def __init__(
        self,
        commits: Iterable[bytes],
        bars: tuple[Bars, ...] = (),
        *,
        backtest_id: str | None = None,
        statistics: Mapping[str, Any] | None = None,
    ) -> None:
        self._given = commits
        self._bars = bars
        self._backtest_id = backtest_id
        self._statistics = statistics

    # --- the log ---

    @cached_property
    def commits(self) -> tuple[bytes, ...]:
        """The log: one encoded commit after another."""
        commits = tuple(self._given)
        assert commits, "a run has commits"
        return commits

    @property
    def backtest_id(self) -> str:
        return self._backtest_id or decode_commit(self.commits[0]).backtest_id

    @property
    def status(self) -> str:
        is_completed = isinstance(decode_commit(self.commits[-1]).events[-1], BacktestCompleted)
        return "completed" if is_completed else str(self._row["status"])

    @cached_property
    def chain_head(self) -> str:
        """SHA-256 of the last commit: equal heads, equal logs."""
        return sha256(self.commits[-1])

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The recorded spec: every default explicit."""
        return dict(decode_commit(self.commits[0]).events[0].spec)  # type: ignore[union-attr]

    @cached_property
    def events(self) -> "pd.DataFrame":
        """One row per event: sequence, time (market time, UTC), type, commit, order_id, symbol, and its fields as a dict."""
        from backtape.event_frame import event_frame

        return event_frame(self.commits)

    # --- the fold ---

    @cached_property
    def tables(self) -> "RunTables":
        """All rows, in the same columns as in SQL and Parquet."""
        from projections.fold import fold_run

        return fold_run(self.commits)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many events, orders, fills and trades there were."""
        last = decode_commit(self.commits[-1])
        end = last.events[-1]
        if isinstance(end, BacktestCompleted):
            return {"events": last.last_sequence, "orders": end.orders, "fills": end.fills, "trades": end.trades}
        rows = {name: self.tables.table(name).num_rows for name in ("orders", "fills", "trades")}
        return {"events": last.last_sequence, **rows}

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """The statistics by name; None where undefined, nothing at all of a run that did not complete."""
        if self._statistics is not None:
            return dict(self._statistics)
        last = decode_commit(self.commits[-1]).events[-1]
        return dict(last.statistics) if isinstance(last, BacktestCompleted) else {}

    @cached_property
    def stats(self) -> "pd.Series[Any]":
        """The statistics as a series. docs/statistics.md explains each."""
        import pandas as pd

        return pd.Series(list(self.statistics.values()), index=list(self.statistics), name=self.backtest_id, dtype=object)

    @cached_property
    def trades(self) -> "pd.DataFrame":
        """One row per closed position, flat to flat."""
        return self._frame("trades")

    def trades_by(self, method: str) -> "pd.DataFrame":
        """One row per closed trade from the same fills: "fifo", "lifo" or "flat_to_flat"."""
        from backtape.trade_frame import trade_frame

        return trade_frame(self.commits, method)

    @cached_property
    def fills(self) -> "pd.DataFrame":
        """One row per execution."""
        return self._frame("fills")

    @cached_property
    def orders(self) -> "pd.DataFrame":
        """One row per order, in its last state."""
        return self._frame("orders")

    @cached_property
    def positions(self) -> "pd.DataFrame":
        """One row per position, in its last state."""
        return self._frame("positions")

    @cached_property
    def position_history(self) -> "pd.DataFrame":
        """One row per change of a position."""
        return self._frame("position_history")

    @cached_property
    def account_events(self) -> "pd.DataFrame":
        """One row per funding, borrow cost, dividend, split and margin call."""
        return self._frame("account_events")

    @cached_property
    def equity(self) -> "pd.DataFrame":
        """Equity, cash, exposure and drawdown by time."""
        return self._frame("equity").drop(columns="mark").set_index("time")

    @cached_property
    def _row(self) -> dict[str, Any]:
        return dict(self.tables.table("backtests").select(["backtest_id", "status", "strategy"]).to_pylist()[0])

    def _frame(self, name: str) -> "pd.DataFrame":
        return frame_of(self.tables.table(name).drop_columns(["backtest_id"]))

    # --- pictures ---

    def plot(self, path: str | Path | None = None, *, kind: str = "overview") -> "Picture":
        """Draw the overview, or equity, trades, monthly_returns, trade_pnl, exposure; write it as PNG where a path is given.

        The picture is a matplotlib Figure that notebooks show by themselves; pyplot is not touched.
        """
        from reports.axes import Scene
        from reports.figures import picture
        from reports.view import view_of

        made = picture(Scene(view_of(self.tables), self._bars), kind)
        if path is not None:
            Path(path).write_bytes(made.png())
        return made

    def report(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write the report: one HTML file that needs nothing else, no network either."""
        from reports.page import report_from_tables

        target = Path(path)
        target.write_text(report_from_tables(self.tables, self._bars, title=title), encoding="utf-8")
        return target

    def __repr__(self) -> str:
        return (
            f"<Result {self.backtest_id}: {self._row['strategy']}, {self.status}, {len(self.fills):,} fills, "
            f"{len(self.trades):,} trades, head {self.chain_head[:12]}…>"
        )


def frame_of(table: "pa.Table") -> "pd.DataFrame":
    """Return a table as a frame: UTC times, words as categories, whole numbers whole also where some are missing."""
    import pandas as pd
    import pyarrow as pa

    frame = pd.DataFrame(table.to_pandas(date_as_object=False))
    for field in table.schema:
        if pa.types.is_integer(field.type) and field.nullable:
            values = table.column(field.name).combine_chunks()
            frame[field.name] = pd.array(values.to_pylist(), dtype="Int64")
    return frame
