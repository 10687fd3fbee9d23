"""Orders, one rule at a time: what is refused, what rests, what ends, and what it costs."""

from typing import Any

import pytest

from schemas.events import (
    MarginCalled,
    OrderCancelled,
    OrderEnd,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderRejected,
    OrderSubmitted,
    PositionClosed,
    RejectReason,
)
from tests.unit.engine.factories import MINUTE_NS, flat, make_bars, make_market, of, play

BUY = {"at": 0, "side": "buy", "quantity": 10.0}


def fills(rows: list[Any], *orders: dict[str, Any], step_ns: int = MINUTE_NS, **parts: Any) -> list[tuple[float, float]]:
    """Return (quantity, price) of each fill."""
    events = play(make_market(make_bars(rows, step_ns=step_ns)), orders, **parts)
    return [(event.quantity, event.price) for event in of(events, OrderFilled)]


REFUSALS = {
    "quantity of zero": ({"quantity": 0.0}, RejectReason.INVALID_QUANTITY),
    "quantity below a lot": ({"quantity": 0.9}, RejectReason.INVALID_QUANTITY),
    "negative limit": ({"limit_price": -1.0}, RejectReason.INVALID_PRICE),
    "stop of zero": ({"stop_price": 0.0}, RejectReason.INVALID_PRICE),
    "trail of all the price": ({"trail_percent": 100.0}, RejectReason.INVALID_PRICE),
    "expired when sent": ({"time_in_force": "gtd", "expires_at": "2023-01-01"}, RejectReason.INVALID_TIME),
    "more than all the equity": ({"quantity": 1_001.0}, RejectReason.INSUFFICIENT_MARGIN),
    "nothing to reduce": ({"reduce_only": True}, RejectReason.REDUCE_ONLY),
    "post-only that would fill": ({"limit_price": 101.0, "post_only": True}, RejectReason.POST_ONLY),
}


