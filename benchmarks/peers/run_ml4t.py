"""This module times ml4t-backtest."""

import polars as pl
from common import CASH, main
from ml4t.backtest import BacktestConfig, DataFeed, Engine, OrderSide, Strategy


class Cross(Strategy):
    def __init__(self, fast, slow):
        self.fast, self.slow = fast, slow
        self.row = 0

    def on_data(self, timestamp, data, context, broker):
        row = self.row
        self.row = row + 1
        if row == 0:
            return
        for asset in self.fast:
            fast, slow = self.fast[asset], self.slow[asset]
            if fast[row] > slow[row] and fast[row - 1] <= slow[row - 1]:
                broker.submit_order(asset, 1.0, OrderSide.BUY)
            elif fast[row] < slow[row] and fast[row - 1] >= slow[row - 1] and broker.get_position(asset) is not None:
                broker.submit_order(asset, 1.0, OrderSide.SELL)


def timed(columns, symbols):
    config = BacktestConfig(initial_cash=CASH, commission_rate=0.0, slippage_rate=0.0, data_frequency="1m")
    parts, fast, slow = [], {}, {}
    for symbol in range(symbols):
        names = ("open", "high", "low", "close", "volume")
        picked = {each: columns[each] if symbols == 1 else columns[each][symbol] for each in names}
        asset = f"S{symbol}"
        times = pl.Series(columns["time_ns"]).cast(pl.Datetime("ns"))
        parts.append(pl.DataFrame({"timestamp": times, "asset": [asset] * len(times), **picked}))
        fast[asset] = (columns["fast"] if symbols == 1 else columns["fast"][symbol]).tolist()
        slow[asset] = (columns["slow"] if symbols == 1 else columns["slow"][symbol]).tolist()
    prices = pl.concat(parts).sort("timestamp", maintain_order=True)

    def run():
        result = Engine(DataFeed(prices_df=prices), Cross(fast, slow), config).run()
        return len(result.fills)

    return run


main({"cross": lambda columns: timed(columns, 1), "portfolio": lambda columns: timed(columns, len(columns["close"]))})
