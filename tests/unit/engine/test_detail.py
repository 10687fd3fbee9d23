"""Bars are played along finer ones: orders meet the finer prices, the strategy still speaks after each of its own bars."""

from dataclasses import replace
from typing import Any

import pytest

from engine.arrays import ArrayStrategy, Signals
from engine.strategy import Data, Strategy
from schemas.events import BacktestCompleted, OrderFilled
from schemas.market_data import Bars, Market
from tests.unit.engine.factories import MINUTE_NS, START_NS, make_bars, make_market, run

COARSE = [(10.0, 10.0, 10.0, 10.0), (10.0, 14.0, 6.0, 11.0), (11.0, 12.0, 10.0, 12.0), (12.0, 12.0, 12.0, 12.0)]
# The second bar's five minutes: first up to 14, then down to 6. The third bar has no minutes.
FINE = {0: 10.0, 5: 10.0, 6: 14.0, 7: 9.0, 8: 6.0, 9: 11.0, 15: 12.0}


def market_with_detail() -> Market:
    rows = []
    before = 10.0
    for price in FINE.values():
        rows.append((before, max(before, price), min(before, price), price))
        before = price
    fine = make_bars(rows, times=list(FINE), timeframe="1m")
    whole = make_bars(COARSE, step_ns=5 * MINUTE_NS, timeframe="5m")
    return replace(make_market(whole), frames=(fine,))


def run_detail(market: Market, strategy: type[Strategy], **execution: Any) -> list[Any]:
    data = {"dataset": "test", "symbols": [bars.symbol for bars in market.bars], "timeframe": "5m"}
    return run(market, strategy, data=data, execution={"detail_timeframe": "1m", **execution})


class Bracket(Strategy):
    """Buy after the first bar, with both exits inside the second."""

    def on_bar(self) -> None:
        if self.bars.close[-1] == 10.0 and not self.position:
            self.buy(1, stop_loss=7.0, take_profit=13.0)


def fills_of(events: list[Any]) -> list[tuple[float, int]]:
    return [(event.price, (event.time_ns - START_NS) // MINUTE_NS) for event in events if isinstance(event, OrderFilled)]


def test_orders_meet_the_finer_bars_in_their_order() -> None:
    """The whole bar hits both exits, and the stop is taken to come first; its minutes say that the target came first."""
    data = {"dataset": "test", "symbols": ["X"], "timeframe": "5m"}
    market = market_with_detail()
    assert fills_of(run(replace(market, frames=()), Bracket, data=data)) == [(10.0, 5), (7.0, 5)]
    assert fills_of(run_detail(market, Bracket)) == [(10.0, 5), (13.0, 6)]


def test_the_strategy_sees_its_own_bars_and_speaks_once_for_each() -> None:
    """Four bars, the third without minutes inside: four calls, each at the close of its bar."""
    seen = []

    class Watcher(Strategy):
        def prepare(self, data: Data) -> None:
            assert data.close.tolist() == [10.0, 11.0, 12.0, 12.0]
            self.same = self.indicator(data.close)

        def on_bar(self) -> None:
            minute = (self.time_ns - START_NS) // MINUTE_NS
            seen.append((minute, list(self.bars.close), self.bars.time_ns[-1], self.same[-1]))

    events = run_detail(market_with_detail(), Watcher)
    assert [minute for minute, _, _, _ in seen] == [0, 9, 10, 15]
    assert [closes for _, closes, _, _ in seen] == [[10.0], [10.0, 11.0], [10.0, 11.0, 12.0], [10.0, 11.0, 12.0, 12.0]]
    assert [(time - START_NS) // MINUTE_NS for _, _, time, _ in seen] == [0, 5, 10, 15]
    assert [same for _, _, _, same in seen] == [10.0, 11.0, 12.0, 12.0]
    assert isinstance(events[-1], BacktestCompleted)
    assert events[-1].bars == 8  # 7 minutes, and the bar that has none


def test_callbacks_come_at_the_finer_times() -> None:
    """``on_fill`` of the target is called in minute 6, where the strategy may act at once: it buys again at minute 7's open."""

    class Again(Bracket):
        def on_fill(self, fill: Any) -> None:
            if fill.price == 13.0:
                self.buy(2)

    assert fills_of(run_detail(market_with_detail(), Again)) == [(10.0, 5), (13.0, 6), (14.0, 7)]


def test_a_symbol_without_finer_bars_is_played_along_its_own() -> None:
    """Y has bars of five minutes only: they stand on the line beside X's minutes."""

    class Both(Strategy):
        def on_bar(self) -> None:
            if self.bars["X"].count == 1:
                self.buy(1, symbol="Y")

    x = market_with_detail()
    y = make_bars(COARSE, symbol="Y", step_ns=5 * MINUTE_NS, timeframe="5m")
    market = replace(make_market(*x.bars, y), frames=x.frames)
    assert fills_of(run_detail(market, Both)) == [(10.0, 5)]


def test_array_driven_strategies_speak_at_the_same_closes() -> None:
    """Signals of the first and the second bar fill at the opens of minute 5 and of the third bar."""

    class Arrays(ArrayStrategy):
        def signals(self, data: Data) -> Signals:
            return Signals(entries=data.close == 10.0, exits=data.close == 11.0, size=0.01)

    assert fills_of(run_detail(market_with_detail(), Arrays)) == [(10.0, 5), (11.0, 10)]


def test_bars_made_of_the_finer_ones_can_be_played_along_them() -> None:
    """Read minutes, trade in five minutes, match in minutes."""
    fine = market_with_detail().frames[0]
    data = {
        "dataset": "test", "symbols": ["X"], "timeframe": "1m", "resample": {"type": "time", "timeframe": "5m"},
    }  # fmt: skip
    events = run(make_market(_without(fine, 0)), Bracket, data=data, execution={"detail_timeframe": "1m"})
    assert fills_of(events) == []  # the first bar of five minutes closes at 11
    events = run(make_market(fine), Bracket, data=data, execution={"detail_timeframe": "1m"})
    assert fills_of(events) == [(10.0, 5), (13.0, 6)]


def _without(bars: Bars, place: int) -> Bars:
    return bars.part(slice(place + 1, None))


def test_bars_held_and_latency_count_finer_bars() -> None:
    """With a latency of one bar the order of the first bar fills at minute 6, not 5."""
    assert fills_of(run_detail(market_with_detail(), Bracket, latency_bars=1))[0] == (10.0, 6)


@pytest.mark.parametrize("policy", ["same_close", "next_close"])
def test_fills_at_closes_are_at_the_finer_closes(policy: str) -> None:
    """Same close: the close of the bar it was sent in. Next close: that of minute 5, the next finer bar."""
    minute = 0 if policy == "same_close" else 5
    assert fills_of(run_detail(market_with_detail(), Bracket, market_fill=policy))[0] == (10.0, minute)
