"""This script runs one of the rules in backtrader."""

import math

import backtrader
from common import rules, task

TASK = task()
COLUMNS, QUANTITY, TIMES = TASK.columns, TASK.quantity, TASK.times


class Rules(backtrader.Strategy):
    def __init__(self) -> None:
        self.entry = None
        self.held = 0

    def notify_order(self, order) -> None:
        if order.status in (order.Completed, order.Partial):
            for bit in order.executed.iterpending():
                TASK.fill(TIMES[len(self.data) - 1], 1 if bit.size > 0 else -1, abs(bit.size), bit.price)
            if TASK.strategy == "trailing_stop" and order.isbuy():
                self.sell(size=QUANTITY, exectype=backtrader.Order.StopTrail, trailpercent=TASK.trail)
        if self.entry is not None and order.ref == self.entry.ref and not order.alive():
            self.entry = None

    def next(self) -> None:
        bar = len(self.data) - 1
        if TASK.strategy == "limit_reversion":
            if self.entry is not None:
                self.cancel(self.entry)
                self.entry = None
            self.held = self.held + 1 if self.position else 0
            if self.position:
                if self.held == rules.HOLD_BARS:
                    self.close()
            elif COLUMNS["enter"][bar]:
                self.entry = self.buy(size=QUANTITY, exectype=backtrader.Order.Limit, price=COLUMNS["limit"][bar])
            return
        if TASK.strategy == "sma_reversal":
            for column, order in (("enter", self.buy), ("leave", self.sell)):
                if COLUMNS[column][bar]:
                    order(size=QUANTITY * (2 if self.position else 1))
        elif self.position:
            if COLUMNS["leave"][bar]:
                self.close()
        elif COLUMNS["enter"][bar] and self.entry is None:
            if math.isnan(COLUMNS["stop"][bar]):
                self.entry = self.buy(size=QUANTITY)
            else:
                self.entry = self.buy_bracket(
                    size=QUANTITY,
                    exectype=backtrader.Order.Market,
                    stopprice=COLUMNS["stop"][bar],
                    limitprice=COLUMNS["target"][bar],
                )[0]


def main() -> None:
    cerebro = backtrader.Cerebro(stdstats=False)
    frame = TASK.frame.assign(timestamp=TASK.frame["timestamp"].dt.tz_localize(None)).set_index("timestamp")
    minutes = (frame.index[1:] - frame.index[:-1]).min().total_seconds() < 86_400
    frames = backtrader.TimeFrame
    cerebro.adddata(backtrader.feeds.PandasData(dataname=frame, timeframe=frames.Minutes if minutes else frames.Days))
    cerebro.addstrategy(Rules)
    cerebro.broker.setcash(rules.CASH)
    cerebro.run()
    TASK.report(f"backtrader {backtrader.__version__}", cerebro.broker.getvalue())


main()
