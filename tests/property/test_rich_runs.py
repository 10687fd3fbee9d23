"""The same promises where bars are played along finer ones, prices are quoted, fills slip, positions are lots."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.strategies.order_list import OrderList
from schemas.events import (
    EquityMarked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderRejected,
    OrderSubmitted,
    OrderType,
    PositionChanged,
    PositionClosed,
    PositionOpened,
    Side,
)
from schemas.market_data import Bars
from tests.property.test_accounting import random_actions, random_execution, random_rows
from tests.unit.engine.factories import MINUTE_NS, events_of, make_bars, make_market, make_spec, run_commits

SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
COARSE = 5  # minutes of a bar
LIMITS = (OrderType.LIMIT, OrderType.LIMIT_IF_TOUCHED, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP_LIMIT)
SLIPPAGES: tuple[dict[str, Any], ...] = (
    {"type": "none"},
    {"type": "quotes"},
    {"type": "fixed", "amount": 0.25},
    {"type": "ticks", "ticks": 7, "scope": "market"},
    {"type": "percent", "rate": 0.01, "scope": "all"},
    {"type": "spread", "rate": 0.01},
    {"type": "volume_share", "impact": 0.3, "limit": 0.5},
)


class Lots(OrderList):
    """Plays its orders; each third bar it closes its oldest lot, where positions are lots."""

    def on_bar(self) -> None:
        super().on_bar()
        if self.step % 3 == 2:
            for lot in self.lots("X")[:1]:
                (self.sell if lot.quantity > 0 else self.buy)(abs(lot.quantity), symbol="X", position=lot)


def whole_of(fine: Bars) -> Bars:
    """Return the bars of five minutes that these minutes make up."""
    starts = fine.time_ns - (fine.time_ns - fine.time_ns[0]) % (COARSE * MINUTE_NS)
    firsts = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    lasts = np.append(firsts[1:], len(fine)) - 1
    assert fine.bid is not None and fine.ask is not None
    return Bars(
        symbol=fine.symbol, timeframe="5m", time_ns=starts[firsts], open=fine.open[firsts], close=fine.close[lasts],
        high=np.maximum.reduceat(fine.high, firsts), low=np.minimum.reduceat(fine.low, firsts),
        volume=np.add.reduceat(fine.volume, firsts), bid=fine.bid[lasts], ask=fine.ask[lasts],
    )  # fmt: skip


@st.composite
def random_rich_run(draw: st.DrawFn) -> dict[str, Any]:
    minutes = [0, *sorted(draw(st.sets(st.integers(1, 44), max_size=40)))]
    fine = make_bars(draw(random_rows(len(minutes))), symbol="X", times=minutes)
    spread = np.array([draw(st.integers(0, 40)) / 100 for _ in minutes])
    fine = replace(fine, bid=np.maximum(fine.close - spread, 0.01), ask=fine.close + spread)
    whole = whole_of(fine)
    with_detail = draw(st.booleans())
    execution = draw(random_execution()) | {"slippage": draw(st.sampled_from(SLIPPAGES))}
    execution["gap_limit"] = draw(st.sampled_from(["open", "close", "within", "limit"]))
    execution["gap_stop"] = draw(st.sampled_from(["open", "close", "within", "stop"]))
    execution["trail"] = draw(st.sampled_from(["after_bar", "before_test", "after_close"]))
    if execution["slippage"]["type"] == "volume_share":
        execution["volume_limit"] = None  # it has a limit of its own
    if with_detail:
        execution["detail_timeframe"] = "1m"
    market = make_market(whole, multiplier=draw(st.sampled_from([1.0, 5.0])))
    return {
        "market": replace(market, frames=(fine,)) if with_detail else market,
        "line": fine if with_detail else whole,
        "orders": draw(random_actions(len(whole), ["X"])),
        "account": {
            "cash": 20_000.0,
            "leverage": draw(st.sampled_from([1.0, 4.0])),
            "maintenance_margin": draw(st.sampled_from([None, 0.15])),
            "positions": draw(st.sampled_from(["netting", "hedging"])),
        },
        "execution": execution,
    }


def events_of_run(drawn: dict[str, Any]) -> list[Any]:
    return events_of(commits_of_run(drawn))


def commits_of_run(drawn: dict[str, Any]) -> list[Any]:
    market = drawn["market"]
    spec = make_spec(market, {"orders": drawn["orders"]}, account=drawn["account"], execution=drawn["execution"])
    return run_commits(market, spec, Lots)


def line_of(drawn: dict[str, Any]) -> Bars:
    """Return the bars that orders meet."""
    line: Bars = drawn["line"]
    return line


def slip_of(execution: dict[str, Any], line: Bars, row: int, price: float, side: int) -> float:
    """Return how far a price may be moved against an order at most, the tick of rounding aside."""
    rule = execution["slippage"]
    match rule["type"]:
        case "none":
            return 0.0
        case "fixed":
            return float(rule["amount"])
        case "ticks":
            return float(rule["ticks"]) * 0.01
        case "percent" | "spread":
            return price * float(rule["rate"]) / (1.0 - float(rule["rate"]))
        case "volume_share":
            return price * 0.3 * 0.25 / (1.0 - 0.3 * 0.25)
        case _:
            assert line.bid is not None and line.ask is not None
            rows = slice(max(row - 1, 0), row + 1)
            quote = line.ask if side > 0 else line.bid
            return float(np.max(side * (quote[rows] - line.close[rows])))


@SOME
@given(random_rich_run())
def test_fills_leave_their_bar_by_named_rules_alone(drawn: dict[str, Any]) -> None:
    """Inside its bar, moved against the order by the slippage at most; later than the order; within the volume limit."""
    line, execution = line_of(drawn), drawn["execution"]
    submitted: dict[int, OrderSubmitted] = {}
    taken: dict[int, float] = {}
    is_liquidated = False
    for event in events_of_run(drawn):
        if isinstance(event, OrderSubmitted):
            submitted[event.order_id] = event
        if not isinstance(event, OrderFilled):
            continue
        order, side = submitted[event.order_id], 1 if event.side is Side.BUY else -1
        if order.tag == "margin_call":
            is_liquidated = True
            continue
        row = int(line.time_ns.searchsorted(event.time_ns))
        assert line.time_ns[row] == event.time_ns, "a fill needs a bar"
        slip = slip_of(execution, line, row, event.price, side)
        low, high = (line.low[row], line.high[row] + slip) if side > 0 else (line.low[row] - slip, line.high[row])
        by_name = (
            (execution["gap_limit"] == "limit" and order.order_type in LIMITS)
            or (execution["gap_stop"] == "stop" and order.order_type not in (OrderType.MARKET, OrderType.LIMIT))
            or (execution["stop_limit"] in ("at_stop", "path") and order.order_type in LIMITS)
        )
        assert by_name or low - 0.01 <= event.price <= high + 0.01
        is_at_close = order.order_type is OrderType.MARKET and execution["market_fill"] == "same_close"
        is_child = order.parent_order_id is not None
        assert event.time_ns > order.time_ns or ((is_at_close or is_child) and event.time_ns == order.time_ns)
        taken[row] = taken.get(row, 0.0) + event.quantity
        limit = 0.5 if execution["slippage"]["type"] == "volume_share" else execution["volume_limit"]
        if limit is not None and not is_liquidated:
            assert taken[row] <= limit * line.volume[row] + 1e-9


@SOME
@given(random_rich_run())
def test_a_limit_is_never_passed_where_slippage_leaves_it_alone(drawn: dict[str, Any]) -> None:
    """A limit order, whatever made it one, buys at its limit or lower: slippage spares it unless its scope is all, or spread."""
    if drawn["execution"]["slippage"].get("scope") == "all" or drawn["execution"]["slippage"]["type"] == "spread":
        return
    limits: dict[int, float] = {}
    for event in events_of_run(drawn):
        if isinstance(event, OrderSubmitted) and event.order_type is OrderType.LIMIT:
            assert event.limit_price is not None
            limits[event.order_id] = event.limit_price
        if isinstance(event, OrderModified) and event.order_id in limits and event.limit_price is not None:
            limits[event.order_id] = event.limit_price
        if isinstance(event, OrderFilled) and event.order_id in limits:
            side = 1 if event.side is Side.BUY else -1
            assert side * (limits[event.order_id] - event.price) >= -1e-9


@SOME
@given(random_rich_run())
def test_equity_is_cash_and_lots_at_the_last_close(drawn: dict[str, Any]) -> None:
    """At every mark, also between two of the strategy's bars, and the sum of what lots and fills are is the same."""
    line, multiplier = line_of(drawn), drawn["market"].instruments[0].multiplier
    events = events_of_run(drawn)
    marks = [mark for event in events if isinstance(event, EquityMarked) for mark in _marks(event)]
    moves = [event for event in events if isinstance(event, OrderFilled | PositionOpened | PositionChanged | PositionClosed)]
    cash, bought, lots, place = 20_000.0, 0.0, dict[int, float](), 0
    assert [time for time, *_ in marks] == line.time_ns.tolist()
    for row, (time, equity, marked_cash) in enumerate(marks):
        while place < len(moves) and moves[place].time_ns <= time:
            event = moves[place]
            place += 1
            match event:
                case OrderFilled():
                    side = 1 if event.side is Side.BUY else -1
                    cash -= side * event.quantity * multiplier * event.price + event.commission
                    bought += side * event.quantity
                case PositionClosed():
                    del lots[event.position_id]
                case _:
                    lots[event.position_id] = event.quantity
        scale = 1e-9 * max(20_000.0, abs(equity), abs(cash))
        assert abs(sum(lots.values()) - bought) <= 1e-6
        assert abs(marked_cash - cash) <= scale
        assert abs(equity - (cash + bought * multiplier * float(line.close[row]))) <= scale
        assert drawn["account"]["positions"] == "hedging" or len(lots) <= 1
    assert place == len(moves)


