"""What is taken on the book and what is refused, and what a change makes of an order."""

import math
from typing import Any

import pytest

from engine.strategy import Strategy
from schemas.events import AnyEvent, OrderFilled, OrderModified, OrderRejected, RejectReason
from tests.unit.engine.factories import MINUTE_NS, START_NS, flat, make_bars, make_market, of, play, run

Changed = tuple[float, float | None, float | None]
STOP_LIMIT = {"limit_price": 106.0, "stop_price": 105.0}


def played(*orders: dict[str, Any], prices: tuple[float, ...] = (100.0,) * 4, **parts: Any) -> list[AnyEvent]:
    market = make_market(make_bars(flat(*prices)), make_bars(flat(*prices), symbol="Y"))
    return play(market, [{"at": 0, "symbol": "X"} | order for order in orders], **parts)


def buy(**terms: Any) -> dict[str, Any]:
    return {"side": "buy", "quantity": 10.0, **terms}


def sell(**terms: Any) -> dict[str, Any]:
    return {"side": "sell", "quantity": 10.0, **terms}


# --- changes ---


@pytest.mark.parametrize(
    ("order", "change", "expected"),
    [
        (STOP_LIMIT, {"quantity": 5.0}, (5.0, 106.0, 105.0)),
        (STOP_LIMIT, {"quantity": 1.0}, (1.0, 106.0, 105.0)),
        (STOP_LIMIT, {"quantity": 0.0}, (10.0, 106.0, 105.0)),
        (STOP_LIMIT, {"quantity": 0.4}, (10.0, 106.0, 105.0)),  # less than a lot
        (STOP_LIMIT, {"quantity": -0.5}, (10.0, 106.0, 105.0)),
        (STOP_LIMIT, {"quantity": -5.0}, (10.0, 106.0, 105.0)),
        (STOP_LIMIT, {"limit_price": 1.0}, (10.0, 1.0, 105.0)),
        (STOP_LIMIT, {"limit_price": 0.0}, (10.0, 106.0, 105.0)),
        (STOP_LIMIT, {"limit_price": -0.5}, (10.0, 106.0, 105.0)),
        (STOP_LIMIT, {"stop_price": 1.0}, (10.0, 106.0, 1.0)),
        (STOP_LIMIT, {"stop_price": 0.0}, (10.0, 106.0, 105.0)),
        (STOP_LIMIT, {"stop_price": -0.5}, (10.0, 106.0, 105.0)),
        ({"limit_price": 90.0}, {"stop_price": 95.0}, (10.0, 90.0, None)),  # a limit order gets no stop
        ({"stop_price": 110.0}, {"limit_price": 95.0}, (10.0, None, 110.0)),
    ],
)
def test_a_change_to_what_no_order_may_have_is_left_out(
    order: dict[str, float], change: dict[str, float], expected: Changed
) -> None:
    events = played(buy(id="it", **order), {"modify": "it", **change})
    [modified] = of(events, OrderModified)
    assert (modified.quantity, modified.limit_price, modified.stop_price) == expected


def test_a_change_to_infinity_is_left_out() -> None:
    class Boundless(Strategy):
        def on_bar(self) -> None:
            if self.step == 0:
                self.buy(10.0, limit=106.0, stop=105.0).modify(quantity=math.inf, limit=math.inf, stop=math.inf)

    [modified] = of(run(make_market(make_bars(flat(100.0, 100.0))), Boundless), OrderModified)
    assert (modified.quantity, modified.limit_price, modified.stop_price) == (10.0, 106.0, 105.0)


@pytest.mark.parametrize("at", [-1, 0])
def test_a_change_is_made_once(at: int) -> None:
    """5 of 10, of which 4 fill in bar 0 or 1, and 1 in the next."""
    market = make_market(make_bars([(100.0, 100.0, 100.0, 100.0, 40.0)] * 4))
    orders = [{"at": at, **buy(id="it", limit_price=100.0)}, {"at": at, "modify": "it", "quantity": 5.0}]
    events = play(market, orders, execution={"volume_limit": 0.1})
    assert len(of(events, OrderModified)) == 1
    assert [fill.quantity for fill in of(events, OrderFilled)] == [4.0, 1.0]


def test_a_change_of_quantity_makes_units_of_a_share() -> None:
    """All of the equity, changed to 5 units: 5 units it is at the fill."""
    events = played({"side": "buy", "fraction": 1.0, "id": "it"}, {"modify": "it", "quantity": 5.0})
    assert [fill.quantity for fill in of(events, OrderFilled)] == [5.0]


