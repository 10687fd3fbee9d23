"""This module trades against short excursions: it buys what has fallen fast and sells when it has recovered."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from engine.strategies.indicators import rsi
from engine.strategy import Data, Strategy


class RsiReversion(Strategy):
    """Buy when the relative strength index falls below a level, sell when it has risen above another; with optional exits."""

    class Parameters(Strategy.Parameters):
        length: Annotated[int, Field(ge=2, le=1_000)] = 14
        buy_below: Annotated[float, Field(gt=0, lt=100)] = 30.0
        sell_above: Annotated[float, Field(gt=0, lt=100)] = 55.0
        fraction: Annotated[float, Field(gt=0, le=10)] = 0.95  # of equity
        stop_loss: Annotated[float, Field(gt=0, lt=1)] | None = None  # below the last close, as a fraction of it
        take_profit: Annotated[float, Field(gt=0)] | None = None  # above the last close, as a fraction of it

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.buy_below >= self.sell_above:
                raise ValueError(f"buy_below {self.buy_below} must be less than sell_above {self.sell_above}")
            return self

    def prepare(self, data: Data) -> None:
        self.rsi = self.indicator(rsi(data.close, self.parameters.length))

    def on_bar(self) -> None:
        strength = self.rsi[-1]
        if not self.position:
            if strength < self.parameters.buy_below and not self.orders:
                close = self.bars.close[-1]
                loss, gain = self.parameters.stop_loss, self.parameters.take_profit
                self.buy(
                    fraction=self.parameters.fraction,
                    stop_loss=None if loss is None else close * (1.0 - loss),
                    take_profit=None if gain is None else close * (1.0 + gain),
                )
        elif strength > self.parameters.sell_above:
            self.close()
