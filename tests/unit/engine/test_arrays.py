"""Array-driven strategies: what their signals do, and that they give the bytes of their event-driven twins."""

import re
from typing import Any

import numpy as np
import pytest

from engine.arrays import ArrayStrategy, Signals
from engine.errors import StrategyError
from engine.lookahead import find_lookahead
from engine.strategies.indicators import crossings, sma
from engine.strategies.sma_cross import SmaCross
from engine.strategy import Data, Fill
from schemas.events import OrderFilled
from tests.unit.engine.factories import flat, make_bars, make_market, make_spec, of, run, run_commits
from tests.unit.engine.recipes import walk

SEEN: list[float] = []


class CrossArrays(ArrayStrategy):
    """SmaCross with its defaults, as arrays."""

    def signals(self, data: Data) -> Signals:
        cross = crossings(sma(data.close, 20), sma(data.close, 100))
        return Signals(target=np.where(cross > 0.0, 0.95, np.nan), exits=cross < 0.0)


def test_a_long_run_gives_the_bytes_of_its_event_driven_twin() -> None:
    """10,000 bars: over blocks, windows and commits."""
    market = make_market(walk(10_000))
    spec = make_spec(market, name="sma_cross")
    arrays, callbacks = (run_commits(market, spec, each) for each in (CrossArrays, SmaCross))
    assert len(arrays) > 3
    assert [commit.body for commit in arrays] == [commit.body for commit in callbacks]


def test_signals_do_not_look_ahead_by_themselves() -> None:
    """The same signals on shorter data; a signal that knows the next bar is found."""

    class Knowing(ArrayStrategy):
        def signals(self, data: Data) -> Signals:
            return Signals(entries=np.append(data.close[1:] > data.close[:-1], False), exits=data.close > 0.0)

    market = make_market(walk(300))
    spec = make_spec(market, name="sma_cross")
    assert find_lookahead(spec, market, CrossArrays) is None
    assert find_lookahead(spec, market, Knowing) is not None


def fills(strategy: type[ArrayStrategy], *prices: float) -> list[tuple[str, float, float]]:
    events = run(make_market(make_bars(flat(*prices))), strategy)
    return [(str(event.side), event.quantity, event.price) for event in of(events, OrderFilled)]


def signalling(**columns: Any) -> type[ArrayStrategy]:
    class Given(ArrayStrategy):
        def signals(self, data: Data) -> Signals:
            return Signals(**columns)

        def on_fill(self, fill: Fill) -> None:
            SEEN.append(self.bars.close[-1])

    return Given


def test_entries_exits_and_callbacks() -> None:
    """Half of 100,000 at 100 is 500; a second entry while long is none; callbacks see the bar they are told in."""
    SEEN.clear()
    entries, exits = np.array([1, 1, 1, 0, 0]), np.array([0, 0, 0, 1, 0])
    strategy = signalling(entries=entries, exits=exits, size=0.5)
    assert fills(strategy, 100.0, 100.0, 101.0, 102.0, 103.0) == [("buy", 500.0, 100.0), ("sell", 500.0, 103.0)]
    assert SEEN == [100.0, 103.0]


def test_an_entry_with_attached_orders() -> None:
    """Short at 100, the stop loss at 104 is passed by the open of 105."""
    entry = np.array([True, False, False])
    strategy = signalling(short_entries=entry, size=0.1, stop_loss=np.full(3, 104.0), take_profit=np.full(3, np.nan))
    assert fills(strategy, 100.0, 100.0, 105.0) == [("sell", 100.0, 100.0), ("buy", 100.0, 105.0)]


def test_an_array_of_another_length_is_refused() -> None:
    """It names the array and both lengths."""
    with pytest.raises(StrategyError, match=re.escape("signals: entries of X has shape (2,), not (3,)")):
        fills(signalling(entries=np.zeros(2)), 1.0, 2.0, 3.0)
