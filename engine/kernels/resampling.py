"""This module adds bars up to longer ones, in the order of time: every sum is one addition after another."""

from engine.kernels.compiled import kernel
from schemas.market_data import FloatArray, TimeArray


@kernel
def filled_groups(amount: FloatArray, size: float, group: TimeArray) -> int:
    """Number the bars by the longer bar they belong to: one ends with the bar that brings its amount to ``size``.

    group : written to; the bars after the last end get -1
    Returns how many there are. Amounts 3, 4, 5, 1 and size 6: groups 0, 0, 1 (5 is short of 6), and 1 with the last one.
    """
    count, total, first = 0, 0.0, 0
    for place in range(len(amount)):
        total += amount[place]
        group[place] = count
        if total >= size:
            count += 1
            total = 0.0
            first = place + 1
    for place in range(first, len(amount)):
        group[place] = -1
    return count


@kernel
def add_up(
    group: TimeArray, open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, out: FloatArray
) -> None:
    """Write each group's open, high, low, close and volume.

    group : ascending from 0 without holes; out : shape (5, groups)
    """
    last = -1
    for place in range(len(group)):
        index = group[place]
        if index != last:
            out[0, index] = open_[place]
            out[1, index] = high[place]
            out[2, index] = low[place]
            out[4, index] = 0.0
            last = index
        out[1, index] = max(out[1, index], high[place])
        out[2, index] = min(out[2, index], low[place])
        out[3, index] = close[place]
        out[4, index] += volume[place]
