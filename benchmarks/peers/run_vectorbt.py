"""This module times vectorbt's own simulation from entry and exit signals; the signals are made before."""

import pandas as pd
import vectorbt as vbt
from common import CASH, main


def arrays(columns):
    index = pd.to_datetime(columns["time_ns"])
    close, opened = (pd.Series(columns[name], index=index) for name in ("close", "open"))
    # What a bar's close says is done at the next bar's open: both signals go one bar on.
    entries, exits = (pd.Series(columns[name], index=index).shift(1, fill_value=False) for name in ("entries", "exits"))

    def run():
        portfolio = vbt.Portfolio.from_signals(
            close, entries, exits, price=opened, size=1.0, init_cash=CASH, fees=0.0, freq="1min"
        )
        portfolio.total_return()
        return len(portfolio.orders.values)

    return run


main({"arrays": arrays})
