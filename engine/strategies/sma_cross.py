"""This module follows the trend: it holds while a fast moving average is above a slow one."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from engine.strategies.indicators import crossings, sma
from engine.strategy import Data, Strategy


class SmaCross(Strategy):
    """Buy when the fast average of closes crosses above the slow one; close, or sell short, when it crosses below."""

    class Parameters(Strategy.Parameters):
        fast: Annotated[int, Field(ge=1, le=10_000)] = 20
        slow: Annotated[int, Field(ge=2, le=10_000)] = 100
        fraction: Annotated[float, Field(gt=0, le=10)] = 0.95  # of equity
        short: bool = False  # sell short below, instead of holding nothing
        close_first: bool = False  # turn by two orders: close, then open with a share of what that has left

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.fast >= self.slow:
                raise ValueError(f"fast {self.fast} must be less than slow {self.slow}")
            return self

    def prepare(self, data: Data) -> None:
        fast, slow = sma(data.close, self.parameters.fast), sma(data.close, self.parameters.slow)
        self.cross = self.indicator(crossings(fast, slow))  # one comparison a bar is left for on_bar

    def on_bar(self) -> None:
        cross = self.cross[-1]
        if cross:
            parameters = self.parameters
            if cross < 0.0 and not parameters.short:
                self.close()
            elif parameters.close_first:
                self.close()
                (self.buy if cross > 0.0 else self.sell)(fraction=parameters.fraction)
            else:
                self.target(fraction=parameters.fraction if cross > 0.0 else -parameters.fraction)
