"""Which of several orders a bar fills first, on a path and off it, and what ends with a day: each rule at its bounds."""

from typing import Any

import pytest

from schemas.events import (
    AnyEvent,
    OrderCancelled,
    OrderEnd,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    RejectReason,
)
from tests.unit.engine.factories import MINUTE_NS, START_NS, Row, flat, make_bars, make_market, of, play

NOON, LAST, NEXT = 720, 1_439, 1_440  # minutes of the first day, and the first of the second
WIDE: Row = (100.0, 103.0, 97.0, 100.0)


def played(rows: list[Row], *orders: dict[str, Any], times: list[int] | None = None, **parts: Any) -> list[AnyEvent]:
    market = make_market(make_bars(rows, times=times))
    return play(market, [{"at": 0} | ({} if "modify" in order else {"quantity": 10.0}) | order for order in orders], **parts)


def fills(events: list[AnyEvent]) -> list[tuple[int, int, float]]:
    """Return minute, order and price."""
    return [(minute(fill), fill.order_id, fill.price) for fill in of(events, OrderFilled)]


def expiries(events: list[AnyEvent]) -> list[tuple[int, int]]:
    """Return minute and order."""
    return [(minute(end), end.order_id) for end in of(events, OrderExpired)]


def minute(event: Any) -> int:
    return int(event.time_ns - START_NS) // MINUTE_NS


# --- which is first ---


def test_stop_first_is_market_orders_then_stops_then_limits() -> None:
    """Sent the other way round."""
    limit, stop, market = {"limit_price": 98.0}, {"stop_price": 102.0}, {}
    events = played([*flat(100.0), WIDE], *({"side": "buy"} | terms for terms in (limit, stop, market)))
    assert fills(events) == [(1, 3, 100.0), (1, 2, 102.0), (1, 1, 98.0)]


def test_on_a_path_the_open_fills_in_the_order_of_submission() -> None:
    """The open at 97 is beyond the limit: it was sent before the market order, and fills before it."""
    rows: list[Row] = [*flat(100.0), (97.0, 98.0, 96.0, 97.0)]
    events = played(rows, {"side": "buy", "limit_price": 98.0}, {"side": "buy"}, execution={"same_bar": "path"})
    assert fills(events) == [(1, 1, 97.0), (1, 2, 97.0)]


def test_on_a_path_orders_at_one_level_fill_in_the_order_of_submission() -> None:
    events = played([*flat(100.0), WIDE], *[{"side": "buy", "limit_price": 98.0}] * 2, execution={"same_bar": "path"})
    assert fills(events) == [(1, 1, 98.0), (1, 2, 98.0)]


@pytest.mark.parametrize(
    ("row", "order"),
    [
        ((100.0, 103.0, 96.0, 100.0), [1, 2]),  # 3 up, 4 down: up first
        ((100.0, 104.0, 97.0, 100.0), [2, 1]),
        ((100.0, 103.0, 97.0, 100.0), [2, 1]),  # as far down as up: down first
    ],
)
def test_an_adaptive_path_goes_to_the_nearer_extreme_first(row: Row, order: list[int]) -> None:
    pair = [{"side": "buy", "stop_price": 102.0}, {"side": "buy", "limit_price": 98.0}]
    events = played([*flat(100.0), row], *pair, execution={"same_bar": "adaptive_path"})
    assert [fill[1] for fill in fills(events)] == order


