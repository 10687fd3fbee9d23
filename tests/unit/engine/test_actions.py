"""Tests of corporate actions, borrow cost and funding inside runs, by hand arithmetic."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.errors import ParametersError, UnknownSymbolError
from engine.strategy import Strategy
from engine.timeline import started
from schemas.actions import ActionKind, CorporateAction, RateKind, RateSeries
from schemas.events import (
    AnyEvent,
    BacktestCompleted,
    BorrowPaid,
    DividendPaid,
    EquityMarked,
    FundingPaid,
    InstrumentDelisted,
    OrderCancelled,
    OrderEnd,
    OrderFilled,
    OrderModified,
    OrderRejected,
    OrderSubmitted,
    PositionChanged,
    PositionClosed,
    RejectReason,
    SplitApplied,
    SymbolChanged,
)
from schemas.market_data import Bars, Market
from tests.unit.engine.factories import START_NS, flat, make_bars, make_market, make_spec, of, play, run

DAY_NS = 86_400_000_000_000
BUY = {"at": 0, "side": "buy", "quantity": 10.0}
SELL = {"at": 0, "side": "sell", "quantity": 10.0}


def days(*prices: float, symbol: str = "X", times: list[int] | None = None) -> Bars:
    return make_bars(flat(*prices), symbol=symbol, step_ns=DAY_NS, times=times, timeframe="1d")


def action(day: float, kind: str, value: float | None = None, new: str | None = None, symbol: str = "X") -> CorporateAction:
    return CorporateAction(START_NS + int(day * DAY_NS), symbol, ActionKind(kind), value, new)


def rates(kind: RateKind, *rows: tuple[float, float], name: str = "X") -> RateSeries:
    times = np.array([START_NS + int(day * DAY_NS) for day, _ in rows], dtype=np.int64)
    return RateSeries(kind, name, times, np.array([rate for _, rate in rows]))


def market_with(*bars: Bars, actions: Any = (), series: Any = (), **instrument: Any) -> Market:
    return replace(make_market(*bars, **instrument), adjusted=False, actions=tuple(actions), rates=tuple(series))


def equity(events: list[AnyEvent]) -> list[float]:
    return [value for event in of(events, EquityMarked) for value in event.equity]


# --- splits ---------------------------------------------------------------------------------------------------------


def test_a_split_changes_quantity_price_and_nothing_else() -> None:
    """10 at 100, four for one before day 3: 40 at 25. Equity never jumps."""
    events = play(market_with(days(100, 100, 100, 25, 26), actions=[action(3, "split", 0.25)]), [BUY])
    [applied] = of(events, SplitApplied)
    assert (applied.position_id, applied.quantity, applied.average_price, applied.cash) == (1, 40.0, 25.0, 0.0)
    assert applied.time_ns == START_NS + 3 * DAY_NS
    assert equity(events) == [100_000.0, 100_000.0, 100_000.0, 100_000.0, 100_040.0]
    assert not of(events, PositionChanged)


def test_a_reverse_split_pays_the_fraction_in_cash() -> None:
    """One for four: 2 of 400 and half a share at 4 * 105 = 420: 210 in cash, 10 of it gained on 0.5 * 400."""
    events = play(market_with(days(100, 100, 105, 420, 420), actions=[action(3, "split", 4.0)]), [BUY])
    [applied] = of(events, SplitApplied)
    assert (applied.quantity, applied.average_price, applied.cash) == (2.0, 400.0, 210.0)
    [changed] = of(events, PositionChanged)
    assert (changed.quantity, changed.realized_pnl, changed.gross_pnl) == (2.0, 10.0, 10.0)
    assert equity(events)[-1] == 100_050.0


def test_a_position_of_less_than_a_share_is_paid_out() -> None:
    """One for twenty of 10 short at 100: nothing whole is left; half a share is bought back at 20 * 90 = 1,800."""
    events = play(market_with(days(100, 100, 90, 1_800), actions=[action(3, "split", 20.0)]), [SELL])
    [applied], [closed] = of(events, SplitApplied), of(events, PositionClosed)
    assert (applied.quantity, applied.cash) == (0.0, -900.0)
    assert (closed.realized_pnl, closed.average_price, closed.average_close, closed.quantity) == (100.0, 2_000.0, 1_800.0, 0.5)
    assert events[-1].final_equity == 100_100.0


def test_working_orders_follow_a_split() -> None:
    """Prices by the ratio to the tick, units over it; a trail's distance too; money stays money; less than a lot ends."""
    orders = [
        {"at": 0, "side": "buy", "quantity": 10.0, "limit_price": 50.5, "id": "limit"},
        {"at": 0, "side": "buy", "value": 1_000.0, "limit_price": 50.0, "id": "money"},
        {"at": 0, "side": "sell", "quantity": 12.0, "trail_amount": 40.0, "id": "trail"},
        {"at": 0, "side": "buy", "quantity": 3.0, "limit_price": 40.0, "id": "small"},
    ]
    events = play(market_with(days(100, 100, 400, 380), actions=[action(2, "split", 4.0)]), orders)
    changed = {event.order_id: event for event in of(events, OrderModified)}
    assert (changed[1].quantity, changed[1].limit_price) == (2.0, 202.0)
    assert changed[2].limit_price == 200.0
    assert (changed[3].quantity, changed[3].stop_price, changed[3].trail_amount) == (3.0, 240.0, 160.0)
    ends = {event.order_id: event.reason for event in of(events, OrderCancelled)}
    assert ends[4] is OrderEnd.NOTHING_TO_DO
    assert ends[1] is OrderEnd.END_OF_DATA


