"""This module gives a strategy its view of the data: lists that physically end at the current bar.

A ``Feed`` is one column's way into such a list: before each bar the simulation steps an iterator that appends the bar's
value. So ``series[-1]`` is now, ``series[-2]`` the bar before, and no index reaches the future. A list keeps at least the
last ``history`` values; older ones are dropped from its front, so indices count from the end.
"""

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kernels.records import Tape
from engine.market import read_only

Series = list[float]


class Feed:
    """One column of one symbol, and the list that the strategy reads."""

    __slots__ = ("first_row", "latest", "series", "values")

    def __init__(self, values: NDArray[Any], first_row: int, latest: NDArray[np.int32] | None, step: int, history: int) -> None:
        """Start at a step: the list holds up to ``history`` values of bars up to it.

        values : (bars of the symbol,)
        latest : the symbol's last row at each step, shape (steps,), minus ``first_row`` an index into values; None: dense
        """
        self.values = values
        self.first_row = first_row
        self.latest = latest
        count = self._count(step)
        self.series: Series = values[max(0, count - history) : count].tolist()

    def _count(self, step: int) -> int:
        """Return how many of the symbol's bars lie at or before the step."""
        if step < 0:
            return 0
        return step + 1 if self.latest is None else int(self.latest[step]) - self.first_row + 1 if self.latest[step] >= 0 else 0

    def steps(self, first: int, end: int) -> Iterator[None]:
        """Return an iterator that appends, at each of its steps, the value of the bar of that step, if there is one."""
        before, after = self._count(first - 1), self._count(end - 1)
        values = self.values[before:after].tolist()
        if self.latest is None or after - before == end - first:
            return map(self.series.append, values)
        return self._gappy(values, first, end)

    def _gappy(self, values: list[float], first: int, end: int) -> Iterator[None]:
        assert self.latest is not None
        previous = int(self.latest[first - 1]) if first > 0 else -1
        coming = iter(values)
        for row in self.latest[first:end].tolist():
            if row != previous:
                self.series.append(next(coming))
                previous = row
            yield None

    def trim(self, history: int) -> None:
        """Drop what is older than the last ``history`` values."""
        if len(self.series) > 2 * history:
            del self.series[:-history]


def rows(feeds: list[Feed], first: int, end: int) -> Iterator[Any]:
    """Return an iterator whose n-th step makes all feeds show step ``first + n``."""
    if not feeds:
        return repeat(None, end - first)
    return zip(*[feed.steps(first, end) for feed in feeds], strict=False)


class Columns:
    """The bars of one symbol as arrays, for ``prepare``. They can't be written to.

    All have shape (bars of the symbol,): ``time_ns, open, high, low, close, volume``.
    """

    def __init__(self, symbol: str, time_ns: NDArray[np.int64], **columns: NDArray[np.float64]) -> None:
        self.symbol = symbol
        self.time_ns = read_only(time_ns)
        self.open = read_only(columns["open"])
        self.high = read_only(columns["high"])
        self.low = read_only(columns["low"])
        self.close = read_only(columns["close"])
        self.volume = read_only(columns["volume"])

    def __len__(self) -> int:
        return len(self.time_ns)


def latest_of(tape: Tape, index: int) -> NDArray[np.int32] | None:
    """Return the symbol's last row at each step; None when it has a bar at every step."""
    return None if tape.latest.size == 0 else tape.latest[index]
