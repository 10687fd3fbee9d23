"""A strategy that computes with later values is found, one that does not is not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.lookahead import find_lookahead
from engine.registry import BUILTINS
from engine.resample import by_time
from engine.strategy import Data, Strategy
from schemas.market_data import Bars, Market
from schemas.spec import BacktestSpec, StrategySpec
from tests.unit.engine.factories import make_market, make_spec
from tests.unit.engine.recipes import HOUR_NS, walk


class Oracle(Strategy):
    """Buy when the whole data's mean lies above the close."""

    def prepare(self, data: Data) -> None:
        self.edge = self.indicator(data.close < float(data.close.mean()))

    def on_bar(self) -> None:
        if self.edge[-1] and not self.position and not self.orders:
            self.buy(1)
        elif not self.edge[-1] and self.position:
            self.close()


def test_a_strategy_that_uses_the_whole_mean_is_found() -> None:
    """The first difference names the time and both events."""
    market = make_market(walk(200))
    found = find_lookahead(make_spec(market), market, Oracle)
    assert found is not None
    assert found.whole != found.truncated
    assert found.time_ns <= int(market.bars[0].time_ns[found.cut - 1])


class Daily(Strategy):
    """Send orders that end or fill with the day."""

    def on_bar(self) -> None:
        if self.step % 24 == 20:
            self.target(fraction=0.0 if self.position else 0.5)
            self.buy(1, limit=1.0, time_in_force="day")
            self.buy(1, session="close")


def test_orders_for_the_day_are_no_look_ahead() -> None:
    """480 hours, cut after whole days: what the end of the data hides, the end of the day, is not compared."""
    market = make_market(walk(480))
    assert find_lookahead(make_spec(market), market, Daily) is None


@pytest.mark.parametrize("name", sorted(set(BUILTINS) - {"order_list"}))
def test_the_built_ins_do_not_look_ahead(name: str) -> None:
    """Runs on the first fifths of the data do the same as the whole run."""
    market = make_market(walk(300))
    assert find_lookahead(make_spec(market, {}, name), market, BUILTINS[name]) is None


class Peeker(Strategy):
    """Buy before a rise: an indicator that holds the next bar's close."""

    def prepare(self, data: Data) -> None:
        following = np.append(data.close[1:], np.nan)
        self.edge = self.indicator(following > data.close)

    def on_bar(self) -> None:
        if self.edge[-1] and not self.position and self.step % 37 == 0:
            self.buy(1)
        elif self.position and self.step % 37 == 9:
            self.close()


class FramePeeker(Strategy):
    """Look at the hour's last price in its first minutes: one value for each bar of the slower frame, moved by one."""

    def prepare(self, data: Data) -> None:
        closes = data.frame("4h").close
        self.edge = self.indicator(np.append(closes[1:], np.nan), frame="4h")

    def on_bar(self) -> None:
        frame = self.bars.frame("4h")
        if frame.is_new and self.edge[-1] > frame.close[-1]:
            self.target(quantity=1)
        elif frame.is_new:
            self.target(quantity=0)


class FrameFollower(Strategy):
    """The honest one: the last complete bars only, and a timer."""

    def prepare(self, data: Data) -> None:
        self.mean = self.indicator(data.frame("4h").close, frame="4h")

    def on_start(self) -> None:
        self.every("1d", self.close)

    def on_bar(self) -> None:
        frame = self.bars.frame("4h")
        if frame.is_new and frame.count > 1 and frame.close[-1] > self.mean[-2]:
            self.buy(1, stop_loss=frame.close[-1] - 1.0)


def _fine(hours: int) -> Bars:
    """Quarter hours, which make the bars of the hours they lie in."""
    rows = walk(4 * hours)
    return replace(rows, timeframe="15m", time_ns=rows.time_ns[0] + np.arange(len(rows)) * (HOUR_NS // 4))


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "frames": {"data": {"frames": ["4h", "1d"]}},
    "warm-up": {"data": {"frames": ["4h"], "warmup": 30}},
    "resampled": {"data": {"timeframe": "15m", "resample": {"type": "time", "timeframe": "1h"}, "frames": ["4h"]}},
    "by volume": {"data": {"timeframe": "15m", "resample": {"type": "volume", "size": 9_000.0}, "frames": ["4h"]}},
    "detail": {"data": {"frames": ["4h"]}, "execution": {"detail_timeframe": "15m"}},
}


def _scene(name: str) -> tuple[BacktestSpec, Market]:
    part = SETTINGS[name]
    fine = _fine(300)
    hours = by_time(fine, "1h", None).bars
    market = make_market(fine if "resample" in part.get("data", {}) else hours)
    if "execution" in part:
        market = replace(market, frames=(fine,))
    data = {"dataset": "test", "symbols": ["X"], "timeframe": "1h", **part.get("data", {})}
    return make_spec(market, data=data, execution=part.get("execution", {})), market


@pytest.mark.parametrize("name", SETTINGS)
def test_a_strategy_that_sees_the_next_bar_is_found_in_every_setting(name: str) -> None:
    """Its orders are rare: a cut behind one of them shows it."""
    spec, market = _scene(name)
    assert find_lookahead(spec, market, Peeker) is not None


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"plain"}))
def test_an_incomplete_slower_bar_can_not_be_used_unseen(name: str) -> None:
    """Moving a frame's values by one bar is found, in whatever way the frame came to be; the honest one is not accused."""
    spec, market = _scene(name)
    assert find_lookahead(spec, market, FramePeeker) is not None
    assert find_lookahead(spec, market, FrameFollower, cuts=12) is None


@pytest.mark.parametrize("name", SETTINGS)
def test_a_built_in_is_honest_in_every_setting(name: str) -> None:
    """Also where the cut falls into the middle of longer bars."""
    spec, market = _scene(name)
    spec = spec.model_copy(update={"strategy": StrategySpec(name="sma_cross", parameters={"fast": 3, "slow": 8})})
    assert find_lookahead(spec, market, BUILTINS["sma_cross"], cuts=12) is None


def test_raising_on_less_data_only_is_a_difference() -> None:
    """A strategy that reads a fixed later place of the data fails where the data ends before it."""

    class Reader(Strategy):
        def prepare(self, data: Data) -> None:
            self.last = float(data.close[250])

    market = make_market(walk(300))
    found = find_lookahead(make_spec(market), market, Reader)
    assert found is not None
    assert "IndexError" in found.truncated
