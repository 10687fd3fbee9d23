"""This module holds what the engine's benchmarks run: strategies, each in the way that a user would write it, and their spec."""

from typing import Any

from engine.arrays import ArrayStrategy, Signals
from engine.strategies.indicators import crossings, sma
from engine.strategy import Data, Strategy, crossed, crossed_above
from schemas.market_data import Bars, Instrument, Market
from schemas.spec import BacktestSpec, parse_spec

CASH = 10_000_000.0
STOP, TARGET = 0.99, 1.02
COLUMNS = ("open", "high", "low", "close", "volume")


class Averages(Strategy):
    """Both averages of every symbol, as series."""

    def prepare(self, data: Data) -> None:
        self.pairs = [
            (
                symbol,
                self.indicator(sma(data[symbol].close, 20), symbol),
                self.indicator(sma(data[symbol].close, 100), symbol),
            )
            for symbol in data.symbols
        ]
        _, self.fast, self.slow = self.pairs[0]


class Cross(Averages):
    def on_bar(self) -> None:
        cross = crossed(self.fast, self.slow)
        if cross > 0:
            self.buy(1.0)
        elif cross < 0:
            self.close()


class Brackets(Averages):
    def on_bar(self) -> None:
        if crossed_above(self.fast, self.slow) and not self.position:
            close = self.bars.close[-1]
            self.buy(1.0, stop_loss=close * STOP, take_profit=close * TARGET)


class Portfolio(Averages):
    def on_bar(self) -> None:
        for symbol, fast, slow in self.pairs:
            cross = crossed(fast, slow)
            if cross > 0:
                self.buy(1.0, symbol=symbol)
            elif cross < 0:
                self.close(symbol)


class Arrays(ArrayStrategy):
    def signals(self, data: Data) -> Signals:
        cross = crossings(sma(data.close, 20), sma(data.close, 100))
        return Signals(entries=cross > 0.0, exits=cross < 0.0, size=0.01)


def market_of(bars: list[Bars]) -> Market:
    return Market(bars=tuple(bars), instruments=tuple(Instrument(symbol=each.symbol, calendar="always") for each in bars))


def spec_of(market: Market, **parts: Any) -> BacktestSpec:
    return parse_spec(
        {
            "data": {"dataset": "bench", "symbols": [bars.symbol for bars in market.bars], "timeframe": "1m"},
            "strategy": {"name": "bench", "parameters": {}},
            "account": {"cash": CASH},
            **parts,
        }
    )
