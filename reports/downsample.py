"""This module thins series to what a picture can show, without hiding anything that it could show.

A picture is some hundred columns wide. Of each column the first, lowest, highest and last value are kept, so that a peak of one
bar in a million is drawn as high as it was. Averaging would hide it; keeping every n-th value would keep it by luck.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.market_data import Bars, FloatArray, TimeArray

Places = NDArray[np.int64]


def kept_places(values: FloatArray, columns: int) -> Places:
    """Return which values to draw in so many columns, ascending: all, or each column's first, lowest, highest and last.

    [5, 1, 9, 4] in one column keeps all four; [5, 6, 1, 2, 9, 4] in one column keeps the places 0, 2, 4, 5.
    """
    if len(values) <= 4 * columns:
        return np.arange(len(values))
    starts, ends = _columns(len(values), columns)
    lowest = [int(start + np.argmin(values[start:end])) for start, end in zip(starts, ends, strict=True)]
    highest = [int(start + np.argmax(values[start:end])) for start, end in zip(starts, ends, strict=True)]
    return np.unique(np.concatenate([starts, lowest, highest, ends - 1]))


def lowest_places(values: FloatArray, columns: int) -> Places:
    """Return which values to draw where only the lows matter, as of a drawdown: each column's lowest, and both ends."""
    if len(values) <= 2 * columns:
        return np.arange(len(values))
    starts, ends = _columns(len(values), columns)
    lowest = [int(start + np.argmin(values[start:end])) for start, end in zip(starts, ends, strict=True)]
    return np.unique(np.concatenate([[0], lowest, [len(values) - 1]]))


@dataclass(frozen=True, slots=True)
class Spans:
    """What each column of a picture holds of a series that switches faster than can be drawn."""

    first: Places
    lowest: FloatArray
    highest: FloatArray
    average: FloatArray


def spans(values: FloatArray, columns: int) -> Spans:
    """Return lowest, highest and average value of each column. [1, 3, 5, 5] in two: 1 to 3 around 2, and 5."""
    starts, ends = _columns(len(values), min(columns, len(values)))
    return Spans(
        first=starts,
        lowest=np.minimum.reduceat(values, starts),
        highest=np.maximum.reduceat(values, starts),
        average=np.add.reduceat(values, starts) / (ends - starts),
    )


@dataclass(frozen=True, slots=True)
class Ranges:
    """Bars joined to fewer and longer ones: open of the first, highest high, lowest low, close of the last."""

    time_ns: TimeArray  # the start of the first bar of each
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray

    def __len__(self) -> int:
        return len(self.time_ns)


def joined(bars: Bars, columns: int) -> Ranges:
    """Return the bars, joined where there are more than columns."""
    if len(bars) <= columns:
        return Ranges(bars.time_ns, bars.open, bars.high, bars.low, bars.close)
    starts, ends = _columns(len(bars), columns)
    return Ranges(
        time_ns=bars.time_ns[starts],
        open=bars.open[starts],
        high=np.maximum.reduceat(bars.high, starts),
        low=np.minimum.reduceat(bars.low, starts),
        close=bars.close[ends - 1],
    )


def distinct_spots(x: FloatArray, y: FloatArray, *, width: int, height: int) -> Places:
    """Return which points to mark so that no two lie on one spot of a grid: the first of each. NaN is left out.

    Marks that would hide each other are drawn once; a picture of 10,000 trades then has no more marks than can be seen.
    """
    usable = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(usable):
        return usable
    across, along = _cells(x[usable], width), _cells(y[usable], height)
    firsts = np.unique(across * (height + 1) + along, return_index=True)[1]
    return np.asarray(usable[np.sort(firsts)], dtype=np.int64)


def _cells(values: FloatArray, cells: int) -> Places:
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(len(values), dtype=np.int64)
    return np.asarray((values - low) / (high - low) * cells, dtype=np.int64)


def _columns(count: int, columns: int) -> tuple[Places, Places]:
    edges = np.linspace(0, count, columns + 1).astype(np.int64)
    return edges[:-1], edges[1:]
