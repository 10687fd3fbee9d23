"""This module reads a run's tables into the arrays that the figures and the page draw.

The tables may come from a fold in process, from the log or from Parquet files: anything with ``table(name) -> pyarrow.Table``
and the columns of projections/tables.py, or a mapping of such tables. A missing table counts as empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from reports import words
from schemas.market_data import FloatArray, TimeArray
from schemas.times import parse_time

Statistic = float | str | None


class Tables(Protocol):
    """The rows of one run, by table."""

    def table(self, name: str) -> pa.Table:
        """Return one table of projections/tables.py."""
        ...


@dataclass(frozen=True, slots=True)
class Curve:
    """The equity marks: arrays of one length, ascending in time. Drawdown is a fraction <= 0 at full resolution of bars."""

    time_ns: TimeArray
    equity: FloatArray
    exposure: FloatArray
    drawdown: FloatArray

    def __len__(self) -> int:
        return len(self.time_ns)


@dataclass(frozen=True, slots=True)
class Fills:
    """Executions; ``is_buy`` tells the side."""

    time_ns: TimeArray
    symbol: NDArray[np.object_]
    is_buy: NDArray[np.bool_]
    quantity: FloatArray
    price: FloatArray

    def __len__(self) -> int:
        return len(self.time_ns)


@dataclass(frozen=True, slots=True)
class Trades:
    """Closed positions, flat to flat. ``return_fraction`` is NaN where it is undefined."""

    symbol: NDArray[np.object_]
    is_long: NDArray[np.bool_]
    quantity: FloatArray
    opened_ns: TimeArray
    closed_ns: TimeArray
    bars_held: NDArray[np.int64]
    open_price: FloatArray
    close_price: FloatArray
    pnl: FloatArray
    return_fraction: FloatArray

    def __len__(self) -> int:
        return len(self.pnl)


@dataclass(frozen=True, slots=True)
class Months:
    """Equity at the end of calendar months in UTC: ``number`` counts months since 1970-01, ascending."""

    number: NDArray[np.int64]
    equity: FloatArray

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True, slots=True)
class SymbolResult:
    """What the closed positions of one symbol came to; what is undefined is None."""

    symbol: str
    trades: int
    win_rate: float | None
    profit_factor: float | None
    realized_pnl: float
    commission: float


@dataclass(frozen=True, slots=True)
class RunView:
    """One run, as it is drawn. ``run`` is its row of ``backtests``: times are int64 ns, ``spec`` is JSON text."""

    run: dict[str, Any]
    curve: Curve
    fills: Fills
    trades: Trades
    statistics: dict[str, Statistic]
    months: Months  # exact where the run has completed, else from the equity marks
    by_symbol: tuple[SymbolResult, ...] = ()

    @property
    def backtest_id(self) -> str:
        return str(self.run["backtest_id"])

    @property
    def currency(self) -> str:
        return self.run["currency"] or ""

    @property
    def initial_cash(self) -> float | None:
        cash = self.run["initial_cash"]
        return None if cash is None else float(cash)

    @property
    def symbols(self) -> list[str]:
        return list(self.run["symbols"])

    def moment(self, name: str) -> int | None:
        """Return a statistic that is a time: nanoseconds, or RFC 3339 as tables hold it."""
        value = self.statistics.get(name)
        return parse_time(value) if isinstance(value, str) else None if value is None else int(value)

    @property
    def has_whole_days(self) -> bool:
        """Tell whether no bar is shorter than a day: then the clock in its time says nothing."""
        return str(self.run["timeframe"] or "").endswith(("d", "w"))

    def time(self, time_ns: float) -> str:
        """Return a market time as it is read: a date where bars are days."""
        return words.date(time_ns) if self.has_whole_days else words.time(time_ns)


def view_of(tables: Tables | Mapping[str, pa.Table]) -> RunView:
    """Return what there is to draw. Raises ValueError unless the tables hold exactly one run."""
    source = _Mapped(tables) if isinstance(tables, Mapping) else tables
    runs = source.table("backtests")
    if runs.num_rows != 1:
        raise ValueError(f"the tables of one run are needed: backtests has {runs.num_rows} rows")
    curve = _curve(source.table("equity"))
    return RunView(
        run=_row(runs),
        curve=curve,
        fills=_fills(source.table("fills")),
        trades=_trades(source.table("trades")),
        statistics=_statistics(source.table("statistics")),
        months=_months(source.table("monthly_returns"), curve),
        by_symbol=_by_symbol(source.table("symbol_statistics")),
    )


class _Mapped:
    """A mapping of tables as ``Tables``: what it does not have is empty."""

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self._tables = tables

    def table(self, name: str) -> pa.Table:
        return self._tables.get(name, pa.table({}))


def _row(table: pa.Table) -> dict[str, Any]:
    row = {}
    for name in table.column_names:
        column = table.column(name)
        row[name] = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column)[0].as_py()
    return row


def _curve(table: pa.Table) -> Curve:
    return Curve(
        time_ns=_times(table, "time"),
        equity=_numbers(table, "equity"),
        exposure=_numbers(table, "exposure"),
        drawdown=_numbers(table, "drawdown"),
    )


def _fills(table: pa.Table) -> Fills:
    return Fills(
        time_ns=_times(table, "time"),
        symbol=_texts(table, "symbol"),
        is_buy=_texts(table, "side") == "buy",
        quantity=_numbers(table, "quantity"),
        price=_numbers(table, "price"),
    )


def _trades(table: pa.Table) -> Trades:
    return Trades(
        symbol=_texts(table, "symbol"),
        is_long=_texts(table, "side") == "buy",
        quantity=_numbers(table, "quantity"),
        opened_ns=_times(table, "opened_at"),
        closed_ns=_times(table, "closed_at"),
        bars_held=_numbers(table, "bars_held").astype(np.int64),
        open_price=_numbers(table, "average_price"),
        close_price=_numbers(table, "average_close"),
        pnl=_numbers(table, "realized_pnl"),
        return_fraction=_numbers(table, "return_fraction"),
    )


def _statistics(table: pa.Table) -> dict[str, Statistic]:
    if not table.num_rows:
        return {}
    names, values, texts = (table.column(name).to_pylist() for name in ("name", "value", "text"))
    return {name: text if text is not None else value for name, value, text in zip(names, values, texts, strict=True)}


def _months(table: pa.Table, curve: Curve) -> Months:
    if table.num_rows:
        numbers = _texts(table, "month").astype("datetime64[M]").astype(np.int64)
        return Months(numbers, _numbers(table, "equity"))
    return month_ends(curve)


def month_ends(curve: Curve) -> Months:
    """Return the last mark of each month that has one: what can be said of a run that has not completed."""
    month_of = curve.time_ns.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    lasts = np.flatnonzero(np.append(month_of[1:] != month_of[:-1], True)) if len(curve) else np.zeros(0, dtype=np.int64)
    return Months(month_of[lasts], curve.equity[lasts])


def _by_symbol(table: pa.Table) -> tuple[SymbolResult, ...]:
    names = ("symbol", "trades", "win_rate", "profit_factor", "realized_pnl", "commission")
    if not table.num_rows:
        return ()
    return tuple(SymbolResult(**row) for row in table.select(names).to_pylist())


def _times(table: pa.Table, name: str) -> TimeArray:
    if not table.num_rows:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(table.column(name).cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64()).to_numpy(), dtype=np.int64)


def _numbers(table: pa.Table, name: str) -> FloatArray:
    if not table.num_rows:
        return np.zeros(0, dtype=np.float64)
    return np.asarray(table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _texts(table: pa.Table, name: str) -> NDArray[np.object_]:
    if not table.num_rows:
        return np.zeros(0, dtype=np.object_)
    return np.asarray(table.column(name).cast(pa.string()).to_numpy(zero_copy_only=False), dtype=np.object_)
