"""Orders that wait for a touch or a session, trailing stop-limits, latency in time, and what fills cost by their kind."""

from typing import Any

import numpy as np
import pytest

from engine.errors import ParametersError, StrategyError
from engine.kernels.chance import throw
from schemas.errors import FieldError
from schemas.events import OrderFilled, OrderRejected, OrderSubmitted, OrderTriggered, OrderType, RejectReason
from schemas.spec import parse_spec
from tests.unit.engine.factories import MINUTE_NS, flat, make_bars, make_market, of, play

BUY = {"at": 0, "side": "buy", "quantity": 10.0}
SELL = {"at": 0, "side": "sell", "quantity": 10.0}
HOURS_6 = 360 * MINUTE_NS


def fills(rows: list[Any], *orders: dict[str, Any], step_ns: int = MINUTE_NS, **parts: Any) -> list[tuple[int, float]]:
    """Return (bar, price) of each fill."""
    bars = make_bars(rows, step_ns=step_ns)
    events = play(make_market(bars), orders, **parts)
    return [(int(np.searchsorted(bars.time_ns, event.time_ns)), event.price) for event in of(events, OrderFilled)]


TOUCHES = {
    "buy, the bar falls to the touch": (BUY | {"touch_price": 98.0}, [(1, 98.0)]),
    "buy, not touched": (BUY | {"touch_price": 96.0}, []),
    "buy, the bar opens below the touch": (BUY | {"touch_price": 101.0}, [(1, 100.0)]),
    "sale, the bar rises to the touch": (SELL | {"touch_price": 103.0}, [(1, 103.0)]),
    "limit beyond the touch": (BUY | {"touch_price": 98.0, "limit_price": 98.5}, [(1, 98.0)]),
    "limit better than the touch": (BUY | {"touch_price": 98.0, "limit_price": 97.5}, [(2, 97.5)]),
    "limit never reached": (BUY | {"touch_price": 98.0, "limit_price": 90.0}, []),
}


@pytest.mark.parametrize(("order", "expected"), TOUCHES.values(), ids=TOUCHES.keys())
@pytest.mark.parametrize("same_bar", ["stop_first", "submission", "path"])
def test_if_touched(order: dict[str, Any], expected: list[tuple[int, float]], same_bar: str) -> None:
    """Bars 100 flat, 100/104/97/101, 101/101/97/99: a touch is met from the other side than a stop."""
    rows = [(100.0, 100.0, 100.0, 100.0), (100.0, 104.0, 97.0, 101.0), (101.0, 101.0, 97.0, 99.0)]
    assert fills(rows, order, execution={"same_bar": same_bar}) == expected


def test_a_touch_is_an_order_type_with_a_trigger() -> None:
    """The event names the type and the touch as stop price; the trigger is reported."""
    rows = [(100.0, 100.0, 100.0, 100.0), (100.0, 104.0, 97.0, 101.0)]
    events = play(make_market(make_bars(rows)), [BUY | {"touch_price": 98.0}])
    [submitted], [triggered] = of(events, OrderSubmitted), of(events, OrderTriggered)
    assert (submitted.order_type, submitted.stop_price, triggered.price) == (OrderType.MARKET_IF_TOUCHED, 98.0, 98.0)


@pytest.mark.parametrize(("session", "expected"), [("open", [(4, 104.0)]), ("close", [(3, 103.5)])])
@pytest.mark.parametrize("market_fill", ["next_open", "next_close", "same_close"])
@pytest.mark.parametrize("same_bar", ["stop_first", "submission", "path"])
def test_sessions(session: str, expected: list[tuple[int, float]], market_fill: str, same_bar: str) -> None:
    """Bars of six hours, four a day: bar 3 closes the first day, bar 4 opens the second, whatever market orders do."""
    rows = [(100.0 + bar, 101.0 + bar, 99.0 + bar, 100.5 + bar) for bar in range(7)]
    execution = {"market_fill": market_fill, "same_bar": same_bar}
    assert fills(rows, BUY | {"session": session}, step_ns=HOURS_6, execution=execution) == expected


def test_a_market_on_close_order_comes_after_the_stops_of_its_bar() -> None:
    """The stop ends the position inside the bar; what would have closed it at the bar's end then has nothing to reduce."""
    rows = [(100.0, 100.0, 100.0, 100.0)] * 3 + [(100.0, 100.0, 90.0, 92.0)] + flat(92.0)
    orders = [BUY, {"at": 1, "side": "sell", "quantity": 10.0, "session": "close", "reduce_only": True},
              {"at": 1, "side": "sell", "quantity": 10.0, "stop_price": 95.0}]  # fmt: skip
    assert fills(rows, *orders, step_ns=HOURS_6) == [(1, 100.0), (3, 95.0)]


