"""Trailing stops: what they follow, and what they don't."""

from typing import Any

import pytest

from schemas.events import AnyEvent, OrderFilled
from tests.unit.engine.factories import MINUTE_NS, START_NS, Row, flat, make_bars, make_market, of, play

TRAIL: dict[str, Any] = {"at": 0, "side": "sell", "quantity": 1.0, "trail_amount": 1.0}


def fills(events: list[AnyEvent]) -> list[tuple[int, int, float]]:
    """Return bar, order and price."""
    return [(int(fill.time_ns - START_NS) // MINUTE_NS, fill.order_id, fill.price) for fill in of(events, OrderFilled)]


def played(rows: list[Row], *orders: dict[str, Any], **parts: Any) -> list[tuple[int, int, float]]:
    return fills(play(make_market(make_bars(rows)), orders, **parts))


def test_a_stop_follows_the_smallest_step_and_never_goes_back() -> None:
    """From 100 to 100.5: the stop goes from 99 to 99.5. A limit order before it on the book has no part in it."""
    rows: list[Row] = [*flat(100.0), (100.0, 100.5, 100.0, 100.0), *flat(99.6), (99.6, 99.6, 99.4, 99.4)]
    limit = {"at": 0, "side": "buy", "quantity": 1.0, "limit_price": 90.0}
    assert played(rows, limit, TRAIL) == [(3, 2, 99.5)]


@pytest.mark.parametrize(("last", "expected"), [(98.6, [(1, 1, 98.6)]), (98.5, [(1, 1, 98.5)]), (98.4, [])])
def test_a_limit_trails_at_its_own_distance(last: float, expected: list[tuple[int, int, float]]) -> None:
    """Stop 99, limit half a point below: 98.5."""
    assert played(flat(100.0, last), TRAIL | {"limit_offset": 0.5}) == expected


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_limit_that_was_changed_stays_until_the_stop_moves(side: str) -> None:
    """Sell: stop 99, limit 98.5, changed to 98. At 98.4 it is triggered, and sells. Buy: mirrored at 100."""
    sign = 1.0 if side == "sell" else -1.0
    change = {"at": 0, "modify": "trail", "limit_price": 100.0 - sign * 2.0}
    order = TRAIL | {"id": "trail", "side": side, "limit_offset": 0.5}
    rows = flat(100.0, 100.0, 100.0 - sign * 1.6)
    assert played(rows, order, change) == [(2, 1, 100.0 - sign * 1.6)]


def test_a_triggered_stop_limit_trails_no_more() -> None:
    """Triggered at 98, below its limit of 98.5: as high as bars get that don't come up to it, it rests there."""
    rows: list[Row] = [*flat(100.0, 98.0, 98.4), (98.4, 98.6, 98.4, 98.6), *flat(105.0)]
    assert played(rows, TRAIL | {"limit_offset": 0.5}) == [(3, 1, 98.5)]


def test_a_symbol_without_a_bar_leaves_its_stops_and_no_others() -> None:
    """Y has no bar 1, and its high of bar 0 came before the order. X falls from 103 in bar 1, so its stop is 102."""
    x = make_bars([*flat(100.0), (100.0, 103.0, 102.5, 103.0), *flat(101.0)])
    y = make_bars([(100.0, 110.0, 100.0, 100.0), *flat(100.0)], symbol="Y", times=[0, 2])
    events = play(make_market(x, y), [TRAIL | {"symbol": "Y"}, TRAIL | {"symbol": "X"}])
    assert fills(events) == [(2, 2, 101.0)]


def test_a_triggered_stop_limit_that_fills_in_parts_keeps_its_limit() -> None:
    """1 of 2 fills at 98.5 in a bar up to 105; the other at 99 in the next, as the limit is where it was."""
    rows: list[Row] = [*flat(100.0, 98.0), (98.0, 105.0, 98.0, 105.0, 10.0), (99.0, 99.0, 99.0, 99.0, 10.0)]
    order = TRAIL | {"limit_offset": 0.5, "quantity": 2.0}
    assert played(rows, order, execution={"volume_limit": 0.1}) == [(2, 1, 98.5), (3, 1, 99.0)]


def test_a_limit_may_trail_at_the_stop_itself() -> None:
    assert played(flat(100.0, 99.0), TRAIL | {"limit_offset": 0.0}) == [(1, 1, 99.0)]