def test_a_bracket_protects_at_the_same_place_after_a_split() -> None:
    """Stop 90 and target 120 of 10 at 100 are 45 and 60 of 20 after two for one: the bar at 44 sells 20."""
    orders = [BUY | {"stop_loss": 90.0, "take_profit": 120.0}]
    events = play(market_with(days(100, 100, 50, 44), actions=[action(2, "split", 0.5)]), orders)
    fill = of(events, OrderFilled)[-1]
    assert (fill.quantity, fill.price) == (20.0, 44.0)
    assert of(events, PositionClosed)[0].realized_pnl == -120.0


def test_adjusted_prices_are_not_adjusted_again() -> None:
    """Marked as adjusted, neither the split nor the dividend is applied."""
    market = replace(
        market_with(days(100, 100, 100), actions=[action(1, "split", 0.5), action(2, "dividend", 5.0)]), adjusted=True
    )
    events = play(market, [BUY])
    assert not of(events, SplitApplied, DividendPaid)
    assert events[-1].final_equity == 100_000.0


def test_the_excursion_of_a_split_position_is_in_money() -> None:
    """Low of 80 before the split (10 * -20), low of 18 after it (40 * -7): the worst is -280."""
    bars = make_bars([(100,) * 4, (100, 100, 80, 100), (100,) * 4, (25, 25, 18, 25), (25,) * 4], step_ns=DAY_NS, timeframe="1d")
    orders = [BUY, {"at": 3, "side": "sell", "quantity": 40.0}]
    events = play(market_with(bars, actions=[action(3, "split", 0.25)]), orders)
    [closed] = of(events, PositionClosed)
    assert (closed.mae, closed.mfe, closed.quantity, closed.average_price) == (-280.0, 0.0, 40.0, 25.0)


# --- dividends, borrow, funding -------------------------------------------------------------------------------------


def test_a_long_position_receives_a_dividend_and_a_short_one_pays_it() -> None:
    """0.24 a share for what was held before the ex-date: 10 shares, 2.40; what is bought on the ex-date gets nothing."""
    market = market_with(days(100, 100, 99, 99), actions=[action(2, "dividend", 0.24)])
    for order, amount in ((BUY, 2.4), (SELL, -2.4)):
        events = play(market, [order])
        [paid] = of(events, DividendPaid)
        assert (paid.position_id, paid.per_share, paid.amount) == (1, 0.24, amount)
        assert events[-1].final_equity == pytest.approx(100_000.0 + amount - 10.0 * (1.0 if order is BUY else -1.0))
        assert events[-1].statistics["dividends"] == amount
    assert not of(play(market, [BUY | {"at": 1}]), DividendPaid)


