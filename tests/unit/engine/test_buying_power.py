"""What an account can carry, to the lot: at the price of the fill, under water, and of any number of lots."""

from typing import Any

import pytest

from engine.strategy import Strategy
from schemas.events import AnyEvent, OrderCancelled, OrderFilled, OrderRejected, RejectReason, Side
from tests.unit.engine.factories import flat, make_bars, make_market, of, play, run

PARTIAL = {"cash_short": "partial"}


def order(at: int, side: str, **terms: Any) -> dict[str, Any]:
    return {"at": at, "side": side, **terms}


def quantities(events: list[AnyEvent]) -> list[float]:
    return [fill.quantity for fill in of(events, OrderFilled)]


@pytest.mark.parametrize("cash", [1.0, 2.0, 3.0, 7.0, 12.0, 31.0, 32.0, 50.0, 63.0, 98.0, 99.0, 100.0, 150.0])
def test_as_many_lots_as_there_is_cash_for(cash: float) -> None:
    """At 1 a unit, up to the 100 that are asked for."""
    events = play(
        make_market(make_bars(flat(1.0, 1.0))), [order(0, "buy", quantity=100.0)], account={"cash": cash}, execution=PARTIAL
    )
    assert quantities(events) == [min(cash, 100.0)]


@pytest.mark.parametrize("held", [1.0, 10.0])
def test_who_is_under_water_can_close_and_nothing_else(held: float) -> None:
    """Bought at 100 with a tenth of it in cash, now 80: equity is negative. A part is sold, a purchase ends, the rest is sold."""
    orders = [
        order(0, "buy", quantity=held),
        order(1, "sell", quantity=held / 2.0),
        order(2, "buy", value=400.0),
        order(3, "sell", quantity=held / 2.0),
    ]
    market = make_market(make_bars(flat(100.0, 100.0, 80.0, 80.0, 80.0)), lot=0.5)
    events = play(market, orders, account={"cash": 10.0 * held, "leverage": 10.0}, execution={"cash_short": "cancel"})
    assert quantities(events) == [held, held / 2.0, held / 2.0]
    assert [end.quantity for end in of(events, OrderCancelled)] == [0.0]


def test_half_a_unit_more_needs_its_cover() -> None:
    """150 carry one unit at 100 in two halves, and no third."""
    orders = [order(at, "buy", quantity=0.5) for at in range(4)]
    events = play(
        make_market(make_bars(flat(*[100.0] * 5)), lot=0.5), orders, account={"cash": 110.0}, execution={"cash_short": "cancel"}
    )
    assert quantities(events) == [0.5, 0.5]


def test_what_is_held_counts_at_the_price_of_the_fill() -> None:
    """5 contracts of 2 from 100 at an open of 120: equity 1,200, with leverage 2 it carries 10 at 240."""
    market = make_market(make_bars(flat(100.0, 100.0, 120.0)), multiplier=2.0)
    orders = [order(0, "buy", quantity=5.0), order(1, "buy", quantity=10.0)]
    events = play(market, orders, account={"cash": 1_000.0, "leverage": 2.0}, execution=PARTIAL)
    assert quantities(events) == [5.0, 5.0]


def test_inverse_contracts_that_are_held_count_at_the_price_of_the_fill() -> None:
    """25,000 of 1 USD from 50,000; at 40,000 they have lost 0.125 of 1 BTC: 0.875 carry 35,000. The close before was 45,000."""
    rows = [*flat(50_000.0), (50_000.0, 50_000.0, 45_000.0, 45_000.0), *flat(40_000.0)]
    market = make_market(make_bars(rows), contract="inverse", currency="BTC", settlement="margin")
    orders = [order(0, "buy", quantity=25_000.0), order(1, "buy", quantity=20_000.0)]
    events = play(market, orders, account={"cash": 1.0, "currency": "BTC"}, execution=PARTIAL)
    assert quantities(events) == [25_000.0, 10_000.0]


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("value", [0.0, -0.5, -400.0])
def test_a_value_of_nothing_is_no_quantity(side: str, value: float) -> None:
    events = play(make_market(make_bars(flat(100.0, 100.0))), [order(0, side, value=value)])
    assert [rejected.reason for rejected in of(events, OrderRejected)] == [RejectReason.INVALID_QUANTITY]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_targets_of_parts_of_a_unit(sign: float) -> None:
    """0, 1, half a unit, the other way by half a unit, and 0, in lots of a half."""
    wanted = [1.0, 0.5, -0.5, -1.0, 0.0]

    class Targets(Strategy):
        def on_bar(self) -> None:
            if self.step < len(wanted):
                self.target(quantity=sign * wanted[self.step])

    events = run(make_market(make_bars(flat(*[100.0] * 7)), lot=0.5), Targets)
    signs = {Side.BUY: sign, Side.SELL: -sign}
    assert [signs[fill.side] * fill.quantity for fill in of(events, OrderFilled)] == [1.0, -0.5, -1.0, -0.5, 1.0]
