"""This module folds the life cycle of a run into its row of ``backtests`` and its rows of ``statistics``."""

import json
import re
from operator import attrgetter
from typing import Any

import msgspec

from projections.errors import FoldError
from projections.forms import Row
from projections.rows import Rows
from projections.source import Source
from projections.tables import BACKTESTS, changing
from schemas.commit import Head
from schemas.events import (
    BacktestAccepted,
    BacktestCancelled,
    BacktestCompleted,
    BacktestFailed,
    BacktestImported,
    BacktestProgressed,
    BacktestStarted,
)
from schemas.ids import Digest
from schemas.run_state import RunStatus
from schemas.times import format_time, parse_time

MAX_WORDS = 100_000  # characters; what an index of words takes is ten times as much
_NOT_WORD = re.compile(r"[\W_]+")

# Statistics that have a column of their own, under the same name.
RESULT_COLUMNS = (
    "total_return", "cagr", "volatility", "sharpe", "sortino", "max_drawdown", "calmar", "win_rate", "profit_factor", "sqn",
)  # fmt: skip


# What is known of each symbol's trades, in the order of the columns of ``symbol_statistics``.
SYMBOL_COLUMNS = ("trades", "win_rate", "profit_factor", "realized_pnl", "gross_pnl", "commission")


class BacktestState(msgspec.Struct):
    """One row of ``backtests``; fields are named as its columns. ``fixed`` is what no later event changes."""

    backtest_id: str
    records_orders: bool
    initial_cash: float | None
    status: str
    last_number: int
    last_sequence: int
    chain_head: str
    fixed: Row | None = None  # None where the row exists already
    dataset_version: int | None = None
    data_digest: str | None = None
    first_bar: int | None = None
    last_bar: int | None = None
    bars: int | None = None
    bars_done: int = 0
    equity: float | None = None
    orders: int = 0
    fills: int = 0
    trades: int = 0
    started_at: int | None = None
    finished_at: int | None = None
    final_equity: float | None = None
    total_return: float | None = None
    cagr: float | None = None
    volatility: float | None = None
    sharpe: float | None = None
    sortino: float | None = None
    max_drawdown: float | None = None
    calmar: float | None = None
    win_rate: float | None = None
    profit_factor: float | None = None
    sqn: float | None = None
    failure_reason: str | None = None
    failure_detail: str | None = None
    cancel_reason: str | None = None
    cancel_command_id: str | None = None
    last_mark: int = 0
    is_new: bool = False
    is_touched: bool = False

    @property
    def head(self) -> Head:
        return Head(number=self.last_number, sequence=self.last_sequence, digest=Digest(self.chain_head))

    @property
    def is_finished(self) -> bool:
        return RunStatus(self.status).is_finished

    def row(self) -> Row:
        assert self.fixed is not None, "a new row knows its fixed columns"
        return (self.backtest_id, *self.fixed, *_CHANGING(self))

    def change(self) -> Row:
        return (self.backtest_id, *_CHANGING(self))


_CHANGING = attrgetter(*changing(BACKTESTS))


