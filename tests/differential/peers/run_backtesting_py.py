"""This script runs one of the rules in backtesting.py."""

import warnings

import numpy as np
from backtesting import Backtest, Strategy
from backtesting import __version__ as version
from common import rules, task

TASK = task()
COLUMNS, QUANTITY = TASK.columns, int(TASK.quantity)


class Rules(Strategy):
    def init(self) -> None:
        self.held = 0

    def next(self) -> None:
        bar = len(self.data) - 1
        if TASK.strategy == "limit_reversion":
            for order in list(self.orders):
                order.cancel()
            self.held = self.held + 1 if self.position else 0
            if self.position:
                if self.held == rules.HOLD_BARS:
                    self.position.close()
            elif COLUMNS["enter"][bar]:
                self.buy(size=QUANTITY, limit=COLUMNS["limit"][bar])
            return
        if TASK.strategy == "trailing_stop":
            for trade in self.trades:
                stop = rules.on_grid(np.array([self.data.Close[-1] * (1.0 - TASK.trail)]), TASK.tick)[0]
                trade.sl = max(trade.sl or 0.0, stop)
        if TASK.strategy == "sma_reversal":
            for column, order in (("enter", self.buy), ("leave", self.sell)):
                if COLUMNS[column][bar]:
                    order(size=QUANTITY * (2 if self.position else 1))
        elif self.position:
            if COLUMNS["leave"][bar]:
                self.position.close()
        elif COLUMNS["enter"][bar] and not self.orders:
            terms = {name: COLUMNS[column][bar] for name, column in (("sl", "stop"), ("tp", "target"))}
            self.buy(size=QUANTITY, **{name: price for name, price in terms.items() if not np.isnan(price)})


def main() -> None:
    frame = TASK.frame.set_index("timestamp").rename(columns=str.capitalize)
    warnings.simplefilter("ignore")
    result = Backtest(frame, Rules, cash=rules.CASH, finalize_trades=False).run()
    times = TASK.times
    trades = [*result._strategy._broker.closed_trades, *result._strategy._broker.trades]
    for trade in trades:
        TASK.fill(times[trade.entry_bar], 1 if trade.size > 0 else -1, abs(trade.size), trade.entry_price)
        if trade.exit_bar is not None:
            TASK.fill(times[trade.exit_bar], -1 if trade.size > 0 else 1, abs(trade.size), trade.exit_price)
    TASK.fills.sort(key=lambda fill: fill[0])
    TASK.report(f"backtesting.py {version}", result["Equity Final [$]"])


main()
