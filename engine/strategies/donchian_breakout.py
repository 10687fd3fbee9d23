"""This module follows breakouts: stop orders rest at the edges of the recent range."""

from typing import Annotated

from pydantic import Field

from engine.strategies.indicators import highest, lowest
from engine.strategy import Data, Order, Strategy


class DonchianBreakout(Strategy):
    """Buy by a stop order at the highest high of the last bars, leave by a stop order at the lowest low of fewer bars."""

    class Parameters(Strategy.Parameters):
        entry: Annotated[int, Field(ge=1, le=10_000)] = 20
        exit: Annotated[int, Field(ge=1, le=10_000)] = 10
        fraction: Annotated[float, Field(gt=0, le=10)] = 0.95  # of equity

    def prepare(self, data: Data) -> None:
        self.upper = self.indicator(highest(data.high, self.parameters.entry))
        self.lower = self.indicator(lowest(data.low, self.parameters.exit))
        self.resting: Order | None = None

    def on_bar(self) -> None:
        is_held = bool(self.position)
        level = self.lower[-1] if is_held else self.upper[-1]
        if level != level:  # NaN: too few bars yet
            return
        order = self.resting
        if order is not None and order.is_open and (order.tag == "exit") == is_held:
            if order.stop != level:
                order.modify(stop=level)
            return
        if order is not None:
            order.cancel()
        if is_held:
            self.resting = self.sell(self.position.quantity, stop=level, reduce_only=True, tag="exit")
        else:
            self.resting = self.buy(fraction=self.parameters.fraction, stop=level, tag="entry")