def accepted(backtest_id: str, event: BacktestAccepted, source: Source) -> BacktestState:
    """Return the state of a run that was just accepted."""
    spec = event.spec
    try:
        data, account = spec["data"], spec["account"]
        records_orders = bool(spec["recording"]["orders"])
        fixed = (
            "run", event.command_id, parse_time(event.issued_at), event.submitter, event.priority, list(spec["tags"]),
            spec["strategy"]["name"], data["dataset"], list(data["symbols"]), _words(
                backtest_id, spec["strategy"]["name"], data["dataset"], *data["symbols"], event.submitter, *spec["tags"]
            ), data["timeframe"],
            account["currency"], float(account["cash"]), json_text(spec), event.spec_digest, event.submitted_digest,
            None, None, records_orders, source.recorded_ns, source.log_id, source.partition, source.offset,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise FoldError(f"the recorded spec has no usable {error}") from error
    cash = float(account["cash"])
    return _new(backtest_id, records_orders=records_orders, initial_cash=cash, fixed=fixed, status=RunStatus.QUEUED)


def imported(backtest_id: str, event: BacktestImported, source: Source) -> BacktestState:
    """Return the state of a result that was brought in: what its document says, and as its numbers those that it reports."""
    result = event.result
    try:
        strategy, symbols, tags = result["strategy"]["name"], list(result["symbols"]), list(result["tags"])
        cash, final_equity = float(result["initial_cash"]), result["final_equity"]
        fixed: Row = (
            "imported", event.command_id, parse_time(event.issued_at), event.submitter, 0, tags,
            strategy, None, symbols, _words(backtest_id, strategy, *symbols, event.submitter, *tags), result["timeframe"],
            result["currency"], cash, None, None, event.content_digest,
            json_text(result), event.manifest_digest, False, source.recorded_ns, source.log_id, source.partition, source.offset,
        )  # fmt: skip
        state = _new(backtest_id, records_orders=False, initial_cash=cash, fixed=fixed, status=RunStatus.COMPLETED)
        state.first_bar, state.last_bar = parse_time(result["start"]), parse_time(result["end"])
        state.orders, state.fills, state.trades = result["orders"], result["fills"], result["trades"]
        state.equity = state.final_equity = final_equity
        for name in RESULT_COLUMNS:
            setattr(state, name, _as_number(result["metrics"].get(name)))
        state.total_return = None if final_equity is None else final_equity / cash - 1.0
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise FoldError(f"the imported result has no usable {error}") from error
    state.finished_at = source.recorded_ns
    return state


def reported(backtest_id: str, event: BacktestImported, rows: Rows) -> None:
    """Add the numbers that the other system reports, under the names that it gives them."""
    for name, value in event.result["metrics"].items():
        rows.statistics.append((backtest_id, name, _as_number(value), value if isinstance(value, str) else None))


def started(state: BacktestState, event: BacktestStarted, source: Source) -> None:
    state.status = RunStatus.RUNNING.value
    state.started_at = source.recorded_ns
    state.dataset_version = event.dataset_version
    state.data_digest = event.data_digest
    state.first_bar = event.first_bar_ns
    state.last_bar = event.last_bar_ns
    state.bars = event.bars


def progressed(state: BacktestState, event: BacktestProgressed) -> None:
    state.bars_done = event.bars_done
    state.bars = event.bars
    state.equity = event.equity


def completed(state: BacktestState, event: BacktestCompleted, source: Source, rows: Rows) -> None:
    _finish(state, RunStatus.COMPLETED, source)
    state.bars = state.bars_done = event.bars
    state.orders = event.orders  # also where the log does not hold them
    state.fills = event.fills
    state.trades = event.trades
    state.equity = state.final_equity = event.final_equity
    for name in RESULT_COLUMNS:
        setattr(state, name, _as_number(event.statistics.get(name)))
    for name, value in event.statistics.items():
        rows.statistics.append((state.backtest_id, name, _as_number(value), _as_text(name, value)))
    if len(event.months) != len(event.month_equity):
        raise FoldError(f"BacktestCompleted has {len(event.months)} months and {len(event.month_equity)} values of equity")
    before = state.initial_cash
    for month, equity in zip(event.months, event.month_equity, strict=True):
        change = equity / before - 1.0 if before is not None and before > 0.0 else None
        rows.monthly_returns.append((state.backtest_id, month, equity, change))
        before = equity
    for symbol, numbers in event.by_symbol.items():
        rows.symbol_statistics.append((state.backtest_id, symbol, *(numbers.get(name) for name in SYMBOL_COLUMNS)))


def cancelled(state: BacktestState, event: BacktestCancelled, source: Source) -> None:
    _finish(state, RunStatus.CANCELLED, source)
    state.cancel_reason = event.reason
    state.cancel_command_id = event.command_id


def failed(state: BacktestState, event: BacktestFailed, source: Source) -> None:
    _finish(state, RunStatus.FAILED, source)
    state.failure_reason = event.reason.value
    state.failure_detail = event.detail


def json_text(document: Any) -> str:
    """Return JSON that ``jsonb`` accepts: it refuses the character NUL, which becomes U+FFFD."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True)
    return json.dumps(_without_nul(document), ensure_ascii=False, sort_keys=True) if "\\u0000" in text else text


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case list():
            return [_without_nul(item) for item in value]
        case dict():
            return {_without_nul(key): _without_nul(item) for key, item in value.items()}
        case _:
            return value


def _words(*texts: str | None) -> str:
    """Return the words of texts in lower case, each once, in order, separated by spaces."""
    words = _NOT_WORD.sub(" ", " ".join(text for text in texts if text).lower()).split()
    return " ".join(dict.fromkeys(words))[:MAX_WORDS]


def _new(backtest_id: str, *, records_orders: bool, initial_cash: float | None, fixed: Row, status: RunStatus) -> BacktestState:
    return BacktestState(
        backtest_id=backtest_id,
        records_orders=records_orders,
        initial_cash=initial_cash,
        status=status.value,
        last_number=0,
        last_sequence=0,
        chain_head="",
        fixed=fixed,
        is_new=True,
    )


def _finish(state: BacktestState, status: RunStatus, source: Source) -> None:
    state.status = status.value
    state.finished_at = source.recorded_ns


def _as_number(value: float | int | str | None) -> float | None:
    return float(value) if isinstance(value, float | int) else None


def _as_text(name: str, value: float | int | str | None) -> str | None:
    """A time in nanoseconds is more than a double holds exactly, and means nothing to a reader."""
    if isinstance(value, int) and name.endswith("_ns"):
        return format_time(value)
    return value if isinstance(value, str) else None