def test_what_a_bars_volume_leaves_of_an_order_on_a_path_fills_in_the_next() -> None:
    """A tenth of 40 is 4: 4, 4 and 2 in three bars."""
    thin = [(100.0, 100.0, 100.0, 100.0, 40.0)] * 5
    events = played(thin, {"side": "buy", "limit_price": 100.0}, execution={"same_bar": "path", "volume_limit": 0.1})
    assert [(fill[0], quantity.quantity) for fill, quantity in zip(fills(events), of(events, OrderFilled), strict=True)] == [
        (1, 4.0), (2, 4.0), (3, 2.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("order", "rules"),
    [
        ({"side": "buy", "stop_price": 101.0}, {"stop_touch": "close"}),  # met on the way to the high: place 1/3
        ({"side": "sell", "limit_price": 101.0}, {"limit_touch": "close"}),
        ({"side": "buy", "stop_price": 101.0, "limit_price": 101.0}, {"stop_limit": "path"}),
        ({"side": "sell", "stop_price": 99.0, "limit_price": 99.0}, {"stop_limit": "path"}),
    ],
)
def test_a_path_meets_a_level_exactly(order: dict[str, Any], rules: dict[str, str]) -> None:
    """Open 100, high 103, low 98: whatever the bar closes at, an order fills at its level; a limit at the stop is no obstacle."""
    close = 102.0 if order.get("stop_price") != 99.0 else 98.5
    events = played([*flat(100.0), (100.0, 103.0, 98.0, close)], order, execution={"same_bar": "path"} | rules)
    assert fills(events) == [(1, 1, order.get("stop_price", order.get("limit_price")))]


@pytest.mark.parametrize(
    ("side", "level", "row"), [("buy", 103.0, (103.0, 104.0, 103.0, 104.0)), ("sell", 97.0, (97.0, 97.0, 96.0, 96.0))]
)
def test_a_limit_at_the_stop_needs_no_luck_on_a_path(side: str, level: float, row: Row) -> None:
    """What triggers it fills it: it has never rested where a queue stands before it, which would leave it nothing here."""
    rules = {"same_bar": "path", "stop_limit": "path", "limit_fill_probability": 0.0}
    events = played([*flat(100.0), row], {"side": side, "stop_price": level, "limit_price": level}, execution=rules)
    assert fills(events) == [(1, 1, level)]


ENTRY = {"side": "buy", "stop_price": 101.0}
CLOSED_BEYOND: Row = (100.0, 104.0, 98.0, 103.0)  # 104 first: the entry fills at 101 on the way up


@pytest.mark.parametrize(
    ("terms", "row", "rules", "price"),
    [
        ({"take_profit": 101.5}, CLOSED_BEYOND, {"limit_touch": "close", "gap_limit": "close"}, 101.5),  # still ahead: met
        ({"take_profit": 101.0}, CLOSED_BEYOND, {"gap_limit": "close"}, 103.0),  # where the entry filled: as a gap
        ({"take_profit": 100.5}, CLOSED_BEYOND, {}, 101.0),  # passed by half a point
        ({"stop_loss": 101.0}, (100.0, 104.0, 98.0, 100.0), {"gap_stop": "close"}, 100.0),
    ],
)
def test_an_exit_at_the_price_of_its_entry_is_passed_and_one_beyond_it_is_not(
    terms: dict[str, float], row: Row, rules: dict[str, str], price: float
) -> None:
    """By the gap rule what was passed at the entry; at its level what the path meets after it."""
    events = played([*flat(100.0), row], ENTRY | terms, execution={"same_bar": "path"} | rules)
    assert [fill[2] for fill in fills(events)] == [101.0, price]


def test_a_touched_limit_at_the_price_of_the_touch_allows_it() -> None:
    """Limit and touch are one price: the touch fills, and does not wait for the next bar."""
    for side, level in (("buy", 98.0), ("sell", 102.0)):
        events = played([*flat(100.0), WIDE, *flat(100.0)], {"side": side, "touch_price": level, "limit_price": level})
        assert fills(events) == [(1, 1, level)]


# --- at the close ---


def test_a_changed_limit_order_waits_for_the_next_bar() -> None:
    """Market orders fill at this close; the limit that was moved into this bar at its close does not."""
    rows: list[Row] = [*flat(100.0), (100.0, 100.0, 98.0, 100.0), *flat(100.0, 100.0)]
    limit = {"id": "limit", "side": "buy", "limit_price": 90.0}
    events = played(rows, limit, {"at": 1, "modify": "limit", "limit_price": 99.0}, execution={"market_fill": "same_close"})
    assert fills(events) == []


LONG_ONLY = {"account": {"cash": 10_000.0, "allow_short": False}}


def test_an_order_that_has_ended_brings_nothing_to_sell() -> None:
    """The purchase ends in bar 1, or at the close of bar 0; at the next close there is nothing to sell, now or later."""
    sale = {"at": 1, "side": "sell"}
    ended: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"limit_price": 90.0, "time_in_force": "ioc"}, {}),
        ({"quantity": 1_000.0}, {"market_fill": "same_close", "cash_short": "cancel"}),
    ]
    for terms, rules in ended:
        events = played(flat(*[100.0] * 4), {"side": "buy"} | terms, sale, execution=rules, **LONG_ONLY)
        assert [refused.reason for refused in of(events, OrderRejected)] == [RejectReason.SHORT_NOT_ALLOWED]