def test_a_trailing_stop_limit_takes_its_limit_along() -> None:
    """Trail 5 and limit 1 below: from 110 the stop is 105 and the limit 104. Bar 2 opens at 103, below both: it waits for 104."""
    rows = [
        (100.0, 100.0, 100.0, 100.0),
        (100.0, 110.0, 100.0, 109.0),
        (103.0, 103.5, 101.0, 102.0),
        (102.0, 106.0, 102.0, 105.0),
    ]
    sale = SELL | {"trail_amount": 5.0, "limit_offset": 1.0}
    assert fills(rows, sale) == [(3, 104.0)]
    assert fills(rows, SELL | {"trail_amount": 5.0}) == [(2, 103.0)]
    [submitted] = of(play(make_market(make_bars(rows)), [sale]), OrderSubmitted)
    assert (submitted.order_type, submitted.limit_offset) == (OrderType.TRAILING_STOP_LIMIT, 1.0)


def test_a_trail_in_ticks() -> None:
    """500 ticks of 0.01 are 5; without a tick there is no distance, and the order is refused."""
    rows = [(100.0, 100.0, 100.0, 100.0), (100.0, 110.0, 100.0, 109.0), (103.0, 103.5, 101.0, 102.0)]
    sale = SELL | {"trail_ticks": 500.0}
    assert fills(rows, sale) == [(2, 103.0)]
    [rejected] = of(play(make_market(make_bars(rows), tick=0.0), [sale]), OrderRejected)
    assert rejected.reason is RejectReason.INVALID_PRICE


REFUSED = {
    "touch of zero": {"touch_price": 0.0},
    "negative offset": {"trail_amount": 1.0, "limit_offset": -1.0},
    "infinite offset": {"trail_amount": 1.0, "limit_offset": float("inf")},
    "touch with a limit of zero": {"touch_price": 99.0, "limit_price": 0.0},
}


@pytest.mark.parametrize("terms", [terms for name, terms in REFUSED.items() if "infinite" not in name])
def test_prices_that_make_no_sense_are_refused(terms: dict[str, float]) -> None:
    """Each with the reason invalid_price."""
    [rejected] = of(play(make_market(make_bars(flat(100.0, 100.0))), [BUY | terms]), OrderRejected)
    assert rejected.reason is RejectReason.INVALID_PRICE


LATENCIES = {0.0: 1, 0.5: 2, 60.0: 2, 60.5: 3, 120.0: 3}


@pytest.mark.parametrize(("seconds", "bar"), LATENCIES.items())
def test_latency_in_time(seconds: float, bar: int) -> None:
    """Sent at the close of bar 0, minute 1: it fills in the first bar that begins at or after its arrival."""
    rows = flat(100.0, 101.0, 102.0, 103.0, 104.0)
    assert fills(rows, BUY, execution={"latency_seconds": seconds}) == [(bar, 100.0 + bar)]


def test_cancels_take_their_time_too() -> None:
    """A cancel sent at the close of bar 0 with 90 seconds arrives within bar 2: the limit at 99 still fills there."""
    rows = [*flat(100.0, 100.0), (100.0, 100.0, 98.0, 100.0), (100.0, 100.0, 98.0, 100.0)]
    first = {"at": -1, "id": "a", "side": "buy", "quantity": 1.0, "limit_price": 99.0}
    late = {"latency_seconds": 90.0}
    assert fills(rows, first, {"at": 0, "cancel": "a"}, execution=late) == [(2, 99.0)]
    rows[2] = rows[1]
    assert fills(rows, first, {"at": 0, "cancel": "a"}, execution=late) == []


def test_latency_in_bars_and_in_seconds_exclude_each_other() -> None:
    """One of the two."""
    with pytest.raises(FieldError, match="not in both"):
        play(make_market(make_bars(flat(1.0))), [], execution={"latency_bars": 1, "latency_seconds": 1.0})


def test_maker_and_taker() -> None:
    """A limit that rested: 980 * 0.001; a market order: 1000 * 0.002."""
    rows = [(100.0, 100.0, 100.0, 100.0), (100.0, 100.0, 98.0, 100.0)]
    rule = {"type": "maker_taker", "maker": 0.001, "taker": 0.002}
    events = play(make_market(make_bars(rows)), [BUY, BUY | {"limit_price": 98.0}], execution={"commission": rule})
    assert [(event.is_maker, event.commission) for event in of(events, OrderFilled)] == [(False, 2.0), (True, 0.98)]


def test_commission_by_tiers_of_traded_value() -> None:
    """1 % up to 1,500, then 0.5 %: the second fill begins at 1,000, the third at 2,000."""
    tiers = [{"from_value": 0.0, "maker": 0.0, "taker": 0.01}, {"from_value": 1_500.0, "maker": 0.0, "taker": 0.005}]
    events = play(
        make_market(make_bars(flat(100.0, 100.0))), [BUY, BUY, BUY], execution={"commission": {"type": "tiered", "tiers": tiers}}
    )
    assert [event.commission for event in of(events, OrderFilled)] == [10.0, 10.0, 5.0]


