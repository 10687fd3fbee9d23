"""This module gives a strategy its view of the data: lists that physically end at the current bar.

A ``Feed`` is one column's way into such a list: before each bar the simulation steps an iterator that appends the bar's
value. So ``series[-1]`` is now, ``series[-2]`` the bar before, and no index reaches the future. A list keeps at least the
last ``history`` values; older ones are dropped from its front, so indices count from the end.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.market import read_only
from schemas.market_data import Bars

Series = list[float]
# Numbers that lie ready as Python objects for the steps to come: with many feeds they must not push each other out of the cache.
VALUES_AT_ONCE = 16_384
COLUMNS = ("open", "high", "low", "close", "volume", "time_ns", "bid", "ask")


class Feed:
    """One column of one symbol, and the list that the strategy reads."""

    __slots__ = ("counts", "lead", "series", "values")

    def __init__(self, values: NDArray[Any], lead: int, counts: NDArray[np.int32] | None, step: int, history: int) -> None:
        """Start at a step: the list holds up to ``history`` values of bars up to it.

        values : (bars,)
        lead : how many of them are before the first step
        counts : how many can be seen at each step, shape (steps,), ascending; None: one more at every step
        """
        self.values = values
        self.lead = lead
        self.counts = counts
        count = self._count(step)
        self.series: Series = values[max(0, count - history) : count].tolist()

    def _count(self, step: int) -> int:
        """Return how many of the bars are complete at the step."""
        if step < 0:
            return self.lead
        return self.lead + step + 1 if self.counts is None else int(self.counts[step])

    def steps(self, first: int, end: int) -> Iterator[None]:
        """Return an iterator that appends, at each of its steps, the values that can be seen from that step on."""
        before, after = self._count(first - 1), self._count(end - 1)
        values = self.values[before:after].tolist()
        if self.counts is None:
            return map(self.series.append, values)
        counts = self.counts[first:end]
        if after - before == end - first and bool((np.diff(counts, prepend=before) == 1).all()):
            return map(self.series.append, values)
        return self._gappy(values, before, counts.tolist())

    def _gappy(self, values: list[float], shown: int, counts: list[int]) -> Iterator[None]:
        coming = iter(values)
        for count in counts:
            if count != shown:
                self.series.extend(islice(coming, count - shown))
                shown = count
            yield None

    def trim(self, history: int) -> None:
        """Drop what is older than the last ``history`` values."""
        if len(self.series) > 2 * history:
            del self.series[:-history]


def rows(feeds: list[Feed], first: int, end: int) -> Iterator[Any]:
    """Return an iterator whose n-th step makes all feeds show step ``first + n``."""
    if not feeds:
        return repeat(None, end - first)
    length = max(VALUES_AT_ONCE // len(feeds), 1)
    if end - first <= length:
        return zip(*[feed.steps(first, end) for feed in feeds], strict=False)
    return chain.from_iterable(rows(feeds, start, min(start + length, end)) for start in range(first, end, length))


class Columns:
    """The bars of one symbol as arrays, for ``prepare``. They can't be written to, and can't be reached after it.

    All have shape (bars of the symbol,), warm-up included: ``time_ns, open, high, low, close, volume``, and ``bid, ask``
    where the data has quotes.
    """

    time_ns: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]

    def __init__(self, bars: Bars, frames: Mapping[str, Bars] | None = None) -> None:
        self.symbol = bars.symbol
        self.timeframe = bars.timeframe
        self._bars: Bars | None = bars
        self._frames = {name: Columns(each) for name, each in (frames or {}).items()}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in COLUMNS:
            raise AttributeError(f"bars have no column {name!r}; they have {', '.join(COLUMNS)}")
        column = getattr(self._opened(), name)
        if column is None:
            raise AttributeError(f"the data has no quotes of {self.symbol}: no column {name!r}")
        return read_only(column)

    def frame(self, timeframe: str) -> "Columns":
        """Return the symbol's bars in a further time frame of the spec's ``data.frames``."""
        if timeframe not in self._frames:
            raise unknown_frame(timeframe, self._frames)
        return self._frames[timeframe]

    def close_down(self) -> None:
        """From here on the columns can't be reached: they hold bars that are still to come."""
        self._bars = None
        for frame in self._frames.values():
            frame.close_down()

    def lengths(self) -> set[int]:
        """Return the lengths of all columns."""
        return {len(self._opened())}.union(*(frame.lengths() for frame in self._frames.values()))

    def __len__(self) -> int:
        return len(self._opened())

    def _opened(self) -> Bars:
        if self._bars is None:
            raise RuntimeError("whole columns belong into prepare(): in a callback use self.bars, which ends at the current bar")
        return self._bars


def unknown_frame(timeframe: str, known: Iterable[str]) -> KeyError:
    has = ", ".join(known) or "none"
    return UnknownFrameError(f"the run has no time frame {timeframe!r}; data.frames of its spec has {has}: add it there")


class UnknownFrameError(KeyError):
    """A time frame that the spec does not name."""

    def __str__(self) -> str:
        return str(self.args[0])