@pytest.mark.parametrize(("change", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_has_a_reason(change: dict[str, Any], reason: RejectReason) -> None:
    """Account 100,000 at leverage 1, price 100."""
    events = play(make_market(make_bars(flat(100.0, 100.0))), [BUY | change])
    assert [event.reason for event in of(events, OrderRejected)] == [reason]
    assert not of(events, OrderFilled)


def test_short_sales_where_none_are_allowed() -> None:
    """A cash account refuses a sale of what is not there, and cash that is not there."""
    rows = flat(100.0, 100.0)
    account = {"cash": 1_000.0, "type": "cash"}
    for order, reason in (
        ({"at": 0, "side": "sell", "quantity": 1.0}, RejectReason.SHORT_NOT_ALLOWED),
        ({"at": 0, "side": "buy", "quantity": 11.0}, RejectReason.INSUFFICIENT_CASH),
    ):
        events = play(make_market(make_bars(rows)), [order], account=account)
        assert [event.reason for event in of(events, OrderRejected)] == [reason]


def test_partial_fill_keeps_the_rest_resting() -> None:
    """Volume 40 and limit 0.1 give 4 a bar: 10 units take three bars."""
    rows = [(100.0, 100.0, 100.0, 100.0, 40.0)] * 5
    assert fills(rows, BUY, execution={"volume_limit": 0.1}) == [(4.0, 100.0), (4.0, 100.0), (2.0, 100.0)]


def test_two_orders_share_the_volume_of_a_bar() -> None:
    """The first takes 4 of 4, the second gets its turn when the first is done."""
    rows = [(100.0, 100.0, 100.0, 100.0, 40.0)] * 4
    small = {"at": 0, "side": "buy", "quantity": 4.0}
    assert fills(rows, small, small, execution={"volume_limit": 0.1}) == [(4.0, 100.0), (4.0, 100.0)]


LIVES = {
    "day order ends with its day": ({"time_in_force": "day", "limit_price": 50.0}, OrderExpired, None),
    "good till date": ({"time_in_force": "gtd", "expires_at": "2024-01-02", "limit_price": 50.0}, OrderExpired, None),
    "immediate or cancel": ({"time_in_force": "ioc", "limit_price": 50.0}, OrderCancelled, OrderEnd.IMMEDIATE_OR_CANCEL),
    "fill or kill": ({"time_in_force": "fok", "limit_price": 50.0}, OrderCancelled, OrderEnd.FILL_OR_KILL),
    "end of data": ({"limit_price": 50.0}, OrderCancelled, OrderEnd.END_OF_DATA),
}


@pytest.mark.parametrize(("change", "kind", "reason"), LIVES.values(), ids=LIVES.keys())
def test_an_order_that_does_not_fill_ends(change: dict[str, Any], kind: type[Any], reason: OrderEnd | None) -> None:
    """Ten bars of six hours: the first day ends with bar 3."""
    events = play(make_market(make_bars(flat(*[100.0] * 10), step_ns=360 * MINUTE_NS)), [BUY | change])
    [end] = of(events, OrderExpired, OrderCancelled)
    assert isinstance(end, kind)
    assert getattr(end, "reason", None) == reason
    if change.get("time_in_force") == "day":
        assert end.time_ns == events[0].time_ns + 3 * 360 * MINUTE_NS


def test_a_change_moves_the_limit_and_a_cancel_ends_the_order() -> None:
    """The limit comes down to the market; the other order never fills."""
    rows = flat(100.0, 100.0, 100.0, 100.0)
    orders = [
        {"at": 0, "id": "a", "side": "buy", "quantity": 1.0, "limit_price": 90.0},
        {"at": 0, "id": "b", "side": "buy", "quantity": 1.0, "limit_price": 91.0},
        {"at": 1, "modify": "a", "limit_price": 100.0, "quantity": 3.0},
        {"at": 1, "cancel": "b"},
    ]
    events = play(make_market(make_bars(rows)), orders)
    assert [(event.quantity, event.limit_price) for event in of(events, OrderModified)] == [(3.0, 100.0)]
    assert [(event.quantity, event.price) for event in of(events, OrderFilled)] == [(3.0, 100.0)]
    assert [event.reason for event in of(events, OrderCancelled)] == [OrderEnd.BY_STRATEGY]


def test_latency_delays_orders_and_cancels() -> None:
    """Two bars: sent at bar 0, filled at the open of bar 3. A cancel at bar 2 comes after that."""
    rows = flat(100.0, 101.0, 102.0, 103.0, 104.0)
    late = [BUY | {"id": "a"}, {"at": 2, "cancel": "a"}]
    assert fills(rows, *late, execution={"latency_bars": 2}) == [(10.0, 103.0)]


SIZES = {
    "by value, whole lots down": ({"value": 1_050.0}, 10.0),
    "by fraction of equity": ({"fraction": 0.5}, 500.0),
    "all the equity": ({"fraction": 1.0}, 1_000.0),
}


@pytest.mark.parametrize(("size", "quantity"), SIZES.values(), ids=SIZES.keys())
def test_sizes(size: dict[str, float], quantity: float) -> None:
    """Equity 100,000, price 100."""
    order = {"at": 0, "side": "buy"} | size
    assert fills(flat(100.0, 100.0), order) == [(quantity, 100.0)]


def test_a_share_of_equity_is_sized_at_the_price_of_its_fill() -> None:
    """Sent at 100, filled at 125: 800 units, not 1,000 that could not be paid."""
    events = play(make_market(make_bars(flat(100.0, 125.0))), [{"at": 0, "side": "buy", "fraction": 1.0}])
    assert [event.quantity for event in of(events, OrderSubmitted)] == [1_000.0]
    assert [event.quantity for event in of(events, OrderModified)] == [800.0]
    assert [event.quantity for event in of(events, OrderFilled)] == [800.0]


SHORT_OF_CASH = {
    "refuse": [],  # it was affordable at 100 when it was sent; at 125 it is cancelled
    "cancel": [],
    "partial": [(800.0, 125.0)],  # 100,000 / 125
    "allow": [(1_000.0, 125.0)],
}


@pytest.mark.parametrize("policy", SHORT_OF_CASH)
def test_too_little_cash(policy: str) -> None:
    """1,000 units sent at 100 open at 125; the account holds 100,000."""
    order = {"at": 0, "side": "buy", "quantity": 1_000.0}
    assert fills(flat(100.0, 125.0), order, execution={"cash_short": policy}) == SHORT_OF_CASH[policy]


COMMISSIONS = {
    "fixed and rate": ({"fixed": 1.0, "rate": 0.01}, 11.0),  # 1 + 1000 * 0.01
    "per unit": ({"per_unit": 0.02}, 0.2),  # 10 * 0.02
    "minimum": ({"rate": 0.0001, "minimum": 5.0}, 5.0),
    "maximum": ({"rate": 0.1, "maximum": 7.0}, 7.0),
    "rebate": ({"rate": -0.001}, -1.0),
}


@pytest.mark.parametrize(("rule", "fee"), COMMISSIONS.values(), ids=COMMISSIONS.keys())
def test_commissions(rule: dict[str, float], fee: float) -> None:
    """10 units at 100."""
    events = play(make_market(make_bars(flat(100.0, 100.0))), [BUY], execution={"commission": {"type": "rate"} | rule})
    assert [event.commission for event in of(events, OrderFilled)] == [fee]


SLIPPAGES = {
    "fixed": ({"type": "fixed", "amount": 0.25}, 100.25, 100.0),
    "basis points": ({"type": "basis_points", "value": 50.0}, 100.5, 100.0),
    "basis points on limits too": ({"type": "basis_points", "value": 50.0, "scope": "all"}, 100.5, 100.5),
    "volume share": ({"type": "volume_share", "limit": 1.0, "impact": 100.0}, 101.0, None),  # 100 * (1 + 100 * 0.01^2)
}


@pytest.mark.parametrize(("rule", "market", "limit"), SLIPPAGES.values(), ids=SLIPPAGES.keys())
def test_slippage(rule: dict[str, Any], market: float, limit: float | None) -> None:
    """10 units of a volume of 1,000 at 100, as market order and as limit order at 100."""
    rows = [(100.0, 100.0, 100.0, 100.0, 1_000.0)] * 2
    assert fills(rows, BUY, execution={"slippage": rule}) == [(10.0, market)]
    assert fills(rows, BUY | {"limit_price": 100.0}, execution={"slippage": rule}) == ([] if limit is None else [(10.0, limit)])


def test_a_margin_call_liquidates_at_the_close() -> None:
    """Leverage 5, all in at 100: 5,000 units, cash -400,000. At 84 equity is 20,000, below 0.05 * 420,000 = 21,000."""
    rows = flat(100.0, 100.0, 90.0, 84.0, 84.0)
    orders = [{"at": 0, "side": "buy", "fraction": 5.0}, {"at": 1, "side": "sell", "quantity": 1.0, "limit_price": 200.0}]
    account = {"leverage": 5.0, "maintenance_margin": 0.05}
    events = play(make_market(make_bars(rows)), orders, account=account)
    [called] = of(events, MarginCalled)
    assert (called.equity, called.maintenance) == (20_000.0, 21_000.0)
    assert [event.reason for event in of(events, OrderCancelled)] == [OrderEnd.MARGIN_CALL]
    assert of(events, OrderSubmitted)[-1].tag == "margin_call"
    [closed] = of(events, PositionClosed)
    assert (closed.average_close, closed.realized_pnl, closed.mae) == (84.0, -80_000.0, -80_000.0)


def test_recording_without_orders_keeps_fills_and_positions() -> None:
    """Only the order events are left out; ids and results stay."""
    market = make_market(make_bars(flat(100.0, 101.0, 102.0)))
    orders = [BUY, {"at": 1, "side": "sell", "quantity": 10.0}]
    full = play(market, orders)
    short = play(market, orders, recording={"orders": False, "equity_every": 1})
    kinds = {type(event).__name__ for event in short}
    assert kinds == {"OrderFilled", "PositionOpened", "PositionClosed", "EquityMarked", "BacktestCompleted"}
    assert full[-1].final_equity == short[-1].final_equity == 100_010.0


def test_symbols_with_gaps_fill_at_their_own_bars() -> None:
    """Y has no bar at steps 1 and 2: its order waits for step 3."""
    market = make_market(make_bars(flat(1.0, 2.0, 3.0, 4.0)), make_bars(flat(10.0, 13.0), symbol="Y", times=[0, 3]))
    events = play(market, [{"at": 0, "side": "buy", "quantity": 1.0, "symbol": "Y"}])
    [fill] = of(events, OrderFilled)
    assert (fill.price, fill.time_ns) == (13.0, market.bars[0].time_ns[3])


@pytest.mark.parametrize(
    ("attached", "price"),
    [
        ({"take_profit": 85.0}, 88.21),  # the limit was passed before the entry: sold at what the entry paid, not at 85
        ({"stop_loss": 90.0}, 88.21),  # the stop as well: nobody pays 90 on the way up from 88.21
    ],
)
def test_an_exit_that_was_passed_before_its_entry_fills_where_the_path_is(attached: dict[str, float], price: float) -> None:
    """The bar goes 88.2, 89.9, 88.2, 89.5; the entry is a stop at 88.21, and its exit is due at once."""
    rows = [*flat(88.0), (88.2, 89.9, 88.2, 89.5)]
    orders = [{"at": 0, "side": "buy", "quantity": 1.0, "stop_price": 88.21, **attached}]
    events = play(make_market(make_bars(rows)), orders, execution={"same_bar": "path"})
    assert [fill.price for fill in of(events, OrderFilled)] == [88.21, price]