def test_a_day_without_a_bar_waits_for_the_symbols_next_one() -> None:
    """Y's ex-date lies on day 2, where only X trades: the dividend comes with Y's bar of day 4."""
    market = market_with(
        days(1, 1, 1, 1, 1), days(100, 100, 100, symbol="Y", times=[0, 1, 4]), actions=[action(2, "dividend", 1.0, symbol="Y")]
    )
    [paid] = of(play(market, [BUY | {"symbol": "Y"}]), DividendPaid)
    assert paid.time_ns == START_NS + 4 * DAY_NS


def test_a_short_position_pays_to_borrow_for_each_calendar_day() -> None:
    """10 short at 100 from day 1; 3.65 percent a year: 0.10 a day; three days over the gap between day 2 and day 5."""
    market = market_with(days(100, 100, 100, 100, times=[0, 1, 2, 5]), borrow_rate=0.0365)
    events = play(market, [SELL])
    assert [(paid.amount, paid.rate, paid.position_id) for paid in of(events, BorrowPaid)] == [(0.1, 0.0365, 1), (0.3, 0.0365, 1)]
    assert events[-1].final_equity == pytest.approx(100_000.0 - 0.4)
    assert not of(play(market, [BUY]), BorrowPaid)
    other = play(market, [SELL], account={"borrow_day_count": 360})
    assert of(other, BorrowPaid)[0].amount == pytest.approx(0.1 * 365 / 360, abs=1e-8)


def test_a_series_replaces_the_instruments_borrow_rate() -> None:
    """The rate of day 2 holds for the night after it, not for the one before."""
    series = rates(RateKind.BORROW, (0.0, 0.0365), (2.0, 0.073))
    events = play(market_with(days(100, 100, 100, 100), series=[series], borrow_rate=1.0), [SELL])
    assert [paid.amount for paid in of(events, BorrowPaid)] == [0.1, 0.2]


def test_a_perpetual_pays_funding_at_its_times() -> None:
    """0.01 percent of 10 * 100 between day 1 and day 2 and one more after it, at the last price before: long pays 0.10."""
    series = rates(RateKind.FUNDING, (0.5, 0.5), (1.5, 0.0001), (2.0, -0.0002))
    events = play(market_with(days(100, 100, 110, 110), series=[series]), [BUY])
    paid = of(events, FundingPaid)
    assert [(each.rate, each.price, each.amount) for each in paid] == [(0.0001, 100.0, -0.1), (-0.0002, 100.0, 0.2)]
    assert events[-1].statistics["funding"] == pytest.approx(0.1)


def test_what_concerns_nobody_costs_nothing_and_changes_nothing() -> None:
    """A run whose positions and orders nothing is due for gives the bytes of a run without actions and rates."""
    bars = days(100, 101, 99, 100, 102, 98)
    series = rates(RateKind.FUNDING, (1.0, 0.1), (2.0, 0.1))
    actions = [action(1, "split", 0.5), action(2, "dividend", 1.0)]
    orders = [BUY | {"at": 3}, SELL | {"at": 4}]
    assert play(market_with(bars, actions=actions, series=[series]), orders) == play(market_with(bars), orders)


# --- the end of a symbol --------------------------------------------------------------------------------------------


def test_a_delisting_closes_positions_and_ends_orders() -> None:
    """10 at 100 are closed at 40 on day 2; the limit order ends; what is sent later is refused."""
    orders = [BUY, BUY | {"limit_price": 50.0}, BUY | {"at": 2}]
    market = market_with(days(100, 100, times=[0, 1]), days(1, 1, 1, 1, symbol="Y"), actions=[action(2, "delisting", 40.0)])
    events = play(market, orders)
    [gone] = of(events, InstrumentDelisted)
    assert (gone.symbol, gone.price, gone.time_ns) == ("X", 40.0, START_NS + 2 * DAY_NS)
    assert [event.reason for event in of(events, OrderCancelled)] == [OrderEnd.DELISTED]
    assert [event.tag for event in of(events, OrderSubmitted) if event.tag] == ["delisted"]
    [closed] = of(events, PositionClosed)
    assert (closed.average_close, closed.realized_pnl) == (40.0, -600.0)
    assert [event.reason for event in of(events, OrderRejected)] == [RejectReason.MARKET_CLOSED]


