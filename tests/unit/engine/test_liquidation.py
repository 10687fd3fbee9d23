"""What a margin call pays to close a position, and which position it closes."""

from typing import Any

import numpy as np
import pytest

from engine.arrays import ArrayStrategy, Signals
from engine.kernels.chance import throw
from engine.kernels.costs import OTHER_DICE
from engine.strategy import Data
from schemas.events import AnyEvent, OrderFilled, OrderRejected, OrderSubmitted, PositionClosed, RejectReason
from tests.unit.engine.factories import flat, make_bars, make_market, of, play, run

LIMIT = {"at": 0, "quantity": 1.0, "limit_price": 100.0}  # what is left of it on the book has no part in the liquidation
CALLED = {"cash": 52.0, "leverage": 10.0}


def called(side: str, *orders: dict[str, Any], **execution: Any) -> list[AnyEvent]:
    """1 unit at 100, half of it as maintenance: at 90 (110) in bar 2 equity of 42 is below 45 (55)."""
    close = 90.0 if side == "buy" else 110.0
    market = make_market(make_bars(flat(100.0, 100.0, close, close)), settlement="margin", maintenance_margin=0.5)
    return play(market, orders or [LIMIT | {"side": side}], account=CALLED, execution=execution)


@pytest.mark.parametrize("scope", ["aggressive", "market", "all"])
@pytest.mark.parametrize(("side", "price"), [("buy", 89.0), ("sell", 111.0)])
def test_a_liquidation_slips_as_a_market_order_does(side: str, price: float, scope: str) -> None:
    """1 a unit, against the account."""
    events = called(side, slippage={"type": "fixed", "amount": 1.0, "scope": scope})
    assert of(events, OrderFilled)[1].price == price


@pytest.mark.parametrize(("side", "price"), [("buy", 89.0), ("sell", 111.0)])
def test_a_part_of_a_unit_is_liquidated_as_any_other(side: str, price: float) -> None:
    """Half a unit of twice the size."""
    close = 90.0 if side == "buy" else 110.0
    terms = {"settlement": "margin", "maintenance_margin": 0.5, "lot": 0.5, "multiplier": 2.0}
    market = make_market(make_bars(flat(100.0, 100.0, close, close)), **terms)
    orders = [LIMIT | {"side": side, "quantity": 0.5}]
    events = play(market, orders, account=CALLED, execution={"slippage": {"type": "fixed", "amount": 1.0}})
    assert [(fill.quantity, fill.price) for fill in of(events, OrderFilled)] == [(0.5, 100.0), (0.5, price)]


def test_a_liquidation_hangs_on_no_order() -> None:
    """An attached order was the last on the book; slippage of market orders that hang on none is the liquidation's."""
    child = {"at": 0, "parent": "entry", "side": "buy", "quantity": 1.0, "limit_price": 100.0}
    market = make_market(make_bars(flat(100.0, 100.0, 100.0, 90.0, 90.0)), settlement="margin", maintenance_margin=0.5)
    execution = {"entry_bar": "wait", "slippage": {"type": "fixed", "amount": 1.0, "scope": "market"}}
    events = play(market, [LIMIT | {"id": "entry", "side": "buy"}, child], account=CALLED | {"cash": 104.0}, execution=execution)
    assert [(fill.quantity, fill.price) for fill in of(events, OrderFilled)] == [(1.0, 100.0), (1.0, 100.0), (2.0, 89.0)]


@pytest.mark.parametrize("share", [1.0, 1.000001])
def test_a_liquidation_slips_by_a_throw_for_no_order(share: float) -> None:
    """A throw of just the probability does not slip; of a millionth less it does."""
    chance = throw(0, OTHER_DICE, 2) * share
    events = called("buy", slippage={"type": "ticks", "ticks": 1, "probability": chance})
    assert of(events, OrderFilled)[1].price == (90.0 if share == 1.0 else 89.99)


def test_a_liquidation_has_no_impact_by_volume_and_pays_as_a_taker() -> None:
    """It takes no part in a bar's volume: 90, and 1 percent of it."""
    commission = {"type": "maker_taker", "maker": 0.0, "taker": 0.01}
    events = called("buy", slippage={"type": "volume_share", "limit": 1.0, "impact": 0.1}, commission=commission)
    assert (of(events, OrderFilled)[1].price, of(events, OrderFilled)[1].commission) == (90.0, 0.9)


