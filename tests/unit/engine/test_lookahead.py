"""A strategy that computes with later values is found, one that does not is not."""

import pytest

from engine.lookahead import find_lookahead
from engine.registry import BUILTINS
from engine.strategy import Data, Strategy
from tests.unit.engine.factories import make_market, make_spec
from tests.unit.engine.recipes import walk


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
