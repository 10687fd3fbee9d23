"""This module runs conformance cases: what other engines do, as numbers in small JSON files (docs/conformance.md).

A number passes if |actual - expected| <= tolerance * max(1, |expected|). What ``expect`` does not name is not compared.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import statistics as stats
from engine.errors import EngineError
from engine.ledger import Ledger
from engine.peer_statistics import backtesting_statistics
from engine.registry import BUILTINS
from engine.simulation import simulate
from engine.strategies.order_list import OrderList
from engine.strategy import Strategy
from engine.timeline import scene_of
from engine.trades import trades_of
from schemas.actions import ActionKind, CorporateAction, RateKind, RateSeries
from schemas.commit import Head, decode_commit
from schemas.errors import SchemaError
from schemas.events import (
    AnyEvent,
    BacktestCompleted,
    EquityMarked,
    OrderCancelled,
    OrderEnd,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PositionClosed,
    Side,
)
from schemas.ids import BacktestId, Digest
from schemas.market_data import Bars, Instrument, Market
from schemas.spec import AccountSpec, BacktestSpec, parse_spec
from schemas.times import parse_time, timeframe_ns

TOLERANCE = 1e-9
START_NS = 1_704_067_200_000_000_000  # 2024-01-01, a Monday
HEAD = Head(2, 2, Digest("0" * 64))

MarketOf = Callable[[BacktestSpec], Market]  # finds the data set that a case of the kind ``run`` names


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One value that differs."""

    path: str
    expected: Any
    actual: Any

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected!r}, actual {self.actual!r}"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case."""

    id: str
    file: str
    mismatches: list[Mismatch] = field(default_factory=list)
    error: str | None = None

    @property
    def passed(self) -> bool:
        return not self.mismatches and self.error is None


def run_conformance(paths: Iterable[Path], market_of: MarketOf | None = None) -> list[CaseResult]:
    """Run the cases in files, or in all JSON files below folders, in the order of their names.

    market_of : finds the bars of cases of the kind ``run``; without it they can't be run, and don't pass
    """
    return [run_case(document, str(file), market_of) for file, document in _cases(paths)]


def _cases(paths: Iterable[Path]) -> Iterator[tuple[Path, Any]]:
    for path in paths:
        for file in sorted(path.rglob("*.json")) if path.is_dir() else [path]:
            content = _decoded(file)
            for document in content if isinstance(content, list) else [content]:
                yield file, document


def _decoded(file: Path) -> Any:
    """Return what a file holds; text that says why instead of JSON: it is then a case that can't be run."""
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:  # of JSON, or of UTF-8
        return f"not JSON: {error}"


def run_case(document: Any, file: str = "", market_of: MarketOf | None = None) -> CaseResult:
    """Run one case. A case that can't be run is not passed, and says why."""
    if not isinstance(document, dict):
        return CaseResult("?", file, error=document if isinstance(document, str) else "a case is a JSON object")
    name = str(document.get("id", "?"))
    try:
        kind = document["kind"]
        actual: Any = run_spec(document, market_of) if kind == "run" else _KINDS[kind](document)
        expected = document["expect"]
    except (AttributeError, IndexError, LookupError, TypeError, ValueError, SchemaError, EngineError) as error:
        return CaseResult(name, file, error=f"{type(error).__name__}: {error}")
    tolerance = float(document.get("tolerance", TOLERANCE))
    return CaseResult(name, file, mismatches=list(_compare("expect", expected, actual, tolerance)))


def _compare(path: str, expected: Any, actual: Any, tolerance: float) -> Iterator[Mismatch]:
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            yield from _compare(f"{path}.{key}", value, actual.get(key), tolerance)
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            yield Mismatch(f"{path} (count)", len(expected), f"{len(actual)}: {actual}")
        for place, (left, right) in enumerate(zip(expected, actual, strict=False)):
            yield from _compare(f"{path}[{place}]", left, right, tolerance)
    elif _is_number(expected) and _is_number(actual):
        if not abs(actual - expected) <= tolerance * max(1.0, abs(expected)):
            yield Mismatch(path, expected, actual)
    elif expected != actual:
        yield Mismatch(path, expected, actual)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# --- bars -----------------------------------------------------------------------------------------------------------


