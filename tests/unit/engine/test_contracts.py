"""Tests of contracts, margin and currencies inside runs, by hand arithmetic."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import CurrencyError, ParametersError
from engine.timeline import started
from schemas.actions import RateKind, RateSeries
from schemas.events import (
    AnyEvent,
    BacktestStarted,
    EquityMarked,
    MarginCalled,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PositionChanged,
    PositionClosed,
    PositionMarked,
    PositionOpened,
    RejectReason,
)
from schemas.market_data import Instrument, Market
from tests.unit.engine.factories import MINUTE_NS, START_NS, flat, make_bars, make_market, make_spec, of, play

BUY = {"at": 0, "side": "buy", "quantity": 10.0}
SELL_LATER = {"at": 2, "side": "sell", "quantity": 10.0}
INVERSE = {"contract": "inverse", "currency": "BTC", "settlement": "margin", "tick": 0.5, "lot": 1.0}


def rates(*values: float, name: str = "EUR/USD", first: int = 0) -> RateSeries:
    times = START_NS + (first + np.arange(len(values), dtype=np.int64)) * MINUTE_NS
    return RateSeries(RateKind.CONVERSION, name, times, np.array(values))


def marks(events: list[AnyEvent], column: str = "equity") -> list[float]:
    return [value for event in of(events, EquityMarked) for value in getattr(event, column)]


# --- contracts ------------------------------------------------------------------------------------------------------


def test_an_inverse_contract_gains_in_its_base_currency() -> None:
    """1,000 contracts of 1 USD from 50,000 to 62,500: 1,000 * (1/50,000 - 1/62,500) = 0.004 BTC, in cash once realised."""
    market = make_market(make_bars(flat(50_000, 50_000, 40_000, 62_500, 62_500)), **INVERSE)
    orders = [BUY | {"quantity": 1_000.0}, {"at": 2, "side": "sell", "quantity": 1_000.0}]
    commission = {"type": "rate", "rate": 0.0005}
    account = {"cash": 1.0, "currency": "BTC", "leverage": 10.0}
    events = play(market, orders, account=account, execution={"commission": commission})
    first, second = of(events, OrderFilled)
    assert (first.commission, second.commission) == (0.00001, 0.000008)  # 0.0005 of 0.02 and of 0.016 BTC
    assert marks(events, "cash") == pytest.approx([1.0, 0.99999, 0.99999, 1.003982, 1.003982], abs=1e-12)
    # At 40,000: 1,000 * (1/50,000 - 1/40,000) = -0.005
    assert marks(events) == pytest.approx([1.0, 0.99999, 0.99499, 1.003982, 1.003982], abs=1e-12)
    assert marks(events, "exposure") == pytest.approx([0.0, 0.02, 0.025, 0.0, 0.0])
    [closed] = of(events, PositionClosed)
    assert (closed.gross_pnl, closed.realized_pnl) == (pytest.approx(0.004), pytest.approx(0.003982))
    assert closed.mae == pytest.approx(-0.005) and closed.mfe == pytest.approx(0.004)


def test_the_average_price_of_inverse_contracts_is_harmonic() -> None:
    """1 at 100 and 1 at 300: 2 / (1/100 + 1/300) = 150, at which both together have gained nothing."""
    market = make_market(make_bars(flat(100, 100, 300, 150, 150)), **INVERSE)
    events = play(market, [BUY | {"quantity": 1.0}, BUY | {"at": 1, "quantity": 1.0}], account={"cash": 9.0, "currency": "BTC"})
    assert of(events, PositionMarked)[0].unrealized_pnl == pytest.approx(0.0, abs=1e-15)
    assert events[-1].final_equity == pytest.approx(9.0)


def test_a_quanto_pays_its_multiplier_whatever_its_price_is_quoted_in() -> None:
    """10 contracts of 0.001 EUR a point, from 2,000 to 2,100: 1 EUR."""
    market = make_market(make_bars(flat(2_000, 2_000, 2_050, 2_100)), contract="quanto", currency="EUR", multiplier=0.001)
    events = play(market, [BUY, SELL_LATER], account={"cash": 100.0, "currency": "EUR"})
    assert marks(events) == [100.0, 100.0, 100.5, 101.0]
    assert marks(events, "cash") == [100.0, 100.0, 100.0, 101.0]


def test_sizes_by_value_are_by_what_a_contract_is_worth() -> None:
    """Half of 1 BTC at 40,000 and leverage 1 is 20,000 contracts of 1 USD."""
    market = make_market(make_bars(flat(40_000, 40_000)), **INVERSE)
    events = play(market, [{"at": 0, "side": "buy", "fraction": 0.5}], account={"cash": 1.0, "currency": "BTC"})
    assert of(events, PositionOpened)[0].quantity == 20_000.0


def test_a_cash_account_takes_no_contract_on_margin() -> None:
    """Nothing would cover its losses."""
    market = make_market(make_bars(flat(1, 1)), settlement="margin")
    with pytest.raises(ParametersError, match=r"account\.type: cash is not allowed for X, settled on margin"):
        play(market, [], account={"type": "cash"})
    with pytest.raises(ValueError, match="settlement of an inverse contract is margin"):
        Instrument(symbol="X", contract="inverse", settlement="full")


def test_the_log_names_contracts_that_are_not_the_usual_ones() -> None:
    """What a fold needs to follow cash."""
    market = make_market(make_bars(flat(1, 1)), **INVERSE)
    event = started(make_spec(market, account={"currency": "BTC"}), market, 2)
    assert isinstance(event, BacktestStarted)
    assert (event.margined, event.inverse) == (("X",), ("X",))


# --- margin ---------------------------------------------------------------------------------------------------------


def test_an_instruments_own_initial_margin_replaces_the_leverage() -> None:
    """5 percent of 100 * 100 * 10 is 5,000: 10,000 of cash carry 20 contracts, and 21 are refused. Leverage is 1."""
    market = make_market(make_bars(flat(100, 100)), multiplier=100.0, settlement="margin", initial_margin=0.05)
    account = {"cash": 10_000.0}
    assert of(play(market, [BUY | {"quantity": 20.0}], account=account), OrderFilled)
    [refused] = of(play(market, [BUY | {"quantity": 21.0}], account=account), OrderRejected)
    assert refused.reason is RejectReason.INSUFFICIENT_MARGIN


def two_losses(liquidation: str) -> list[AnyEvent]:
    """Cash 10,000: 500 X at 100 and 300 Y at 100, with leverage 10. Then X falls to 95 and Y to 80: 8,500 are lost."""
    market = make_market(make_bars(flat(100, 100, 95, 95)), make_bars(flat(100, 100, 80, 80), symbol="Y"))
    orders = [
        BUY | {"quantity": 500.0},
        BUY | {"quantity": 300.0, "symbol": "Y"},
        {"at": 1, "side": "sell", "quantity": 100.0, "limit_price": 120.0, "reduce_only": True},
        {"at": 1, "side": "buy", "quantity": 1.0, "limit_price": 50.0},
        {"at": 1, "side": "sell", "quantity": 100.0, "limit_price": 120.0, "reduce_only": True, "symbol": "Y"},
    ]
    account = {"cash": 10_000.0, "leverage": 10.0, "maintenance_margin": 0.03, "liquidation": liquidation}
    return play(market, orders, account=account)


def test_a_margin_call_closes_all() -> None:
    """Equity 1,500 is below 0.03 * (500 * 95 + 300 * 80) = 2,145."""
    events = two_losses("all")
    [called] = of(events, MarginCalled)
    assert (called.equity, called.maintenance) == (1_500.0, pytest.approx(2_145.0))
    assert [closed.symbol for closed in of(events, PositionClosed)] == ["X", "Y"]
    assert [str(event.reason) for event in of(events, OrderCancelled)] == ["margin_call"] * 3


def test_a_margin_call_closes_the_largest_loss_first() -> None:
    """Y has lost 6,000, X 2,500: without Y 0.03 * 47,500 = 1,425 are covered. X keeps its order that only reduces."""
    events = two_losses("largest_loss_first")
    assert [closed.symbol for closed in of(events, PositionClosed)] == ["Y"]
    assert [(event.order_id, str(event.reason)) for event in of(events, OrderCancelled)] == [
        (4, "margin_call"), (5, "margin_call"), (3, "end_of_data"),
    ]  # fmt: skip
    assert [event.tag for event in of(events, OrderSubmitted) if event.tag] == ["margin_call"]


def test_an_instruments_own_maintenance_margin_is_enough_for_a_call() -> None:
    """The account has none: equity 300 below 0.1 * 10 * 930 calls, at 940 it does not."""
    market = make_market(make_bars(flat(1_000, 1_000, 940, 930)), settlement="margin", initial_margin=0.1, maintenance_margin=0.1)
    events = play(market, [BUY], account={"cash": 1_600.0})
    [called] = of(events, MarginCalled)
    assert (called.equity, called.maintenance) == (900.0, pytest.approx(930.0))


# --- currencies -----------------------------------------------------------------------------------------------------


def test_a_foreign_share_is_worth_what_its_currency_is_worth() -> None:
    """10 at 100 EUR and 1.1: 1,100. At 1.2 and 100 EUR: 100 gained. Sold at 110 EUR and 1.25: 1,375, so 275 gained."""
    market = replace(make_market(make_bars(flat(100, 100, 100, 110)), currency="EUR"), rates=(rates(1.0, 1.1, 1.2, 1.25),))
    events = play(market, [BUY, SELL_LATER], execution={"commission": {"type": "rate", "rate": 0.01}})
    first, second = of(events, OrderFilled)
    assert (first.conversion, first.commission) == (1.1, pytest.approx(11.0))
    assert (second.conversion, second.commission) == (1.25, pytest.approx(13.75))
    assert marks(events) == pytest.approx([100_000.0, 99_989.0, 100_089.0, 100_250.25])
    [closed] = of(events, PositionClosed)
    assert (closed.gross_pnl, closed.realized_pnl) == (pytest.approx(275.0), pytest.approx(250.25))
    assert (closed.average_price, closed.mfe) == (100.0, pytest.approx(275.0))


def test_a_future_in_a_foreign_currency_converts_its_gain_only() -> None:
    """10 of 100 EUR on margin: nothing is gained by EUR/USD alone; 10 * 10 EUR at 1.25 are 125."""
    market = make_market(make_bars(flat(100, 100, 100, 110)), currency="EUR", settlement="margin")
    events = play(replace(market, rates=(rates(1.0, 1.1, 1.2, 1.25),)), [BUY, SELL_LATER])
    assert marks(events) == pytest.approx([100_000.0, 100_000.0, 100_000.0, 100_125.0])


def test_the_inverse_pair_converts_as_well() -> None:
    """USD/EUR 0.8: a euro is 1.25 dollars."""
    market = replace(make_market(make_bars(flat(100, 100)), currency="EUR"), rates=(rates(0.8, name="USD/EUR"),))
    assert of(play(market, [BUY]), OrderFilled)[0].conversion == 1.25


def test_a_rate_holds_until_the_next_and_is_never_seen_early() -> None:
    """The rate of minute 2 is that of steps 2 and 3; step 1 has the one of minute 0."""
    series = RateSeries(RateKind.CONVERSION, "EUR/USD", np.array([START_NS, START_NS + 2 * MINUTE_NS]), np.array([1.0, 2.0]))
    market = replace(make_market(make_bars(flat(100, 100, 100, 100)), currency="EUR"), rates=(series,))
    assert marks(play(market, [BUY])) == [100_000.0, 100_000.0, 101_000.0, 101_000.0]


def test_a_missing_rate_is_known_before_the_run_starts() -> None:
    """No series at all, or one that begins after the first bar."""
    market = make_market(make_bars(flat(100, 100)), currency="EUR")
    with pytest.raises(CurrencyError, match="X: paid in EUR, and data set memory has no conversion rates of EUR/USD"):
        started(make_spec(market), market, 2)
    late = replace(market, rates=(rates(1.0, first=1),))
    with pytest.raises(CurrencyError, match="rates of EUR/USD begin at 2024-01-01T00:01:00Z, after the run's first bar"):
        started(make_spec(late), late, 2)


def test_buying_power_is_counted_in_account_currency() -> None:
    """100,000 USD at 2 dollars a euro buy 500 at 100 EUR, not 501; shares of equity count so, too."""
    market: Market = replace(make_market(make_bars(flat(100, 100)), currency="EUR"), rates=(rates(2.0),))
    assert of(play(market, [BUY | {"quantity": 500.0}]), OrderFilled)
    assert of(play(market, [BUY | {"quantity": 501.0}]), OrderRejected)
    assert of(play(market, [{"at": 0, "side": "buy", "fraction": 0.5}]), OrderFilled)[0].quantity == 250.0


def test_an_account_in_the_instruments_currency_needs_no_rate() -> None:
    """The same run in euros needs no rate at all."""
    market = make_market(make_bars(flat(100, 100, 110)), currency="EUR")
    events = play(market, [BUY], account={"currency": "EUR"})
    assert events[-1].final_equity == 100_100.0


# --- what mutants had lived through ---------------------------------------------------------------------------------


def with_rates(market: Market, *values: float) -> Market:
    return replace(market, rates=(rates(*values),))


def test_an_inverse_contract_of_another_size_and_currency() -> None:
    """100 of 10 USD at 0.5 are 100 * 10 / 0.5 = 2,000 EUR, 2,500 USD; sold at 0.8: 1,000 * (1/0.5 - 1/0.8) * 1.25 = 937.5."""
    terms = INVERSE | {"currency": "EUR", "multiplier": 10.0, "tick": 0.1}
    market = with_rates(make_market(make_bars(flat(0.5, 0.5, 0.5, 0.8, 0.8)), **terms), 1.25)
    orders = [BUY | {"quantity": 100.0}, {"at": 2, "side": "sell", "quantity": 100.0}]
    events = play(market, orders, execution={"commission": {"type": "rate", "rate": 0.001}})
    assert [fill.commission for fill in of(events, OrderFilled)] == pytest.approx([2.5, 1.5625])
    assert marks(events, "exposure")[1] == pytest.approx(2_500.0)
    [closed] = of(events, PositionClosed)
    assert closed.gross_pnl == pytest.approx(937.5)
    assert (closed.average_price, closed.average_close) == pytest.approx((0.5, 0.8))


def test_the_average_of_inverse_contracts_is_harmonic_whatever_is_added() -> None:
    """100 at 100 and 300 at 300: 400 / (1 + 1) = 200; closed by 100 at 100 and 300 at 300 the same."""
    market = make_market(make_bars(flat(100.0, 100.0, 300.0, 100.0, 300.0, 300.0)), **INVERSE)
    orders = [
        {"at": at, "side": side, "quantity": quantity}
        for at, side, quantity in ((0, "buy", 100.0), (1, "buy", 300.0), (2, "sell", 100.0), (3, "sell", 300.0))
    ]
    events = play(market, orders, account={"cash": 100.0, "currency": "BTC"})
    [closed] = of(events, PositionClosed)
    assert (closed.average_price, closed.average_close) == (pytest.approx(200.0), pytest.approx(200.0))
    assert next(change.average_price for change in of(events, PositionChanged)) == pytest.approx(200.0)


def test_a_foreign_share_adds_all_its_units_to_equity() -> None:
    """10 of two shares each at 100 EUR: paid 2,500 USD at 1.25, worth 2,600 at 1.3."""
    market = with_rates(make_market(make_bars(flat(100.0, 100.0, 100.0)), currency="EUR", multiplier=2.0), 1.25, 1.25, 1.3)
    events = play(market, [BUY], account={"cash": 10_000.0})
    assert marks(events) == pytest.approx([10_000.0, 10_000.0, 10_100.0])


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_single_contract_can_be_called(side: str) -> None:
    """1 unit at 100 with 52 of cash, half of it as maintenance: 50 is covered. At 90 (110) equity is 42, below 45 (55)."""
    close = 90.0 if side == "buy" else 110.0
    market = make_market(make_bars(flat(100.0, 100.0, close, close)), settlement="margin", maintenance_margin=0.5)
    events = play(market, [{"at": 0, "side": side, "quantity": 1.0}], account={"cash": 52.0, "leverage": 10.0})
    [called] = of(events, MarginCalled)
    assert (called.equity, called.maintenance) == (42.0, 0.5 * close)


@pytest.mark.parametrize(("initial", "filled"), [(1.0, 1), (0.5, 2)])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_single_contract_takes_its_part_of_the_cover(side: str, initial: float, filled: int) -> None:
    """Equity 150 carries one of two units at 100 paid in full; both where half is enough."""
    prices = flat(100.0, 100.0, 100.0)
    market = make_market(make_bars(prices), make_bars(prices, symbol="Y"), settlement="margin", initial_margin=initial)
    orders = [{"at": at, "side": side, "quantity": 1.0, "symbol": symbol} for at, symbol in ((0, "X"), (1, "Y"))]
    assert len(of(play(market, orders, account={"cash": 150.0}), OrderFilled)) == filled
