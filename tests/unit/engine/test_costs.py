"""Slippage and commission at their bounds: nothing to move, prices near zero, throws of dice, positions that a fill closes."""

from typing import Any

import pytest

from engine.kernels.chance import throw
from engine.kernels.costs import OTHER_DICE
from schemas.events import AnyEvent, OrderFilled, OrderModified
from tests.unit.engine.factories import Row, flat, make_bars, make_market, of, play


def played(rows: list[Row], *orders: tuple[str, float], lot: float = 1.0, **execution: Any) -> list[AnyEvent]:
    """Send each order (side, quantity) at the close of a bar of its own."""
    sent = [{"at": at, "side": side, "quantity": quantity} for at, (side, quantity) in enumerate(orders)]
    return play(make_market(make_bars(rows), lot=lot), sent, execution=execution)


def prices(events: list[AnyEvent]) -> list[float]:
    return [fill.price for fill in of(events, OrderFilled)]


@pytest.mark.parametrize("slippage", [{"type": "fixed", "amount": 1.0}, {"type": "ticks", "ticks": 100}])
def test_slippage_never_brings_a_price_below_zero(slippage: dict[str, Any]) -> None:
    """1 less than 0.5, and 1 less than 1.25."""
    assert prices(played(flat(0.5, 0.5), ("sell", 1.0), slippage=slippage)) == [0.0]
    assert prices(played(flat(1.25, 1.25), ("sell", 1.0), slippage=slippage)) == [0.25]


def test_an_order_slips_by_a_throw_of_its_own() -> None:
    """A throw of just the probability does not slip; of a millionth less it does."""
    chance = throw(0, 1 + OTHER_DICE, 1)
    for share, price in ((1.0, 100.0), (1.000001, 100.01)):
        slippage = {"type": "ticks", "ticks": 1, "probability": chance * share}
        assert prices(played(flat(100.0, 100.0), ("buy", 1.0), slippage=slippage)) == [price]


SPREAD = {"type": "spread", "rate": 0.01}


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([("buy", 1.0), ("sell", 1.0)], [101.0, 100.0]),  # what it closes pays nothing
        ([("sell", 1.0), ("buy", 4.0)], [99.0, 100.75]),  # 3 of 4 open
        ([("buy", 0.5), ("buy", 1.0)], [101.0, 101.0]),
    ],
)
def test_a_spread_is_paid_by_what_a_fill_opens(orders: list[tuple[str, float]], expected: list[float]) -> None:
    assert prices(played(flat(*[100.0] * 3), *orders, lot=0.5, slippage=SPREAD)) == expected


def test_an_order_that_finds_no_volume_is_sized_with_the_whole_spread() -> None:
    """The first takes all 10; 10,000 at 100 and its spread of 1 are 99 units, when there is volume for them."""
    orders = [{"at": 0, "side": "buy", "quantity": 10.0}, {"at": 0, "side": "buy", "value": 10_000.0}]
    market = make_market(make_bars([(100.0, 100.0, 100.0, 100.0, 10.0)] * 2))
    events = play(market, orders, execution={"slippage": SPREAD, "volume_limit": 1.0})
    assert [fill.quantity for fill in of(events, OrderFilled)] == [10.0]
    assert [modified.quantity for modified in of(events, OrderModified)] == [99.0]


def test_all_of_a_bars_volume_has_all_of_the_impact() -> None:
    """1 of 1: 100 * (1 + 0.1)."""
    slippage = {"type": "volume_share", "limit": 1.0, "impact": 0.1}
    assert prices(played([(100.0, 100.0, 100.0, 100.0, 1.0)] * 2, ("buy", 1.0), slippage=slippage)) == [110.0]


def test_an_order_sized_in_a_bar_without_volume_moves_no_price() -> None:
    """Nothing was traded in bar 1: 10,000 at 100 stay 100 units."""
    slippage = {"type": "volume_share", "limit": 1.0, "impact": 0.1}
    market = make_market(make_bars([(100.0, 100.0, 100.0, 100.0, 0.0)] * 2))
    events = play(market, [{"at": 0, "side": "buy", "value": 10_000.0}], execution={"slippage": slippage})
    assert of(events, OrderFilled, OrderModified) == []


def test_a_tier_has_a_rate_for_makers() -> None:
    """A limit at 99 that rested: 990 * 0.001."""
    rule = {"type": "tiered", "tiers": [{"from_value": 0.0, "maker": 0.001, "taker": 0.01}]}
    orders = [{"at": 0, "side": "buy", "quantity": 10.0, "limit_price": 99.0}]
    events = play(make_market(make_bars([*flat(100.0), (100.0, 100.0, 98.0, 99.0)])), orders, execution={"commission": rule})
    assert [fill.commission for fill in of(events, OrderFilled)] == [0.99]


def test_a_minimum_below_one_is_a_minimum() -> None:
    events = played(flat(100.0, 100.0), ("buy", 1.0), commission={"type": "rate", "rate": 0.0001, "minimum": 0.5})
    assert [fill.commission for fill in of(events, OrderFilled)] == [0.5]
