"""This module plays bars along finer ones: orders are matched in the finer bars, the strategy sees and speaks after each bar.

The finer bars become the run's time line, so that events carry their times. Of a bar without finer ones inside, the bar itself
stands on the line. Finer bars outside all bars of their symbol are left out.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.market import merged_times
from schemas.market_data import Bars, TimeArray


@dataclass(frozen=True, slots=True)
class Played:
    """Bars, and the finer time line that they are played along."""

    bars: tuple[Bars, ...]  # what strategies see
    line: tuple[Bars, ...]  # what orders are matched in

    def counts(self, times: TimeArray) -> tuple[list[NDArray[np.int32]], list[int]]:
        """Return how many of each symbol's bars can be seen at each step, shape (steps,) each, and the steps that end a bar.

        times : of the line's steps, from the first one that is traded in. A bar is complete with the last step in it.
        """
        starts = merged_times(self.bars)
        inside = np.searchsorted(starts, times, side="right") - 1
        ends = np.ones(len(inside), dtype=bool)
        ends[:-1] = inside[1:] != inside[:-1]
        done = np.where(ends, inside, inside - 1)
        last_start = np.where(done >= 0, starts[np.maximum(done, 0)], np.iinfo(np.int64).min)
        counts = [np.searchsorted(bars.time_ns, last_start, side="right").astype(np.int32) for bars in self.bars]
        return counts, np.flatnonzero(ends).tolist()


def played_along(bars: tuple[Bars, ...], finer: tuple[Bars | None, ...], timeframe: str, length_ns: int) -> Played:
    """Return the bars with the line that they are played along.

    finer : of each symbol, None where there are none; timeframe : of the finer bars; length_ns : of the bars
    """
    pairs = zip(bars, finer, strict=True)
    return Played(bars, tuple(_line(whole, parts, length_ns, timeframe) for whole, parts in pairs))


def _line(whole: Bars, parts: Bars | None, length_ns: int, timeframe: str) -> Bars:
    if parts is None or not len(parts) or not len(whole):
        return replace(whole, timeframe=timeframe)
    holder = np.searchsorted(whole.time_ns, parts.time_ns, side="right") - 1
    is_inside = (holder >= 0) & (parts.time_ns < whole.time_ns[np.maximum(holder, 0)] + length_ns)
    parts, holder = parts.part(is_inside), holder[is_inside]
    is_empty = np.ones(len(whole), dtype=bool)
    is_empty[holder] = False
    return _merged(parts, whole.part(is_empty), timeframe)


def _merged(first: Bars, second: Bars, timeframe: str) -> Bars:
    """Return the bars of both in the order of time."""
    if not len(second):
        return replace(first, timeframe=timeframe)
    order = np.argsort(np.concatenate([first.time_ns, second.time_ns]), kind="stable")

    def both(name: str) -> NDArray[np.float64] | None:
        mine, theirs = getattr(first, name), getattr(second, name)
        return None if mine is None or theirs is None else np.concatenate([mine, theirs])[order]

    names = ("open", "high", "low", "close", "volume", "bid", "ask")
    columns = {name: both(name) for name in names}
    times = np.concatenate([first.time_ns, second.time_ns])[order]
    return Bars(symbol=first.symbol, timeframe=timeframe, time_ns=times, **columns)  # type: ignore[arg-type]
