"""This module computes what every engine's strategy is driven by: plain columns, made once by numpy, the same for all.

It imports nothing of ours: the other engines' scripts read it in their own environment. Signals, not indicators, are shared, so
that a difference between two runs is a difference of fills and of nothing else. Column t follows from bars up to t.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

QUANTITY = {"AAPL.1d": 10.0, "SPY.1d": 10.0, "BTC-PERP.1m": 1.0, "GBPUSD.1m": 1_000.0}
# Every price of the data lies on its grid: adjusted prices of shares have four decimals, one of the perpetual's has three.
TICKS = {"AAPL.1d": 0.0001, "SPY.1d": 0.0001, "BTC-PERP.1m": 0.001, "GBPUSD.1m": 0.00001}
# Of the distances below: as far as these prices go within some bars, so that orders of each kind fill often.
SCALE = {"AAPL.1d": 1.0, "SPY.1d": 1.0, "BTC-PERP.1m": 0.2, "GBPUSD.1m": 0.03}
CASH = 1_000_000.0
STOP_LOSS, TAKE_PROFIT = 0.02, 0.03  # of the close at the signal
LIMIT_BELOW = 0.002
HOLD_BARS = 10
TRAIL = 0.05


def mean(values: Floats, length: int) -> Floats:
    """Return the mean of the last ``length`` values, NaN before there are so many."""
    result = np.full(len(values), np.nan)
    window = np.lib.stride_tricks.sliding_window_view(values, length)
    result[length - 1 :] = window.mean(axis=1)
    return result


def rsi(values: Floats, length: int) -> Floats:
    """Return the relative strength index with plain means of gains and losses."""
    change = np.diff(values, prepend=values[0])
    gain, loss = mean(np.maximum(change, 0.0), length), mean(np.maximum(-change, 0.0), length)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gain + loss > 0.0, 100.0 * gain / (gain + loss), 50.0)


def crosses(first: Floats, second: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where ``first`` rises above ``second`` with a bar, and where it falls below."""
    up, down = np.zeros(len(first), dtype=bool), np.zeros(len(first), dtype=bool)
    up[1:] = (first[1:] > second[1:]) & (first[:-1] <= second[:-1])
    down[1:] = (first[1:] < second[1:]) & (first[:-1] >= second[:-1])
    return up, down


def trail(data: str) -> float:
    """Return the distance of the trailing stop, as a fraction of the price."""
    return TRAIL * SCALE[data]


def signals(strategy: str, close: Floats, data: str) -> dict[str, Floats | NDArray[np.bool_]]:
    """Return the columns that a strategy goes by. Prices are on the grid of the instrument.

    enter, leave : at the close of these bars; the reversal goes short where it leaves
    stop, target, limit : prices of the orders sent there; NaN: none
    """
    nothing, tick, scale = np.full(len(close), np.nan), TICKS[data], SCALE[data]
    if strategy in ("sma_cross", "sma_reversal", "trailing_stop"):
        up, down = crosses(mean(close, 20), mean(close, 100))
        leave = np.zeros(len(close), dtype=bool) if strategy == "trailing_stop" else down
        return {"enter": up, "leave": leave, "stop": nothing, "target": nothing, "limit": nothing}
    if strategy == "rsi_brackets":
        level = rsi(close, 14)
        enter = np.zeros(len(close), dtype=bool)
        enter[1:] = (level[1:] < 30.0) & (level[:-1] >= 30.0)
        stop, target = on_grid(close * (1.0 - STOP_LOSS * scale), tick), on_grid(close * (1.0 + TAKE_PROFIT * scale), tick)
        return {"enter": enter, "leave": np.zeros(len(close), dtype=bool), "stop": stop, "target": target, "limit": nothing}
    assert strategy == "limit_reversion", strategy
    average = mean(close, 20)
    enter = close < average
    return {
        "enter": enter, "leave": np.zeros(len(close), dtype=bool), "stop": nothing, "target": nothing,
        "limit": on_grid(close * (1.0 - LIMIT_BELOW * scale), tick),
    }  # fmt: skip


def on_grid(prices: Floats, tick: float) -> Floats:
    """Round to the tick, as float64 nearest to the decimal."""
    places = max(0, round(-np.log10(tick)))
    return np.round(np.round(prices / tick) * tick, places)


STRATEGIES = ("sma_cross", "sma_reversal", "rsi_brackets", "limit_reversion", "trailing_stop")