def test_a_delisting_without_a_price_takes_the_last_close() -> None:
    """The last close of X is 90."""
    market = market_with(days(100, 100, 90, times=[0, 1, 2]), days(1, 1, 1, 1, 1, symbol="Y"), actions=[action(3, "delisting")])
    assert of(play(market, [BUY]), PositionClosed)[0].average_close == 90.0


class Holder(Strategy):
    """Buys X and rests a limit order for it; notes what it holds of both symbols."""

    def on_start(self) -> None:
        self.held: list[tuple[float, float]] = []

    def on_bar(self) -> None:
        if self.step == 0:
            self.buy(10)
            self.order = self.buy(10, limit=80.0)
        self.held.append((self.position["X"].quantity, self.position["Y"].quantity))
        if self.step == 5:
            assert self.held == [(0, 0), (10, 0), (10, 0), (0, 10), (0, 10), (0, 20)]
            self.close("Y")
            assert self.order.symbol == "Y"


def test_positions_and_orders_go_on_under_the_new_symbol() -> None:
    """X becomes Y on day 3: the position is Y's, the limit order fills in Y's bar of day 5, bars held count on."""
    x = days(100, 100, 100, times=[0, 1, 2])
    y = days(100, 100, 75, 90, symbol="Y", times=[3, 4, 5, 6])
    events = run(market_with(x, y, actions=[action(3, "symbol_change", new="Y")]), Holder)
    [change] = of(events, SymbolChanged)
    assert (change.symbol, change.new_symbol) == ("X", "Y")
    assert [(fill.symbol, fill.quantity, fill.price) for fill in of(events, OrderFilled)] == [
        ("X", 10.0, 100.0), ("Y", 10.0, 75.0), ("Y", 20.0, 90.0),
    ]  # fmt: skip
    [closed] = of(events, PositionClosed)
    assert (closed.symbol, closed.position_id, closed.bars_held, closed.realized_pnl) == ("Y", 1, 5, 50.0)
    assert isinstance(events[-1], BacktestCompleted) and events[-1].final_equity == 100_050.0


def test_a_successor_that_is_held_already_stays_what_it_is() -> None:
    """X is closed at its last close, by an order of the engine; Y's position is not touched."""
    x, y = days(100, 100, 110, times=[0, 1, 2]), days(50, 50, 50, 50, symbol="Y")
    market = market_with(x, y, actions=[action(3, "symbol_change", new="Y")])
    events = play(market, [BUY, BUY | {"symbol": "Y"}])
    [closed] = of(events, PositionClosed)
    assert (closed.symbol, closed.average_close, closed.realized_pnl) == ("X", 110.0, 100.0)
    assert [event.tag for event in of(events, OrderSubmitted) if event.tag] == ["symbol_changed"]


def test_a_successor_must_be_in_the_run() -> None:
    """Known before the run starts; a change after the run's last bar does not matter."""
    market = market_with(days(100, 100, 100), actions=[action(2, "symbol_change", new="Y")])
    with pytest.raises(UnknownSymbolError, match="X goes on as Y at 2024-01-03T00:00:00Z, and the run has no bars of Y"):
        started(make_spec(market), market, 2)
    late = replace(market, actions=(action(9, "symbol_change", new="Y"),))
    assert started(make_spec(late), late, 2).bars == 3
    other = replace(market_with(days(100, 100), days(1, 1, 1, symbol="Y")), actions=market.actions)
    first, second = other.instruments
    other = replace(other, instruments=(first, second.model_copy(update={"multiplier": 2.0})))
    with pytest.raises(ParametersError, match=r"need the same multiplier, not 1\.0 and 2\.0"):
        started(make_spec(other), other, 2)