WRONG_RULES = {
    "maker above taker": {"type": "maker_taker", "maker": 0.002, "taker": 0.001},
    "no tier from zero": {"type": "tiered", "tiers": [{"from_value": 1.0, "maker": 0.0, "taker": 0.0}]},
    "tiers in no order": {"type": "tiered", "tiers": [{"from_value": 0.0, "maker": 0.0, "taker": 0.0}] * 2},
}


@pytest.mark.parametrize("rule", WRONG_RULES.values(), ids=WRONG_RULES.keys())
def test_commission_rules_that_make_no_sense(rule: dict[str, Any]) -> None:
    """They are refused with the spec."""
    document = {"data": {"dataset": "d", "symbols": ["X"], "timeframe": "1d"}, "strategy": {"name": "buy_and_hold"}}
    with pytest.raises(FieldError):
        parse_spec(document | {"execution": {"commission": rule}})


def test_slippage_in_ticks() -> None:
    """Three ticks of 0.01 against each order; an instrument without ticks is refused."""
    rule = {"type": "ticks", "ticks": 3}
    assert fills(flat(100.0, 100.0), BUY, execution={"slippage": rule}) == [(1, 100.03)]
    assert fills(flat(100.0, 100.0), SELL, execution={"slippage": rule}) == [(1, 99.97)]
    with pytest.raises(ParametersError, match="X, which has no tick"):
        play(make_market(make_bars(flat(100.0)), tick=0.0), [], execution={"slippage": rule})


def test_a_tick_of_slippage_by_chance() -> None:
    """Chance 0: none slips. Chance 1: all do, limits in the scope too. 0.5: some, by the seed, and not those lucky at a limit."""
    rows = [(100.0, 100.0, 100.0, 100.0)] + [(100.0, 100.0, 98.0, 100.0)] * 2

    def prices(chance: float, order: dict[str, Any] = BUY, *, seed: int = 5, **policies: Any) -> list[float]:
        rule = {"type": "ticks", "ticks": 1, "probability": chance, "scope": "all"}
        return [price for _, price in fills(rows, *[order] * 40, execution={"slippage": rule, **policies}, seed=seed)]

    assert prices(0.0) == [100.0] * 40
    assert prices(1.0) == [100.01] * 40
    assert prices(1.0, BUY | {"limit_price": 98.5}) == [98.51] * 40
    some = prices(0.5)
    assert 8 < some.count(100.01) < 32 and some.count(100.0) == 40 - some.count(100.01)
    assert some == prices(0.5) != prices(0.5, seed=6)
    lucky = prices(0.5, BUY | {"limit_price": 98.0}, limit_fill_probability=0.5)
    assert {98.0, 98.01} == set(lucky)


def test_a_touched_limit_fills_by_chance_and_a_passed_one_always() -> None:
    """Chance 0: the touch at 98 never fills, the limit at 98.5 is passed. Chance 1 fills both. 0.5: by the seed, repeatably."""
    rows = [(100.0, 100.0, 100.0, 100.0)] + [(100.0, 100.0, 98.0, 100.0)] * 3
    touched, passed = BUY | {"limit_price": 98.0}, BUY | {"limit_price": 98.5}
    assert fills(rows, touched, passed, execution={"limit_fill_probability": 0.0}) == [(1, 98.5)]
    assert fills(rows, touched, passed, execution={"limit_fill_probability": 1.0}) == [(1, 98.0), (1, 98.5)]
    many = [touched] * 40
    half = {"limit_fill_probability": 0.5}
    first = fills(rows[:2], *many, execution=half, seed=5)
    assert first == fills(rows[:2], *many, execution=half, seed=5)
    assert 8 < len(first) < 32
    other = play(make_market(make_bars(rows[:2])), many, execution=half, seed=6)
    again = play(make_market(make_bars(rows[:2])), many, execution=half, seed=5)
    assert [event.order_id for event in of(other, OrderFilled)] != [event.order_id for event in of(again, OrderFilled)]


def test_throws_are_spread_evenly() -> None:
    """10,000 throws of 100 orders in 100 steps: each tenth of [0, 1) gets 1,000, give or take 150 (five deviations)."""
    counts = [0] * 10
    for order in range(1, 101):
        for step in range(100):
            counts[int(throw(2**53 - 1, order, step) * 10)] += 1
    assert all(850 <= count <= 1_150 for count in counts)


CONFLICTS = [
    {"touch_price": 99.0, "stop_price": 98.0},
    {"session": "open", "limit_price": 98.0},
    {"limit_offset": 1.0},
    {"trail_amount": 1.0, "trail_ticks": 1.0},
    {"trail_amount": 1.0, "session": "open"},
]


@pytest.mark.parametrize("terms", CONFLICTS)
def test_terms_that_exclude_each_other_are_an_error(terms: dict[str, Any]) -> None:
    """The strategy made a mistake: the run fails and says where."""
    with pytest.raises(StrategyError, match="ValueError"):
        play(make_market(make_bars(flat(100.0, 100.0))), [BUY | terms])
