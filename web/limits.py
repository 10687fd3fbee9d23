"""This module limits how often one key may ask: a bucket of tokens for each, refilled steadily."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from web.problems import ProblemError

BURST_SECONDS = 4.0  # so many seconds' worth may be asked at once
UNKNOWN_SHARE = 0.04  # of a key's rate may one address ask without a good key: guessing is slow
MAX_BUCKETS = 10_000  # beyond, the ones unused longest are forgotten


class RateLimits:
    """Buckets of this process. Several web processes allow as many times more."""

    def __init__(self, per_second: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, at

    def take(self, key_id: str) -> None:
        """Count a request of a key. Raises ProblemError 429 when it has asked too often."""
        self._take(f"key {key_id}", self._per_second)

    def take_unknown(self, address: str) -> None:
        """Count a request without a good key."""
        self._take(f"address {address}", self._per_second * UNKNOWN_SHARE)

    def _take(self, name: str, per_second: float) -> None:
        now, burst = self._now(), max(1.0, per_second * BURST_SECONDS)
        left, at = self._buckets.get(name, (burst, now))
        left = min(burst, left + (now - at) * per_second)
        is_allowed = left >= 1.0
        self._buckets[name] = (left - 1.0 if is_allowed else left, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        if not is_allowed:
            wait = max(1, math.ceil((1.0 - left) / per_second))
            detail = f"at most {per_second:g} requests per second are answered: wait {wait} s"
            raise ProblemError(429, "too_many_requests", detail, headers={"Retry-After": str(wait)})
