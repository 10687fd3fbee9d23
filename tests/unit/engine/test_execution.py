"""What becomes of an order at its fill: volume, cover, a position that is gone, the orders that hang on it."""

from typing import Any

import pytest

from engine.kernels.chance import throw
from schemas.events import AnyEvent, OrderCancelled, OrderEnd, OrderFilled, OrderModified
from tests.unit.engine.factories import MINUTE_NS, START_NS, Row, flat, make_bars, make_market, of, play

THIN = (100.0, 100.0, 100.0, 100.0, 40.0)  # a volume limit of 0.1 leaves 4 of it
TENTH = {"volume_limit": 0.1}


def played(rows: list[Row], *orders: dict[str, Any], **parts: Any) -> list[AnyEvent]:
    return play(make_market(make_bars(rows)), [{"at": 0, "quantity": 10.0} | order for order in orders], **parts)


def fills(events: list[AnyEvent]) -> list[tuple[int, str, float, float]]:
    """Return bar, side, quantity, price."""
    return [(bar(fill), str(fill.side.value), fill.quantity, fill.price) for fill in of(events, OrderFilled)]


def ends(events: list[AnyEvent]) -> list[tuple[int, OrderEnd]]:
    return [(bar(end), end.reason) for end in of(events, OrderCancelled)]


def bar(event: Any) -> int:
    return int(event.time_ns - START_NS) // MINUTE_NS


# --- volume and time in force ---


def test_all_or_nothing_takes_no_part() -> None:
    """4 of 10 can be had: fill or kill ends at once without a fill; immediate or cancel takes the 4."""
    rows: list[Row] = [THIN] * 4
    killed = played(rows, {"side": "buy", "time_in_force": "fok"}, execution=TENTH)
    assert (fills(killed), ends(killed)) == ([], [(1, OrderEnd.FILL_OR_KILL)])
    partly = played(rows, {"side": "buy", "time_in_force": "ioc"}, execution=TENTH)
    assert (fills(partly), ends(partly)) == ([(1, "buy", 4.0, 100.0)], [(1, OrderEnd.IMMEDIATE_OR_CANCEL)])
    whole = played(rows, {"side": "buy", "time_in_force": "fok", "quantity": 4.0}, execution=TENTH)
    assert fills(whole) == [(1, "buy", 4.0, 100.0)]


def test_an_order_is_over_at_the_time_it_names() -> None:
    """Good till the time at which bar 2 begins: bar 2 is too late."""
    rows: list[Row] = [*flat(100.0, 100.0), (100.0, 100.0, 97.0, 98.0)]
    order = {"side": "buy", "limit_price": 98.0, "time_in_force": "gtd", "expires_at": "2024-01-01T00:02:00Z"}
    assert fills(played(rows, order)) == []
    assert len(fills(played(rows, order | {"expires_at": "2024-01-01T00:02:01Z"}))) == 1


def test_every_bar_has_its_volume_for_all_of_its_orders() -> None:
    """4 a bar: 5 take two bars; what they leave of the second goes to the next orders in their turn."""
    rows: list[Row] = [THIN] * 4
    events = played(rows, *({"side": "buy", "quantity": quantity} for quantity in (5.0, 1.0, 4.0)), execution=TENTH)
    assert [(bar(fill), fill.order_id, fill.quantity) for fill in of(events, OrderFilled)] == [
        (1, 1, 4.0), (2, 1, 1.0), (2, 2, 1.0), (2, 3, 2.0), (3, 3, 2.0),
    ]  # fmt: skip


# --- what there is to reduce ---


def test_an_order_that_only_reduces_ends_where_nothing_is_left() -> None:
    """Two of them close 10 in turn: the second ends in the same bar, once."""
    exit_ = {"at": 1, "side": "sell", "reduce_only": True}
    for terms in ({}, {"time_in_force": "fok"}):
        events = played(flat(*[100.0] * 4), {"side": "buy"}, exit_, exit_ | terms)
        assert fills(events) == [(1, "buy", 10.0, 100.0), (2, "sell", 10.0, 100.0)]
        assert ends(events) == [(2, OrderEnd.POSITION_CLOSED)]