def run_bars(document: dict[str, Any]) -> dict[str, Any]:
    """Play the case's orders on its bars; return fills, the state of each order, equity after each bar.

    ``actions`` : raw prices and what happens to the instrument, ``{"bar": 2, "action": "split", "value": 0.5}``
    ``rates`` : ``{"bar": 0, "kind": "conversion", "name": "EUR/USD", "rate": 1.1}``; without a name the instrument's
    """
    timeframe = document.get("timeframe", "1m")
    instrument = Instrument.model_validate({"symbol": "X", "tick": 0.01, "lot": 1.0} | _floats(document.get("instrument", {})))
    rows = np.array(document["bars"], dtype=np.float64)
    bars = Bars(
        symbol=instrument.symbol,
        timeframe=timeframe,
        time_ns=START_NS + np.arange(len(rows), dtype=np.int64) * timeframe_ns(timeframe),
        **{name: np.ascontiguousarray(rows[:, place]) for place, name in enumerate(("open", "high", "low", "close"))},
        volume=np.ascontiguousarray(rows[:, 4]),
    )
    spec = parse_spec(
        {
            "data": {"dataset": "case", "symbols": [instrument.symbol], "timeframe": timeframe},
            "strategy": {"name": "order_list", "parameters": {"orders": [_instruction(order) for order in document["orders"]]}},
            "account": {"cash": 100_000.0} | document.get("account", {}),
            "execution": document.get("execution", {}),
            "recording": {"equity_every": 1},
        }
    )
    market = Market(
        bars=(bars,),
        instruments=(instrument,),
        adjusted="actions" not in document,
        actions=tuple(_action(action, bars) for action in document.get("actions", [])),
        rates=_rates(document.get("rates", []), bars),
    )
    commits = simulate(BacktestId("case"), spec, HEAD, market, OrderList)
    return _outcome([event for commit in commits for event in decode_commit(commit.body).events], bars)


def _action(action: dict[str, Any], bars: Bars) -> CorporateAction:
    kind, value = ActionKind(action["action"]), action.get("value")
    return CorporateAction(int(bars.time_ns[action["bar"]]), bars.symbol, kind, None if value is None else float(value))


def _rates(rows: list[dict[str, Any]], bars: Bars) -> tuple[RateSeries, ...]:
    series: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in rows:
        key = (row["kind"], row.get("name", bars.symbol))
        series.setdefault(key, []).append((int(bars.time_ns[row["bar"]]), float(row["rate"])))
    return tuple(
        RateSeries(RateKind(kind), name, *(np.array(column) for column in zip(*sorted(points), strict=True)))
        for (kind, name), points in series.items()
    )


def _instruction(order: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in order.items() if key != "type"}


def _floats(document: dict[str, Any]) -> dict[str, Any]:
    return {key: float(value) if _is_number(value) else value for key, value in document.items()}


def _outcome(events: list[AnyEvent], bars: Bars) -> dict[str, Any]:
    names: dict[int, str] = {}
    fills: list[dict[str, Any]] = []
    states: dict[str, str] = {}
    result: dict[str, Any] = {"fills": fills, "orders": states, "equity": []}
    for event in events:
        match event:
            case OrderSubmitted():
                names[event.order_id] = event.tag or str(event.order_id)
                states[names[event.order_id]] = "open"
            case OrderFilled():
                states[names[event.order_id]] = "filled" if event.leaves_quantity == 0 else "open"
                fills.append(
                    {
                        "order": names[event.order_id],
                        "bar": int(np.searchsorted(bars.time_ns, event.time_ns)),
                        "side": str(event.side),
                        "price": event.price,
                        "quantity": event.quantity,
                        "commission": event.commission,
                    }
                )
            case OrderCancelled():
                states[names[event.order_id]] = "open" if event.reason is OrderEnd.END_OF_DATA else "cancelled"
            case OrderExpired():
                states[names[event.order_id]] = "expired"
            case OrderRejected():
                states[names[event.order_id]] = "rejected"
            case EquityMarked():
                result["equity"] += event.equity
                result["cash"] = event.cash[-1]
            case BacktestCompleted():
                result["final_equity"] = event.final_equity
                result["statistics"] = event.statistics
            case _:
                pass
    return result


# --- run ------------------------------------------------------------------------------------------------------------


