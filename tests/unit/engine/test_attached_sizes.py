"""Exits that are attached to an entry are as large as the entry turns out to be."""

from typing import Any

import pytest

from engine.strategy import Strategy
from schemas.events import OrderFilled, OrderModified, PositionClosed
from tests.unit.engine.factories import flat, make_bars, make_market, run


@pytest.mark.parametrize(
    ("size", "opening", "units"),
    [
        ({"value": 1_000.0}, 8.0, 125.0),  # 100 units at the last close 10, 125 at the open 8
        ({"value": 1_000.0}, 12.5, 80.0),
        ({"fraction": 0.01}, 8.0, 125.0),  # 1 % of 100,000
        ({"quantity": 100.0}, 8.0, 100.0),
    ],
)
def test_exits_follow_an_entry_that_is_sized_again_at_its_fill(size: dict[str, Any], opening: float, units: float) -> None:
    """Nothing of the position is left when the stop has filled, and the change of the exits is told."""

    class Bracket(Strategy):
        def on_bar(self) -> None:
            if self.step == 0:
                self.buy(**size, stop_loss=5.0, take_profit=50.0)

    market = make_market(make_bars([*flat(10.0, opening), (4.0, 4.0, 4.0, 4.0)]))
    events = run(market, Bracket)
    assert [event.quantity for event in events if isinstance(event, OrderFilled)] == [units, units]
    assert [event.quantity for event in events if isinstance(event, PositionClosed)] == [units]
    changed = [event.order_id for event in events if isinstance(event, OrderModified)]
    assert changed == ([] if units == 100.0 else [1, 2, 3])