def _marks(event: EquityMarked) -> list[tuple[int, float, float]]:
    return list(zip(event.times_ns, event.equity, event.cash, strict=True))


@SOME
@given(random_rich_run())
def test_orders_of_lots_live_one_legal_life_and_repeat(drawn: dict[str, Any]) -> None:
    """Submitted first, ended once, filled by no more than was open; a lot's order names its lot; twice the same bytes."""
    first, second = commits_of_run(drawn), commits_of_run(drawn)
    assert [commit.body for commit in first] == [commit.body for commit in second]
    working: dict[int, float] = {}
    lots: set[int] = set()
    for event in events_of(first):
        match event:
            case OrderSubmitted():
                working[event.order_id] = float("inf") if event.quantity is None else event.quantity
                assert event.position_id is None or event.position_id in lots
            case OrderRejected() | OrderExpired() | OrderCancelled():
                del working[event.order_id]
            case OrderModified():
                working[event.order_id] = float("inf")
            case OrderFilled():
                assert event.quantity + event.leaves_quantity <= working[event.order_id] + 1e-9
                working[event.order_id] = event.leaves_quantity
                if event.leaves_quantity == 0:
                    del working[event.order_id]
            case PositionOpened():
                lots.add(event.position_id)
            case PositionClosed():
                lots.remove(event.position_id)
            case _:
                pass
    assert not working