def run_spec(document: dict[str, Any], market_of: MarketOf | None) -> dict[str, Any]:
    """Run the case's spec with a built-in strategy; return its statistics, or another engine's, and the events' counts.

    ``instrument`` : tick, lot, multiplier … in place of the data set's
    ``close_at_end`` : an order sent one bar before the last closes the first symbol's position in the last
    ``statistics`` : ``backtesting.py`` takes that engine's formulas for what the two define differently
    """
    if market_of is None:
        raise ValueError("a case of the kind run needs a store of data sets")
    spec = parse_spec({**document["spec"], "recording": {"equity_every": 1}})
    market = market_of(spec)
    if "instrument" in document:
        terms = {key: value for key, value in _floats(document["instrument"]).items() if key != "symbol"}
        replaced = tuple(each.model_copy(update=terms) for each in market.instruments)
        market = replace(market, instruments=replaced)
    strategy = BUILTINS[spec.strategy.name]
    if document.get("close_at_end", False):
        strategy = _closing(strategy, max(len(bars) for bars in scene_of(spec, market).market.bars))
    events = [
        event
        for commit in simulate(BacktestId("case"), spec, HEAD, market, strategy)
        for event in decode_commit(commit.body).events
    ]
    completed = events[-1]
    assert isinstance(completed, BacktestCompleted), "a simulation ends with its statistics"
    result: dict[str, Any] = dict(completed.statistics)
    if document.get("statistics") == "backtesting.py":
        equity = [value for event in events if isinstance(event, EquityMarked) for value in event.equity]
        closed = [event for event in events if isinstance(event, PositionClosed)]
        result |= backtesting_statistics(market.bars[0].time_ns, equity, closed, spec.account.cash, result["max_drawdown"])
    return result


def _closing(strategy: type[Strategy], bars: int) -> type[Strategy]:
    """Return the strategy with a last order: what it holds one bar before the last is closed in the last."""

    class Closing(strategy):  # type: ignore[valid-type,misc]
        def on_bar(self) -> None:
            if self.step < bars - 2:
                super().on_bar()
            elif self.step == bars - 2:
                self.close()

    return Closing


# --- ledger ---------------------------------------------------------------------------------------------------------


def run_ledger(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Book the case's steps; return position and account after each."""
    instrument = Instrument.model_validate({"symbol": "X"} | _floats(document.get("instrument", {})))
    account = AccountSpec.model_validate({"cash": 1_000_000.0} | document.get("account", {}))
    ledger = Ledger(instrument, account)
    result = []
    for step in document["steps"]:
        closed = None
        if "fill" in step:
            fill = step["fill"]
            closed = ledger.fill(Side(fill["side"]), fill["quantity"], fill["price"], fill.get("commission", 0.0))
        elif "mark" in step:
            ledger.mark(step["mark"])
        elif "split" in step:
            ledger.split(step["split"])
        elif "dividend" in step:
            ledger.dividend(step["dividend"])
        else:
            ledger.funding(step["funding"])
        values: dict[str, Any] = {name: getattr(ledger, name) for name in _LEDGER_VALUES}
        if closed is not None:
            values["closed"] = {name: getattr(closed, name) for name in type(closed).__slots__}
            values["closed"]["return"] = closed.return_fraction
        grouped = trades_of(
            ledger.executions, grouping=document.get("grouping", "flat_to_flat"), multiplier=instrument.multiplier
        )
        values["trades"] = [{name: getattr(trade, name) for name in type(trade).__slots__} for trade in grouped]
        result.append(values)
    return result


_LEDGER_VALUES = ("quantity", "average_price", "realized_pnl", "unrealized_pnl", "cash", "equity")


# --- statistics -----------------------------------------------------------------------------------------------------


def run_statistics(document: dict[str, Any]) -> dict[str, Any]:
    """Compute every statistic that the case's input allows."""
    periods = float(document.get("periods_per_year", 252))
    result: dict[str, Any] = {}
    if "equity" in document:
        result["returns"] = _daily_returns(document["equity"])
    if "returns" in document:
        returns = [float(value) for value in document["returns"]]
        result |= {
            "sharpe": stats.sharpe(returns, periods),
            "sortino": stats.sortino(returns, periods),
            "max_drawdown": stats.max_drawdown(returns),
            "annual_variance": stats.annual_variance(returns, periods),
            "volatility": stats.volatility(returns, periods),
        }
        if "benchmark" in document:
            result["tracking_error"] = stats.tracking_error(returns, document["benchmark"], periods)
    if "pnl" in document:
        pnl = document["pnl"]
        result |= {"profit_factor": stats.profit_factor(pnl), "win_rate": stats.win_rate(pnl), "sqn": stats.sqn(pnl)}
    return result


def _daily_returns(rows: list[list[Any]]) -> list[float]:
    """Return the change per UTC day of (time, value) rows; the first row is the start."""
    last_of_day: dict[int, float] = {}
    for time, value in rows:
        last_of_day[parse_time(time) // 86_400_000_000_000] = float(value)
    return stats.returns_of(list(last_of_day.values()), float(rows[0][1]))


_KINDS = {"bars": run_bars, "ledger": run_ledger, "statistics": run_statistics}