@pytest.mark.parametrize("same_bar", ["stop_first", "path"])
def test_what_is_more_than_the_position_is_cut_off(same_bar: str) -> None:
    """15 to reduce 10: 10 fill, and the rest ends with that fill."""
    sale = {"at": 1, "side": "sell", "quantity": 15.0, "reduce_only": True}
    events = played(flat(*[100.0] * 4), {"side": "buy"}, sale, execution={"same_bar": same_bar})
    assert fills(events)[1:] == [(2, "sell", 10.0, 100.0)]
    assert ends(events) == [(2, OrderEnd.POSITION_CLOSED)]


def test_what_only_reduces_waits_for_volume_while_there_is_something_to_reduce() -> None:
    """15 to reduce 10, 4 a bar: 4, 4 and 2, and the rest ends with the last of them."""
    rows: list[Row] = [*flat(100.0, 100.0), *[THIN] * 4]
    events = played(rows, {"side": "buy"}, {"at": 1, "side": "sell", "quantity": 15.0, "reduce_only": True}, execution=TENTH)
    assert [fill[:3] for fill in fills(events)] == [(1, "buy", 10.0), (2, "sell", 4.0), (3, "sell", 4.0), (4, "sell", 2.0)]
    assert ends(events) == [(4, OrderEnd.POSITION_CLOSED)]


# --- cover ---


@pytest.mark.parametrize(("kind", "reason"), [("cash", OrderEnd.INSUFFICIENT_CASH), ("margin", OrderEnd.INSUFFICIENT_MARGIN)])
def test_a_share_of_equity_that_nothing_is_left_for_ends(kind: str, reason: OrderEnd) -> None:
    """Each would take all the equity: the first does, the second ends once, with its account's reason."""
    order = {"side": "buy", "quantity": None, "fraction": 1.0}
    events = played(flat(*[100.0] * 4), order, order, account={"type": kind}, execution={"cash_short": "cancel"})
    assert fills(events) == [(1, "buy", 1_000.0, 100.0)]
    assert ends(events) == [(1, reason)]


@pytest.mark.parametrize(
    ("cash", "rule", "filled", "left"),
    [
        (100_000.0, "cancel", 990.0, None),  # 990 * 101 <= 100,000
        (100_000.0, "allow", 1_000.0, None),
        (100.0, "cancel", 0.9, None),  # 1 unit and its fee are 101, in lots of 0.1
        (10.0, "cancel", None, 0.0),  # a lot and its fee are 10.1: it ends with nothing of it open
    ],
)
def test_a_share_of_equity_leaves_room_for_its_commission(
    cash: float, rule: str, filled: float | None, left: float | None
) -> None:
    """The order is made smaller and filled whole: nothing of it is cancelled."""
    market = make_market(make_bars(flat(100.0, 100.0, 100.0)), lot=0.1 if cash < 1_000.0 else 1.0)
    orders = [{"at": 0, "side": "buy", "fraction": 1.0}]
    parts = {"account": {"cash": cash}, "execution": {"cash_short": rule, "commission": {"type": "rate", "rate": 0.01}}}
    events = play(market, orders, **parts)
    assert [fill.quantity for fill in of(events, OrderFilled)] == ([] if filled is None else [filled])
    assert [end.quantity for end in of(events, OrderCancelled)] == ([] if left is None else [left])


def test_a_value_that_buys_less_at_its_fill_is_reported() -> None:
    """250 at 100 are 2 units, at the open of 200 one."""
    events = played(flat(100.0, 200.0), {"side": "buy", "quantity": None, "value": 250.0})
    assert [modified.quantity for modified in of(events, OrderModified)] == [1.0]
    assert fills(events) == [(1, "buy", 1.0, 200.0)]


# --- volume-share slippage and limits ---


