"""This module counts the tries of one call to S3, and says how long to wait before the next one, and when to give up."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.errors import OutcomeUnknownError, RetryableError

FIRST_DELAY_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 5.0


@dataclass(slots=True)
class Attempts:
    """What one call has tried so far, and how long it may go on."""

    what: str
    budget_seconds: float
    sleep: Callable[[float], None]
    now: Callable[[], float]
    count: int = 0
    is_ambiguous: bool = False  # a try ended without an answer: it may have had its effect
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.now()

    def wait_or_raise(self, error: Exception) -> None:
        """Wait before the next try, longer each time and by chance, or raise when the budget is spent."""
        self.count += 1
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2**self.count) * random.uniform(0.5, 1.0)
        spent = self.now() - self.started
        if spent + delay > self.budget_seconds:
            kind = OutcomeUnknownError if self.is_ambiguous else RetryableError
            raise kind(f"{self.what}: no success in {self.count} tries over {spent:.1f} s, the last: {error}") from error
        self.sleep(delay)
