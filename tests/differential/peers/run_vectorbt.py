"""This script runs one of the rules in vectorbt: signals at the close, stops as fractions of the entry's price."""

import numpy as np
import pandas as pd
import vectorbt
from common import rules, task

TASK = task()


def main() -> None:
    frame = TASK.frame.set_index("timestamp")
    close, columns = frame["close"], TASK.columns
    stops = {}
    if TASK.strategy == "rsi_brackets":
        stops = {
            "sl_stop": pd.Series(1.0 - columns["stop"] / close.to_numpy(), index=close.index),
            "tp_stop": pd.Series(columns["target"] / close.to_numpy() - 1.0, index=close.index),
        }
    if TASK.strategy == "trailing_stop":
        stops = {"sl_stop": TASK.trail, "sl_trail": True}
    leave = pd.Series(columns["leave"], index=close.index)
    nowhere = pd.Series(False, index=close.index)
    is_reversal = TASK.strategy == "sma_reversal"
    portfolio = vectorbt.Portfolio.from_signals(
        close,
        entries=pd.Series(columns["enter"], index=close.index),
        exits=nowhere if is_reversal else leave,
        short_entries=leave if is_reversal else nowhere,
        short_exits=nowhere,
        open=frame["open"],
        high=frame["high"],
        low=frame["low"],
        size=TASK.quantity,
        init_cash=rules.CASH,
        freq="1D",
        **stops,
    )
    times = TASK.times
    for record in portfolio.orders.values:
        TASK.fill(times[record["idx"]], 1 if record["side"] == 0 else -1, record["size"], record["price"])
    TASK.report(f"vectorbt {vectorbt.__version__}", np.asarray(portfolio.value())[-1])


main()
