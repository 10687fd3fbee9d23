"""This module buys small falls in a rising market: the trend is that of whole days, the fall that of the run's own bars."""

from typing import Annotated

import pandas as pd
from pydantic import Field

from backtape import Data, Strategy, crossed_below


class TrendPullback(Strategy):
    """Buy when the price falls below its short average while the days rise; leave at a stop or at twice its distance.

    Needs the time frame ``1d`` in the spec's ``data.frames``.
    """

    class Parameters(Strategy.Parameters):
        length: Annotated[int, Field(ge=2, le=500, description="bars of the short average")] = 20
        trend: Annotated[int, Field(ge=2, le=500, description="days that the trend is judged by")] = 20
        risk: Annotated[float, Field(gt=0, le=0.1, description="share of equity that a stop may cost")] = 0.01
        stop: Annotated[float, Field(gt=0, lt=1, description="distance of the stop, as a share of the price")] = 0.02

    def prepare(self, data: Data) -> None:
        self.average = self.indicator(pd.Series(data.close).rolling(self.parameters.length).mean())
        days = pd.Series(data.frame("1d").close)
        self.trend = self.indicator(days.rolling(self.parameters.trend).mean(), frame="1d")

    def on_bar(self) -> None:
        days = self.bars.frame("1d")
        if self.position or self.orders or days.count < 2 or not days.close[-1] > self.trend[-1]:
            return
        if crossed_below(self.bars.close, self.average):
            price, distance = self.bars.close[-1], self.parameters.stop
            self.buy(
                value=min(self.parameters.risk / distance, 0.9) * self.equity,
                stop_loss=price * (1 - distance),
                take_profit=price * (1 + 2 * distance),
                tag="pullback",
            )
