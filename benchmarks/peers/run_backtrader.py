"""This module times backtrader."""

import backtrader as bt
import pandas as pd
from common import CASH, STOP, TARGET, main


class Feed(bt.feeds.PandasData):
    lines = ("fast", "slow")
    params = (("fast", "fast"), ("slow", "slow"), ("openinterest", None))


class Cross(bt.Strategy):
    params = (("brackets", False),)

    def __init__(self):
        self.crosses = [bt.ind.CrossOver(data.fast, data.slow) for data in self.datas]
        self.fills = 0

    def notify_order(self, order):
        self.fills += order.status == order.Completed

    def next(self):
        for data, cross in zip(self.datas, self.crosses, strict=True):
            if self.p.brackets:
                if cross[0] > 0 and not self.getposition(data):
                    close = data.close[0]
                    self.buy_bracket(
                        data=data, size=1, exectype=bt.Order.Market, stopprice=close * STOP, limitprice=close * TARGET
                    )  # fmt: skip
            elif cross[0] > 0:
                self.buy(data=data, size=1)
            elif cross[0] < 0:
                self.close(data=data)


def frame(columns, symbol=None):
    picked = {}
    for name in ("open", "high", "low", "close", "volume", "fast", "slow"):
        picked[name] = columns[name] if symbol is None else columns[name][symbol]
    return pd.DataFrame(picked, index=pd.to_datetime(columns["time_ns"]))


def timed(frames, **parameters):
    cerebro = bt.Cerebro(stdstats=False)
    for data in frames:
        cerebro.adddata(Feed(dataname=data))
    cerebro.addstrategy(Cross, **parameters)
    cerebro.broker.setcash(CASH)
    return lambda: cerebro.run()[0].fills


main(
    {
        "cross": lambda columns: timed([frame(columns)]),
        "brackets": lambda columns: timed([frame(columns)], brackets=True),
        "portfolio": lambda columns: timed([frame(columns, symbol) for symbol in range(len(columns["close"]))]),
    }
)
