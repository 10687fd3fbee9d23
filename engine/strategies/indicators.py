"""This module holds the few indicators that the built-in strategies need, each computed in one fixed order of additions.

All take an array of shape (bars,) and return one of the same shape; NaN until there are enough bars.
"""

import numpy as np
from numpy.typing import NDArray

from engine.kernels.compiled import kernel
from engine.market import read_only
from schemas.market_data import FloatArray


def sma(values: NDArray[np.float64], length: int) -> FloatArray:
    """Return the mean of the last ``length`` values. [1, 2, 3, 4] with 2: NaN, 1.5, 2.5, 3.5."""
    result = np.full(len(values), np.nan)
    _sma(read_only(np.ascontiguousarray(values)), length, result)
    return result


@kernel
def _sma(values: FloatArray, length: int, result: FloatArray) -> None:
    """Add the new value and take off the old one; start afresh every 4,096 bars, so that no error of rounding builds up."""
    total = 0.0
    for place in range(len(values)):
        total += values[place]
        if place >= length:
            total -= values[place - length]
            if place % 4_096 == 0:
                total = 0.0
                for recent in range(place - length + 1, place + 1):
                    total += values[recent]
        if place >= length - 1:
            result[place] = total / length


def rsi(values: NDArray[np.float64], length: int) -> FloatArray:
    """Return the relative strength index, 0 to 100, by Wilder's smoothing; 50 where nothing has moved.

    Source: Wilder (1978), New Concepts in Technical Trading Systems. First value at bar ``length``.
    """
    result = np.full(len(values), np.nan)
    _rsi(read_only(np.ascontiguousarray(values)), length, result)
    return result


@kernel
def _rsi(values: FloatArray, length: int, result: FloatArray) -> None:
    gain = 0.0
    loss = 0.0
    for place in range(1, len(values)):
        change = values[place] - values[place - 1]
        up = max(change, 0.0)
        down = max(-change, 0.0)
        if place <= length:
            gain += up / length
            loss += down / length
        else:
            gain = (gain * (length - 1) + up) / length
            loss = (loss * (length - 1) + down) / length
        if place >= length:
            result[place] = 50.0 if gain + loss == 0.0 else 100.0 * gain / (gain + loss)


def crossings(first: NDArray[np.float64], second: NDArray[np.float64]) -> FloatArray:
    """Return 1 where ``first`` rises above ``second`` with a bar, -1 where it falls below, else 0. NaN crosses nothing.

    [1, 3, 3, 1] and [2, 2, 2, 2]: 0, 1, 0, -1. The same bars as ``crossed_above`` and ``crossed_below`` name one by one.
    """
    result = np.zeros(len(first))
    result[1:] += (first[1:] > second[1:]) & (first[:-1] <= second[:-1])
    result[1:] -= (first[1:] < second[1:]) & (first[:-1] >= second[:-1])
    return result


def highest(values: NDArray[np.float64], length: int) -> FloatArray:
    """Return the highest of the last ``length`` values, this one included."""
    result = np.full(len(values), np.nan)
    if len(values) >= length:
        result[length - 1 :] = np.lib.stride_tricks.sliding_window_view(values, length).max(axis=1)
    return result


def lowest(values: NDArray[np.float64], length: int) -> FloatArray:
    """Return the lowest of the last ``length`` values, this one included."""
    return -highest(-values, length)