# --- the end of a day ---


def test_an_order_for_the_day_ends_with_the_bar_it_has_just_become_live_in() -> None:
    """Sent at noon, live in the day's last bar only; an order that filled there stands before it on the book."""
    filled, resting = {"side": "buy"}, {"side": "buy", "limit_price": 90.0, "time_in_force": "day"}
    events = played(flat(*[100.0] * 4), {"at": 1} | filled, {"at": 1} | resting, times=[0, NOON, LAST, NEXT])
    assert fills(events) == [(LAST, 1, 100.0)]
    assert expiries(events) == [(LAST, 2)]


def test_an_attached_order_for_the_day_lives_from_its_parents_fill() -> None:
    """Its parent fills on the second day: it has waited through the end of the first, and is there on the second."""
    rows: list[Row] = [*flat(100.0, 100.0, 100.0), (100.0, 100.0, 95.0, 96.0), *flat(100.0)]
    parent = {"id": "entry", "side": "buy", "limit_price": 95.0}
    child = {"side": "sell", "parent": "entry", "limit_price": 99.0, "time_in_force": "day", "reduce_only": True}
    events = played(rows, parent, child, times=[0, NOON, LAST, NEXT, NEXT + 1], execution={"entry_bar": "wait"})
    assert fills(events) == [(NEXT, 1, 95.0), (NEXT + 1, 2, 100.0)]


# --- what waits for an order that ends ---


def test_an_order_that_ends_without_a_fill_takes_along_what_waits_for_it() -> None:
    """Cancelled at the close of bar 1: the stop and the target that hang on it end with it, in full; others do not."""
    entry = {"id": "entry", "side": "buy", "limit_price": 90.0, "stop_loss": 80.0, "take_profit": 99.0}
    other = {"side": "buy", "limit_price": 91.0, "quantity": 3.0}
    events = played(flat(*[100.0] * 4), other, entry, {"at": 1, "quantity": None, "cancel": "entry"})
    assert len(of(events, OrderSubmitted)) == 4
    assert [(minute(end), end.order_id, end.reason, end.quantity) for end in of(events, OrderCancelled)] == [
        (1, 2, OrderEnd.BY_STRATEGY, 10.0),
        (1, 3, OrderEnd.PARENT_ENDED, 10.0),
        (1, 4, OrderEnd.PARENT_ENDED, 10.0),
        (3, 1, OrderEnd.END_OF_DATA, 3.0),
    ]


def test_an_order_that_ends_after_a_part_leaves_what_hangs_on_the_part() -> None:
    """4 of 10 are bought, the rest is cancelled: the stop sells 4."""
    rows: list[Row] = [*flat(100.0), (100.0, 100.0, 100.0, 100.0, 40.0), (97.0, 97.0, 97.0, 97.0)]
    entry = {"id": "entry", "side": "buy", "time_in_force": "ioc", "stop_loss": 98.0}
    events = played(rows, entry, execution={"volume_limit": 0.1})
    assert [(fill.order_id, fill.quantity) for fill in of(events, OrderFilled)] == [(1, 4.0), (2, 4.0)]