def test_a_change_arrives_with_latency() -> None:
    """Sent at the close of bar 0, there at the close of bar 1: the stop at 103 is met in bar 2 only."""
    events = played(
        buy(id="it", stop_price=110.0), {"modify": "it", "stop_price": 103.0}, prices=(100.0, 104.0, 104.0, 104.0),
        execution={"latency_bars": 1},
    )  # fmt: skip
    [modified], [fill] = of(events, OrderModified), of(events, OrderFilled)
    assert [(event.time_ns - START_NS) // MINUTE_NS for event in (modified, fill)] == [1, 2]
    assert fill.price == 104.0


# --- refusals ---


@pytest.mark.parametrize(
    ("before", "is_taken"),
    [
        ([buy(limit_price=90.0)], True),
        ([buy(limit_price=90.0), sell(symbol="Y")], True),
        ([], False),
        ([buy(limit_price=90.0, symbol="Y")], False),
        ([sell(limit_price=110.0)], False),
        ([buy(limit_price=90.0, id="gone"), {"cancel": "gone"}], False),
    ],
)
def test_what_only_reduces_needs_a_position_or_an_order_that_may_open_one(before: list[dict[str, Any]], is_taken: bool) -> None:
    rejected = of(played(*before, sell(reduce_only=True)), OrderRejected)
    assert [each.reason for each in rejected] == ([] if is_taken else [RejectReason.REDUCE_ONLY])


@pytest.mark.parametrize(
    ("before", "is_taken"),
    [
        ([buy(limit_price=90.0)], True),
        ([], False),
        ([buy(limit_price=90.0, symbol="Y")], False),
        ([buy(limit_price=90.0, symbol="Y"), buy(limit_price=90.0), sell(limit_price=110.0)], True),
    ],
)
def test_where_nothing_is_sold_short_a_sale_needs_units_or_a_purchase(before: list[dict[str, Any]], is_taken: bool) -> None:
    events = played(*before, sell(limit_price=110.0), account={"cash": 10_000.0, "allow_short": False})
    assert [each.reason for each in of(events, OrderRejected)] == ([] if is_taken else [RejectReason.SHORT_NOT_ALLOWED])


@pytest.mark.parametrize(
    ("percent", "is_taken"), [(0.0, False), (-0.5, False), (0.5, True), (1.0, True), (99.5, True), (100.0, False)]
)
def test_a_trail_in_percent_is_above_none_and_below_all(percent: float, is_taken: bool) -> None:
    rejected = of(played(sell(trail_percent=percent)), OrderRejected)
    assert [each.reason for each in rejected] == ([] if is_taken else [RejectReason.INVALID_PRICE])


@pytest.mark.parametrize(
    ("side", "limit", "is_taken"),
    [
        ("buy", 99.99, True),
        ("buy", 100.0, False),  # at the last price it would take
        ("buy", 100.5, False),
        ("sell", 100.01, True),
        ("sell", 100.0, False),
        ("sell", 99.5, False),
    ],
)
def test_post_only_is_short_of_the_last_price(side: str, limit: float, is_taken: bool) -> None:
    rejected = of(played({"side": side, "quantity": 10.0, "limit_price": limit, "post_only": True}), OrderRejected)
    assert [each.reason for each in rejected] == ([] if is_taken else [RejectReason.POST_ONLY])


def test_cover_is_judged_with_a_takers_fee() -> None:
    """10 at 100 and 1 percent of it are more than 1,000; 9 are not."""
    commission = {"type": "maker_taker", "maker": 0.0, "taker": 0.01}
    for quantity, reasons in ((10.0, [RejectReason.INSUFFICIENT_MARGIN]), (9.0, [])):
        events = played(buy(quantity=quantity), account={"cash": 1_000.0}, execution={"commission": commission})
        assert [each.reason for each in of(events, OrderRejected)] == reasons


@pytest.mark.parametrize(("at", "reasons"), [(-1, []), (0, []), (1, [RejectReason.INVALID_TIME])])
def test_a_time_that_has_come_is_too_late(at: int, reasons: list[RejectReason]) -> None:
    """Good till the time at which bar 1 begins."""
    events = played(buy(at=at, time_in_force="gtd", expires_at="2024-01-01T00:01:00Z"))
    assert [each.reason for each in of(events, OrderRejected)] == reasons


def test_one_unit_that_is_being_bought_can_be_sold() -> None:
    events = played(buy(quantity=1.0, limit_price=90.0), sell(quantity=1.0), account={"cash": 1_000.0, "allow_short": False})
    assert of(events, OrderRejected) == []


@pytest.mark.parametrize(
    ("order", "reasons"),
    [
        ({"side": "buy", "value": 5.0}, []),  # 10 units
        ({"side": "buy", "value": 0.4}, [RejectReason.INVALID_QUANTITY]),
        ({"side": "buy", "quantity": 10.0}, []),
        ({"side": "buy", "quantity": 11.0}, [RejectReason.INSUFFICIENT_MARGIN]),
        ({"side": "sell", "quantity": 1.0, "trail_amount": 0.1}, []),
    ],
)
def test_prices_below_one_are_prices(order: dict[str, Any], reasons: list[RejectReason]) -> None:
    """5 of cash, at 0.5."""
    events = played(order, prices=(0.5,) * 3, account={"cash": 5.0})
    assert [each.reason for each in of(events, OrderRejected)] == reasons
