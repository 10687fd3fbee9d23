"""Where the data has bid and ask, orders that take a price pay the ask and get the bid."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.errors import ParametersError
from engine.resample import by_time
from engine.strategy import Strategy
from schemas.events import OrderFilled
from schemas.market_data import Market
from tests.unit.engine.factories import make_bars, make_market, make_spec, run

ROWS = [(100.0, 101.0, 99.0, 100.0), (101.0, 103.0, 100.0, 102.0), (104.0, 105.0, 103.0, 104.0), (104.0, 104.0, 104.0, 104.0)]
BID = [99.9, 101.7, 103.5, 103.0]
ASK = [100.2, 102.1, 104.4, 105.0]
QUOTES = {"slippage": {"type": "quotes"}}


def quoted_market() -> Market:
    return make_market(replace(make_bars(ROWS), bid=np.array(BID), ask=np.array(ASK)))


def fill_of(side: str, step: int = 0, execution: dict[str, Any] | None = None, **terms: Any) -> float:
    class Once(Strategy):
        def on_bar(self) -> None:
            if self.step == step:
                (self.buy if side == "buy" else self.sell)(1, **terms)

    events = run(quoted_market(), Once, execution={**QUOTES, **(execution or {})})
    (price,) = [event.price for event in events if isinstance(event, OrderFilled)]
    return price


@pytest.mark.parametrize(
    ("side", "execution", "terms", "price"),
    [
        ("buy", {}, {}, 101.2),  # open 101 and the 0.2 between close and ask of the bar before
        ("sell", {}, {}, 100.9),  # open 101 less 0.1
        ("buy", {"market_fill": "same_close"}, {}, 100.2),  # the bar's own ask
        ("sell", {"market_fill": "same_close"}, {}, 99.9),
        ("buy", {"market_fill": "next_close"}, {}, 102.1),
        ("buy", {}, {"stop": 102.5}, 102.6),  # triggered inside the second bar: 102.5 and its own 0.1
        ("buy", {}, {"limit": 100.5}, 100.5),  # a limit order takes no quote
        ("buy", {"slippage": {"type": "quotes", "scope": "all"}}, {"limit": 100.5}, 100.6),
        ("buy", {"slippage": {"type": "quotes", "scope": "market"}}, {"stop": 102.5}, 102.5),
        ("buy", {"slippage": {"type": "none"}}, {}, 101.0),
    ],
)
def test_orders_pay_the_quote(side: str, execution: dict[str, Any], terms: dict[str, Any], price: float) -> None:
    """Each row says where its price comes from."""
    assert fill_of(side, execution=execution, **terms) == price


def test_quotes_are_series_and_columns() -> None:
    """They end at the current bar like all others."""
    seen = []

    class Watcher(Strategy):
        def prepare(self, data: Any) -> None:
            self.spread = self.indicator(data.ask - data.bid)

        def on_bar(self) -> None:
            seen.append((self.bars.bid[-1], self.bars["X"].ask[-1], round(self.spread[-1], 9)))

    run(quoted_market(), Watcher, execution=QUOTES)
    assert seen == [(99.9, 100.2, 0.3), (101.7, 102.1, 0.4), (103.5, 104.4, 0.9), (103.0, 105.0, 2.0)]


def test_longer_bars_have_the_quotes_of_their_last_part() -> None:
    """Four minutes in twos: the second's and the fourth's."""
    frame = by_time(quoted_market().bars[0], "2m", None)
    assert frame.bars.bid is not None and frame.bars.ask is not None
    assert (frame.bars.bid.tolist(), frame.bars.ask.tolist()) == ([101.7, 103.0], [102.1, 105.0])


def test_data_without_quotes_is_refused() -> None:
    """Silently paying nothing would flatter the strategy."""
    market = make_market(make_bars(ROWS))
    with pytest.raises(ParametersError, match="quotes are not allowed for X, which has no bid and ask"):
        run(market, Strategy, execution=QUOTES)


def test_marks_are_at_the_close() -> None:
    """Bought at 101.2, the position is worth the second bar's close, 102: equity 100,000 - 101.2 + 102."""

    class Once(Strategy):
        def on_bar(self) -> None:
            if self.step == 0:
                self.buy(1)
            if self.step == 1:
                assert self.equity == pytest.approx(100_000.8)

    assert make_spec(quoted_market(), execution=QUOTES).execution.slippage.type == "quotes"
    run(quoted_market(), Once, execution=QUOTES)


def test_before_the_first_bar_no_quote_is_known_but_its_own() -> None:
    """Sent before the data: at the open of 100 with the 0.2 and 0.1 of the first bar's close."""
    assert fill_before_the_first_bar("buy") == 100.2
    assert fill_before_the_first_bar("sell") == 99.9


def fill_before_the_first_bar(side: str) -> float:
    class First(Strategy):
        def on_start(self) -> None:
            (self.buy if side == "buy" else self.sell)(1)

    (fill,) = [event for event in run(quoted_market(), First, execution=QUOTES) if isinstance(event, OrderFilled)]
    return fill.price


@pytest.mark.parametrize(("close", "price"), [(0.5, 0.3), (2.0, 0.0)])
def test_a_quote_never_brings_a_price_below_zero(close: float, price: float) -> None:
    """Opened at 0.5: a bid 0.2 below its close leaves 0.3, one 1.8 below it nothing."""
    bars = make_bars([(close, close, close, close), (0.5, 0.5, 0.5, 0.5)])
    bid = np.array([0.3 if close == 0.5 else 0.2, 0.5])

    class Once(Strategy):
        def on_bar(self) -> None:
            if self.step == 0:
                self.sell(1)

    events = run(make_market(replace(bars, bid=bid, ask=bars.close)), Once, execution=QUOTES)
    assert [event.price for event in events if isinstance(event, OrderFilled)] == [price]
