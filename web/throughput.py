"""This module tells how fast a count grows, from what was counted at different times."""

import time
from collections import deque

KEPT_SECONDS = 120.0


class Throughput:
    """How many of something come in a second."""

    def __init__(self) -> None:
        self._counted: deque[tuple[float, int]] = deque()

    def rate(self, count: int) -> float | None:
        """Count once more, and return the mean rate since the oldest count that is kept; None at the first one."""
        now = time.monotonic()
        self._counted.append((now, count))
        while len(self._counted) > 2 and now - self._counted[0][0] > KEPT_SECONDS:
            self._counted.popleft()
        began, before = self._counted[0]
        seconds = now - began
        return None if seconds < 1.0 else max(0.0, (count - before) / seconds)
