"""This module times raptorbt's array runner; the signals are made before."""

import numpy as np
import raptorbt
from common import CASH, main


def arrays(columns):
    config = raptorbt.BacktestConfig(initial_capital=CASH, fees=0.0, slippage=0.0, fill_timing="next_bar_open")
    ones = np.ones(len(columns["close"]))
    bars = [columns[name] for name in ("time_ns", "open", "high", "low", "close", "volume", "entries", "exits")]

    def run():
        result = raptorbt.run_single_backtest(*bars, config=config, position_sizes=ones)
        return 2 * result.metrics.total_closed_trades + result.metrics.total_open_trades

    return run


main({"arrays": arrays})