@pytest.mark.parametrize(
    ("execution", "volume", "filled"),
    [
        (TENTH, 45.0, 4.5),
        ({"slippage": {"type": "volume_share", "limit": 0.1, "impact": 0.0}}, 45.0, 4.0),  # in whole units
        (TENTH, 10.0, 1.0),
        (TENTH, 5.0, 0.5),
    ],
)
def test_what_a_bars_volume_leaves_is_in_lots_or_whole_units(execution: dict[str, Any], volume: float, filled: float) -> None:
    market = make_market(make_bars([(5.0, 5.0, 5.0, 5.0, volume)] * 2), lot=0.1)
    events = play(market, [{"at": 0, "side": "buy", "quantity": 10.0}], execution=execution)
    assert [fill.quantity for fill in of(events, OrderFilled)] == [filled]


def test_an_order_that_finds_no_volume_is_sized_without_impact() -> None:
    """The first takes all 10; the second, 10,000 at 100, is still 100 units: nothing of it moves the price."""
    slippage = {"type": "volume_share", "limit": 1.0, "impact": 0.3}
    rows: list[Row] = [(100.0, 100.0, 100.0, 100.0, 10.0)] * 2
    orders = [{"side": "buy", "quantity": 10.0}, {"side": "buy", "quantity": None, "value": 10_000.0}]
    events = played(rows, *orders, execution={"slippage": slippage})
    assert [fill.quantity for fill in of(events, OrderFilled)] == [10.0]
    assert of(events, OrderModified) == []


@pytest.mark.parametrize(("limit", "price"), [(5.0, None), (5.014, None), (5.015, 5.015), (5.02, 5.015)])
def test_volume_share_never_takes_a_limit_order_past_its_limit(limit: float, price: float | None) -> None:
    """5 · (1 + 0.3 · (10 / 100)²) = 5.015: a limit below it waits."""
    slippage = {"type": "volume_share", "limit": 1.0, "impact": 0.3}
    rows: list[Row] = [(5.0, 5.0, 5.0, 5.0, 100.0)] * 2
    market = make_market(make_bars(rows), tick=0.001)
    events = play(market, [{"at": 0, "side": "buy", "quantity": 10.0, "limit_price": limit}], execution={"slippage": slippage})
    assert [fill.price for fill in of(events, OrderFilled)] == ([] if price is None else [price])


# --- price and fee ---


def test_a_price_between_ticks_is_rounded_to_a_limit_that_it_allows() -> None:
    """An open of 99.996 is 100.00 in ticks of 0.01: no more than the limit."""
    rows: list[Row] = [*flat(100.0), (99.996, 99.996, 99.99, 99.99)]
    assert fills(played(rows, {"side": "buy", "limit_price": 100.0})) == [(1, "buy", 10.0, 100.0)]


@pytest.mark.parametrize(("side", "limit", "price"), [("buy", 98.996, 98.99), ("sell", 101.004, 101.01)])
def test_a_limit_between_ticks_is_rounded_to_the_better_one(side: str, limit: float, price: float) -> None:
    rows: list[Row] = [*flat(100.0), (100.0, 102.0, 98.0, 100.0)]
    assert fills(played(rows, {"side": side, "limit_price": limit})) == [(1, side, 10.0, price)]


@pytest.mark.parametrize(
    ("order", "row", "fee"),
    [
        ({"limit_price": 99.0}, (100.0, 100.0, 98.0, 99.0), 0.0),
        ({"limit_price": 99.0}, (98.0, 100.0, 98.0, 99.0), 9.8),  # at the open, which lies beyond the limit: it takes
        ({"stop_price": 101.0, "limit_price": 99.0}, (102.0, 102.0, 98.0, 98.0), 9.9),
        ({"stop_price": 101.0}, (100.0, 102.0, 98.0, 98.0), 10.1),
        ({}, (100.0, 102.0, 98.0, 98.0), 10.0),
    ],
)
def test_only_a_limit_order_that_rested_is_a_maker(order: dict[str, float], row: Row, fee: float) -> None:
    """1 percent of 10 units for who takes, nothing for who makes."""
    commission = {"type": "maker_taker", "maker": 0.0, "taker": 0.01}
    events = played([*flat(100.0), row], {"side": "buy"} | order, execution={"commission": commission})
    assert [fill.commission for fill in of(events, OrderFilled)] == [fee]


