"""This module holds a portfolio of fixed weights, and restores them at a fixed distance of bars."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from engine.strategy import Strategy


class TargetWeights(Strategy):
    """Bring every symbol to its share of equity, every so many bars. Without weights, equal ones."""

    class Parameters(Strategy.Parameters):
        weights: dict[str, Annotated[float, Field(ge=-10, le=10)]] = Field(default_factory=dict)  # symbol -> share of equity
        every: Annotated[int, Field(ge=1, le=1_000_000)] = 21  # bars between two rebalancings
        threshold: Annotated[float, Field(ge=0, lt=1)] = 0.0  # leave a symbol whose share is this near to its weight

        @model_validator(mode="after")
        def _some(self) -> Self:
            if self.weights and all(weight == 0.0 for weight in self.weights.values()):
                raise ValueError("one weight at least must differ from 0")
            return self

    def on_start(self) -> None:
        equal = {symbol: 0.99 / len(self.symbols) for symbol in self.symbols}
        self.weights = dict(self.parameters.weights or equal)

    def on_bar(self) -> None:
        if self.step % self.parameters.every != 0:
            return
        equity = self.equity
        changes = []
        for symbol, weight in self.weights.items():
            closes = self.bars[symbol].close
            if closes and equity > 0.0:
                change = weight - self.position[symbol].quantity * closes[-1] / equity
                if abs(change) > self.parameters.threshold:
                    changes.append((change, symbol, weight))
        for _, symbol, weight in sorted(changes):  # what is sold pays for what is bought
            self.target(fraction=weight, symbol=symbol)
