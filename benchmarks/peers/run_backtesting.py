"""This module times backtesting.py; several symbols are run one after another, as it knows only one."""

import warnings

import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from common import CASH, STOP, TARGET, main


class Cross(Strategy):
    fast = slow = None

    def init(self):
        self.quick = self.I(lambda: self.fast, name="fast")
        self.calm = self.I(lambda: self.slow, name="slow")

    def next(self):
        if crossover(self.quick, self.calm):
            self.buy(size=1)
        elif crossover(self.calm, self.quick):
            self.position.close()


class Brackets(Cross):
    def next(self):
        if crossover(self.quick, self.calm) and not self.position:
            close = self.data.Close[-1]
            self.buy(size=1, sl=close * STOP, tp=close * TARGET)


def frame(columns, symbol=None):
    names = ("Open", "High", "Low", "Close", "Volume")
    picked = {name: columns[name.lower()] if symbol is None else columns[name.lower()][symbol] for name in names}
    return pd.DataFrame(picked, index=pd.to_datetime(columns["time_ns"]))


def timed(strategy, columns):
    test = Backtest(frame(columns), strategy, cash=CASH, commission=0.0)

    def run():
        stats = test.run(fast=columns["fast"], slow=columns["slow"])
        return 2 * len(stats["_trades"]) + len(stats["_strategy"].trades)

    return run


def portfolio(columns):
    frames = [frame(columns, symbol) for symbol in range(len(columns["close"]))]

    def run():
        fills = 0
        for symbol, data in enumerate(frames):
            stats = Backtest(data, Cross, cash=CASH).run(fast=columns["fast"][symbol], slow=columns["slow"][symbol])
            fills += 2 * len(stats["_trades"]) + len(stats["_strategy"].trades)
        return fills

    return run


warnings.simplefilter("ignore")
main(
    {"cross": lambda columns: timed(Cross, columns), "brackets": lambda columns: timed(Brackets, columns), "portfolio": portfolio}
)