# --- attached orders in the bar of their entry ---

STOP_ENTRY = {"stop_price": 102.0, "stop_loss": 100.0, "take_profit": 104.0}
OTHER = {"side": "buy", "quantity": 1.0, "stop_price": 103.0}
UPWARDS = (101.0, 105.0, 100.5, 104.0)
BACK_AND_FORTH = (101.0, 105.0, 100.0, 104.0)
DOWN = (100.0, 100.0, 96.0, 99.0)
BY_ENTRY: list[tuple[str, dict[str, Any], Row, list[tuple[int, str, float, float]]]] = [
    ("market entry: live", {"stop_loss": 97.0}, DOWN, [(1, "buy", 10.0, 100.0), (1, "sell", 10.0, 97.0)]),
    ("limit entry: waits", {"limit_price": 98.0, "stop_loss": 97.0}, DOWN, [(1, "buy", 10.0, 98.0)]),
    ("stop entry, stop untouched: live", STOP_ENTRY, UPWARDS, [(1, "buy", 10.0, 102.0), (1, "sell", 10.0, 104.0)]),
    ("stop entry, stop touched: waits", STOP_ENTRY, BACK_AND_FORTH, [(1, "buy", 10.0, 102.0)]),
]


@pytest.mark.parametrize(("entry", "row", "expected"), [case[1:] for case in BY_ENTRY], ids=[case[0] for case in BY_ENTRY])
def test_attached_orders_are_live_by_the_kind_of_their_entry(
    entry: dict[str, Any], row: Row, expected: list[tuple[int, str, float, float]]
) -> None:
    """Policy entry_bar: by_entry. An order beside it whose stop the bar touches has no part in it."""
    for others in ([], [OTHER]):
        events = played([*flat(100.0), row], {"side": "buy"} | entry, *others, execution={"entry_bar": "by_entry"})
        assert [fill for fill in fills(events) if fill[2] == 10.0] == expected


def test_a_trail_begins_at_its_entrys_price() -> None:
    """Bought inside a bar at 98 that closes at 97.5: the stop 1 below is 97, not 96.5; nor 99, by bar 1 that filled another."""
    rows: list[Row] = [*flat(100.0, 100.0), (100.0, 100.0, 97.5, 97.5), (97.5, 97.5, 96.6, 97.0)]
    trail = {"side": "sell", "parent": "entry", "trail_amount": 1.0, "reduce_only": True}
    events = played(rows, {"side": "buy", "quantity": 1.0}, {"id": "entry", "side": "buy", "limit_price": 98.0}, trail)
    assert fills(events)[1:] == [(2, "buy", 10.0, 98.0), (3, "sell", 10.0, 97.0)]


def test_a_trail_has_no_level_that_the_bar_of_its_entry_could_touch() -> None:
    """Up to 105 first: bought at 102 and sold at 104, before the bar comes down to where the trail has begun, 101."""
    trail = {"side": "sell", "parent": "entry", "trail_amount": 1.0, "reduce_only": True}
    target = {"side": "sell", "parent": "entry", "limit_price": 104.0, "reduce_only": True}
    rules = {"entry_bar": "by_entry", "same_bar": "path"}
    rows: list[Row] = [*flat(100.0), (101.0, 105.0, 100.5, 104.0)]
    events = played(rows, {"id": "entry", "side": "buy", "stop_price": 102.0}, trail, target, execution=rules)
    assert fills(events) == [(1, "buy", 10.0, 102.0), (1, "sell", 10.0, 104.0)]


def test_an_attached_order_takes_no_more_than_it_was_sent_for() -> None:
    """The entry fills 4, 4 and 2; its exit is for 5."""
    entry, exit_ = {"id": "entry", "side": "buy"}, {"side": "sell", "quantity": 5.0, "parent": "entry", "stop_price": 95.0}
    events = played([*[THIN] * 4, *flat(94.0)], entry, exit_, execution=TENTH)
    assert fills(events) == [
        *((step, "buy", part, 100.0) for step, part in ((1, 4.0), (2, 4.0), (3, 2.0))),
        (4, "sell", 5.0, 94.0),
    ]


