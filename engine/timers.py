"""This module calls a strategy back at times of its own: once, or again and again, on the run's time line.

A timer is due at the close of the first bar that ends at or after its time, before ``on_bar`` of that bar. Of several that are
due at one bar the earlier time comes first, then the one that was set first.
"""

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.sessions import MONDAY_NS
from schemas.times import parse_time, timeframe_ns

if TYPE_CHECKING:
    from engine.views import Lanes

NEVER = 2**62  # a step that is not reached

Callback = Callable[[], Any]


class Timer:
    """A handle on a timer. ``cancel`` stops it; nothing happens if it is over."""

    __slots__ = ("callback", "is_active", "period_ns", "shift_ns", "time_ns")

    def __init__(self, time_ns: int, callback: Callback, period_ns: int | None, shift_ns: int = 0) -> None:
        self.time_ns = time_ns  # when it is due next
        self.callback = callback
        self.period_ns = period_ns
        self.shift_ns = shift_ns  # of the grid of periods, from 1970 UTC
        self.is_active = True

    def cancel(self) -> None:
        self.is_active = False

    def after(self, time_ns: int) -> int:
        """Return the first whole period after a time."""
        assert self.period_ns is not None, "it comes again"
        return ((time_ns - self.shift_ns) // self.period_ns + 1) * self.period_ns + self.shift_ns


class Timers:
    """All timers of a run. ``next_step`` is the first step at which one may be due."""

    def __init__(self, lanes: "Lanes") -> None:
        self._lanes = lanes
        self._due: list[tuple[int, int, Timer]] = []
        self._set = 0
        self.next_step = NEVER

    def __bool__(self) -> bool:
        return self._set > 0

    def at(self, time: str | int, callback: Callback, step: int) -> Timer:
        """Set a timer for a time (RFC 3339 text, or nanoseconds since 1970 UTC). One in the past is due at the next bar."""
        time_ns = parse_time(time) if isinstance(time, str) else int(time)
        return self._add(Timer(time_ns, _checked(callback), None), step)

    def every(self, period: str, callback: Callback, step: int) -> Timer:
        """Set a timer for every whole period (``15m``, ``1h``, ``1d``) of UTC, from the next one on. Weeks begin on Mondays.

        Where several whole periods have gone by since the last bar, it is due once.
        """
        timer = Timer(0, _checked(callback), timeframe_ns(period), MONDAY_NS if period.endswith("w") else 0)
        timer.time_ns = timer.after(int(self._lanes.clock[step]) if step >= 0 else int(self._lanes.clock[0]) - 1)
        return self._add(timer, step)

    def fire(self, step: int) -> None:
        """Make the calls that are due at a step. They may set further timers: those are due at a later step."""
        now = int(self._lanes.clock[step])
        due = []
        while self._due and self._due[0][0] <= now:
            due.append(heapq.heappop(self._due)[2])
        for timer in due:
            if not timer.is_active:
                continue
            if timer.period_ns is None:
                timer.is_active = False
            else:
                timer.time_ns = timer.after(now)
                self._push(timer)
            timer.callback()
        self._plan(step)

    def _add(self, timer: Timer, step: int) -> Timer:
        self._push(timer)
        self._plan(step)
        return timer

    def _push(self, timer: Timer) -> None:
        self._set += 1
        heapq.heappush(self._due, (timer.time_ns, self._set, timer))

    def _plan(self, step: int) -> None:
        """Find the first step, after this one, that ends at or after the earliest time."""
        if not self._due:
            self.next_step = NEVER
            return
        found = int(np.searchsorted(self._lanes.clock, self._due[0][0], side="left"))
        self.next_step = max(found, step + 1)


def _checked(callback: Callback) -> Callback:
    if not callable(callback):
        raise TypeError(f"a timer calls a function or a method, not {callback!r}")
    return callback
