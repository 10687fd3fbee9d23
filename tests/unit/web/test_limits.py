"""How often may be asked: a burst, then steadily; each key for itself."""

from __future__ import annotations

import pytest

from web.limits import RateLimits
from web.problems import ProblemError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def taken(limits: RateLimits, key: str) -> int:
    """Ask until it is refused, and return how often it was answered."""
    for count in range(1_000):
        try:
            limits.take(key)
        except ProblemError as problem:
            assert problem.status == 429 and int(problem.headers["Retry-After"]) >= 1
            return count
    raise AssertionError("it is never refused")


def test_a_key_has_a_burst_and_a_rate_of_its_own() -> None:
    """4 s * 5 per second at once, then 5 with each second; another key's bucket is its own."""
    clock = Clock()
    limits = RateLimits(5.0, now=clock)
    assert taken(limits, "ann") == 20
    assert taken(limits, "bob") == 20
    clock.now += 1.0
    assert taken(limits, "ann") == 5
    clock.now += 60.0
    assert taken(limits, "ann") == 20  # never more than the burst


def test_guessing_keys_is_slower() -> None:
    """An address without a good key: 4 % of the rate, 4 s * 50 * 0.04 = 8 at once."""
    limits = RateLimits(50.0, now=Clock())
    for _ in range(8):
        limits.take_unknown("10.0.0.1")
    with pytest.raises(ProblemError):
        limits.take_unknown("10.0.0.1")
    limits.take_unknown("10.0.0.2")
