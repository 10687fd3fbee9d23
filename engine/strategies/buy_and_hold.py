"""This module buys at the first bar and holds: the benchmark of all others."""

from typing import Annotated

from pydantic import Field

from engine.strategy import Strategy


class BuyAndHold(Strategy):
    """Buy each symbol with an equal share of equity when its first bar has closed, and hold it."""

    class Parameters(Strategy.Parameters):
        fraction: Annotated[float, Field(gt=0, le=10)] = 1.0  # of equity, over all symbols

    def on_start(self) -> None:
        self.waiting = list(self.symbols)

    def on_bar(self) -> None:
        if not self.waiting:
            return
        share = self.parameters.fraction / len(self.symbols)
        for symbol in list(self.waiting):
            if self.bars[symbol].close:
                self.waiting.remove(symbol)
                self.buy(fraction=share, symbol=symbol)
