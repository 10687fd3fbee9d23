"""This module knows, of every series that a strategy can look at, which bars it holds and how many of them each step shows.

There is one ``Lane`` for each symbol's bars and for each of its further time frames. A lane's counts are made when it is first
looked at: what a strategy does not use costs nothing.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.kernels.records import Tape
from engine.market import leads, offsets
from engine.series import unknown_frame
from engine.sessions import bar_ends
from engine.timeline import Scene
from schemas.market_data import Bars, TimeArray
from schemas.times import timeframe_ns

MAIN = ""  # the name of the time frame that a strategy's own bars have

Counts = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Lane:
    """The bars of one series, how many are before the first step, and how many each step shows (None: one more each)."""

    bars: Bars
    lead: int
    counts: Counts | None

    def shown(self, step: int) -> int:
        """Return how many bars a step shows; -1: before the first step."""
        if step < 0:
            return self.lead
        return self.lead + step + 1 if self.counts is None else int(self.counts[step])


class Lanes:
    """All lanes of a run."""

    def __init__(self, scene: Scene, tape: Tape) -> None:
        self._scene = scene
        self._tape = tape
        self._made: dict[tuple[int, str], Lane] = {}
        self.frames = tuple(scene.frames)

    def lane(self, index: int, timeframe: str = MAIN) -> Lane:
        """Return a symbol's lane. Raises KeyError for a time frame that the spec does not name."""
        key = (index, timeframe)
        if key not in self._made:
            self._made[key] = self._frame(index, timeframe) if timeframe != MAIN else self._main(index)
        return self._made[key]

    def steps_of(self, index: int) -> TimeArray:
        """Return the step from which each of the symbol's bars can be seen; -1: before the first step; never: ``steps``."""
        lane = self.lane(index)
        if lane.counts is None:
            return np.maximum(np.arange(len(lane.bars), dtype=np.int64) - lane.lead, -1)
        steps = np.searchsorted(lane.counts, np.arange(len(lane.bars)), side="right").astype(np.int64)
        steps[: lane.lead] = -1
        return steps

    def ends(self, index: int) -> TimeArray:
        """Return when each step is over, for a symbol: the end of a bar that begins with it."""
        market = self._scene.market
        table = market.sessions(market.instruments[index].calendar)
        return bar_ends(table, self._tape.time_ns, timeframe_ns(market.bars[index].timeframe))

    @cached_property
    def clock(self) -> TimeArray:
        """When each step is over, by the first symbol."""
        return self.ends(0)

    @cached_property
    def wakes(self) -> list[int] | None:
        """The steps that end a bar which is played along finer ones; None: every step does."""
        return None if self._played is None else self._played[1]

    @cached_property
    def _played(self) -> tuple[list[Counts], list[int]] | None:
        played = self._scene.played
        return None if played is None else played.counts(self._tape.time_ns)

    def _main(self, index: int) -> Lane:
        if self._scene.played is not None and self._played is not None:
            bars, counts = self._scene.played.bars[index], self._played[0][index]
            live = self._scene.market.live_ns
            return Lane(bars, 0 if live is None else int(np.searchsorted(bars.time_ns, live, side="left")), counts)
        market = self._scene.market
        bars, lead = market.bars[index], leads(market)[index]
        if self._tape.latest.size == 0:
            return Lane(bars, lead, None)
        counts = self._tape.latest[index] - np.int32(offsets(market)[index]) + np.int32(1)
        return Lane(bars, lead, np.maximum(counts, 0))

    def _frame(self, index: int, timeframe: str) -> Lane:
        if timeframe not in self._scene.frames:
            raise unknown_frame(timeframe, self._scene.frames)
        ends = self.ends(index)
        frame = self._scene.frames[timeframe][index].until(int(ends[-1]))
        counts = np.searchsorted(frame.end_ns, ends, side="right").astype(np.int32)
        lead = int(np.searchsorted(frame.end_ns, self._tape.time_ns[0], side="right"))
        return Lane(frame.bars, lead, counts)