GAINS = [(101.0, 102.0, 103.0), (102.0, 101.0, 103.0), (103.0, 102.0, 101.0), (102.0, 102.0, 103.0), (103.0, 102.0, 102.0)]


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("closes", GAINS)
def test_where_all_have_gained_the_least_gain_is_closed_first(closes: tuple[float, ...], side: str) -> None:
    """1 unit each at 100, all the account's 150 and more: the first of equals. W is never bought."""
    closes = closes if side == "buy" else tuple(200.0 - close for close in closes)
    markets = [make_bars(flat(100.0, close, close), symbol=symbol) for symbol, close in zip("XYZ", closes, strict=True)]
    markets.insert(1, make_bars(flat(*[100.0] * 3), symbol="W"))
    market = make_market(*markets, settlement="margin")
    account = {"cash": 150.0, "leverage": 10.0, "maintenance_margin": 0.6, "liquidation": "largest_loss_first"}
    orders = [{"at": 0, "side": side, "quantity": 1.0, "symbol": symbol} for symbol in "XYZ"]
    events = play(market, orders, account=account, execution={"market_fill": "same_close"})
    least = min(range(3), key=lambda place: abs(closes[place] - 100.0))
    assert [closed.symbol for closed in of(events, PositionClosed)] == ["XYZ"[least]]


def test_an_order_that_a_margin_call_ends_brings_nothing_to_sell() -> None:
    """The purchase at 10 ends with the position: at the same close there is nothing to sell."""
    market = make_market(make_bars(flat(100.0, 100.0, 90.0, 90.0)), settlement="margin", maintenance_margin=0.5)
    orders = [LIMIT | {"side": "buy"}, LIMIT | {"side": "buy", "limit_price": 10.0}, {"at": 2, "side": "sell", "quantity": 1.0}]
    events = play(market, orders, account=CALLED | {"allow_short": False})
    assert [refused.reason for refused in of(events, OrderRejected)] == [RejectReason.SHORT_NOT_ALLOWED]


@pytest.mark.parametrize("positions", ["netting", "hedging"])
def test_a_liquidation_is_orders_and_fills_as_any_others(positions: str) -> None:
    """Long 2 Y, short 1 Z, of which Y has lost 60 of 160: both are closed; the next order has the next number."""
    y, z = make_bars(flat(100.0, 100.0, 70.0, 70.0, 70.0), symbol="Y"), make_bars(flat(*[100.0] * 5), symbol="Z")
    market = make_market(make_bars(flat(*[50.0] * 5)), y, z, settlement="margin", maintenance_margin=0.5)
    orders = [
        {"at": 0, "side": "buy", "quantity": 2.0, "symbol": "Y"},
        {"at": 0, "side": "sell", "quantity": 1.0, "symbol": "Z"},
        {"at": 2, "side": "buy", "quantity": 1.0, "symbol": "X"},
    ]
    account = {"cash": 160.0, "leverage": 10.0, "positions": positions}
    events = play(market, orders, account=account, execution={"commission": {"type": "rate", "fixed": 1.0}})
    sent = [(each.order_id, each.symbol, each.side.value, each.quantity) for each in of(events, OrderSubmitted)]
    assert sent == [
        (1, "Y", "buy", 2.0),
        (2, "Z", "sell", 1.0),
        (3, "Y", "sell", 2.0),
        (4, "Z", "buy", 1.0),
        (5, "X", "buy", 1.0),
    ]
    filled = [
        (each.fill_id, each.order_id, each.symbol, each.side.value, each.quantity, each.price) for each in of(events, OrderFilled)
    ]
    assert filled == [(each[0], *each, price) for each, price in zip(sent, (100.0, 100.0, 70.0, 100.0, 50.0), strict=True)]
    assert [fill.commission for fill in of(events, OrderFilled)] == [1.0] * 5
    if positions == "hedging":
        assert [fill.position_id for fill in of(events, OrderFilled)] == [1, 2, 1, 2, 3]


def test_an_array_driven_run_says_whose_fill_a_liquidation_is() -> None:
    """Short all of the equity in Y, the second symbol, at 100; at 190 there are 10 percent of it left."""
    y = make_bars(flat(100.0, 100.0, 190.0, 190.0), symbol="Y")
    market = make_market(make_bars(flat(*[50.0] * 4)), y)

    class Short(ArrayStrategy):
        def signals(self, data: Data) -> dict[str, Signals]:
            return {"Y": Signals(short_entries=np.array([True, False, False, False]))}

    events = run(market, Short, account={"maintenance_margin": 0.5})
    filled = [(fill.symbol, fill.side.value, fill.quantity, fill.price) for fill in of(events, OrderFilled)]
    assert filled == [("Y", "sell", 1_000.0, 100.0), ("Y", "buy", 1_000.0, 190.0)]