# --- one cancels other ---

TARGET = {"at": 1, "side": "sell", "limit_price": 105.0, "oco_group": "exits"}
STOP = {"at": 1, "side": "sell", "stop_price": 95.0, "oco_group": "exits"}


def test_what_one_fills_the_others_of_its_group_lose() -> None:
    """The target fills 4 of 10, so 6 are left for the stop."""
    rows: list[Row] = [*flat(100.0, 100.0), (104.0, 105.0, 104.0, 104.0, 40.0), (96.0, 96.0, 94.0, 95.0), *flat(105.0)]
    events = played(rows, {"side": "buy"}, TARGET, STOP, execution=TENTH)
    assert fills(events)[1:] == [(2, "sell", 4.0, 105.0), (3, "sell", 6.0, 95.0)]


@pytest.mark.parametrize(("target", "stop"), [(10.0, 4.0), (4.0, 10.0)])
def test_an_order_of_a_group_ends_with_all_of_itself_or_of_the_other(target: float, stop: float) -> None:
    """The target fills 4: all that the stop is for, or all of the target. Either way the stop ends."""
    rows: list[Row] = [*flat(100.0, 100.0), (104.0, 105.0, 104.0, 104.0, 40.0), *flat(104.0)]
    events = played(rows, {"side": "buy"}, TARGET | {"quantity": target}, STOP | {"quantity": stop}, execution=TENTH)
    assert fills(events)[1:] == [(2, "sell", 4.0, 105.0)]
    assert ends(events)[0] == (2, OrderEnd.ONE_CANCELS_OTHER)


def test_independent_orders_of_a_group_may_fill_in_one_bar_but_not_in_the_next() -> None:
    """A bar that reaches both fills both; one that reaches the target alone ends the stop."""
    both = played([*flat(100.0, 100.0), (100.0, 105.0, 95.0, 100.0)], {"side": "buy"}, TARGET, STOP, execution=INDEPENDENT)
    assert sorted(fill[3] for fill in fills(both)[1:]) == [95.0, 105.0]
    rows: list[Row] = [*flat(100.0, 100.0), (100.0, 105.0, 99.0, 100.0), (100.0, 100.0, 94.0, 95.0)]
    one = played(rows, {"side": "buy"}, TARGET, STOP, execution=INDEPENDENT)
    assert fills(one)[1:] == [(2, "sell", 10.0, 105.0)]
    assert ends(one) == [(2, OrderEnd.ONE_CANCELS_OTHER)]


INDEPENDENT = {"same_bar": "independent"}


# --- order in a bar, and chance ---


def test_what_fills_at_the_days_close_comes_after_the_limits_of_its_bar() -> None:
    """Sent first, filled last: the day's last bar reaches the limit before it closes."""
    rows = [(100.0, 100.0, 98.0, 99.0)] * 4
    orders = [
        {"at": 0, "side": "buy", "quantity": 1.0, "session": "close"},
        {"at": 0, "side": "buy", "quantity": 2.0, "limit_price": 98.0},
    ]
    events = play(make_market(make_bars(rows, times=[0, 719, 1_439, 1_440])), [{**order, "at": 1} for order in orders])
    assert [(fill.quantity, fill.price) for fill in of(events, OrderFilled)] == [(2.0, 98.0), (1.0, 99.0)]


def test_a_throw_has_to_be_below_the_probability() -> None:
    """A throw of just the probability is no luck; of a millionth less it is."""
    rows: list[Row] = [*flat(100.0), (100.0, 100.0, 98.0, 99.0)]
    for share, luck in ((1.0, 0), (1.000001, 1)):
        execution = {"limit_fill_probability": throw(0, 1, 1) * share}
        assert len(fills(played(rows, {"side": "buy", "limit_price": 98.0}, execution=execution))) == luck
