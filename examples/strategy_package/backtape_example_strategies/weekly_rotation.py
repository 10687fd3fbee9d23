"""This module holds what has risen most, and looks again once a week."""

from typing import Annotated

from pydantic import Field

from backtape import Strategy


class WeeklyRotation(Strategy):
    """Once a week put equal shares into the symbols that rose most over the last bars, and leave the others."""

    class Parameters(Strategy.Parameters):
        lookback: Annotated[int, Field(ge=1, le=2_000, description="bars over which the rise is measured")] = 60
        keep: Annotated[int, Field(ge=1, le=100, description="symbols to hold")] = 2

    def on_start(self) -> None:
        self.every("1w", self.rotate)

    def rotate(self) -> None:
        best = sorted(self.symbols, key=self.rise, reverse=True)[: self.parameters.keep]
        for symbol in sorted(self.symbols, key=lambda each: each in best):  # sell first, buy with what that brings
            share = 0.95 / self.parameters.keep if symbol in best and self.rise(symbol) > 0 else 0.0
            self.target(symbol=symbol, fraction=share)

    def rise(self, symbol: str) -> float:
        closes = self.bars[symbol].close
        lookback = self.parameters.lookback
        return closes[-1] / closes[-lookback - 1] - 1 if len(closes) > lookback else 0.0
