"""This module gathers events into commits. Where a commit ends depends on the events alone, never on timing.

Each event has a weight: a bound on its encoded bytes. A commit ends before the group (a fill and the positions it made)
that would begin with more than ``COMMIT_WEIGHT`` gathered, so every commit stays far below the log's limit.
"""

from collections.abc import Iterator

from schemas.commit import MAX_COMMIT_BYTES, Author, EncodedCommit, Head, encode_commit
from schemas.events import AnyEvent
from schemas.ids import BacktestId

COMMIT_WEIGHT = 192 * 1024  # bytes
EVENT_WEIGHT = 1_280  # bytes: more than any event without columns encodes to, whatever its numbers and texts
MARK_WEIGHT = 160  # bytes of one equity mark: 20 digits of time and four floats of at most 25 characters, with commas
MARKS_PER_EVENT = 512

assert COMMIT_WEIGHT + MARKS_PER_EVENT * MARK_WEIGHT + 8 * EVENT_WEIGHT < MAX_COMMIT_BYTES, "a commit fits the log"


class Recorder:
    """Numbers events and cuts them into encoded commits."""

    def __init__(self, backtest_id: BacktestId, head: Head) -> None:
        self._backtest_id = backtest_id
        self._head = head
        self._events: list[AnyEvent] = []
        self._weight = 0
        self._ready: list[EncodedCommit] = []
        self.sequence = head.sequence
        self.bars_done = 0

    def next_sequence(self) -> int:
        """Return the number of the next event; it must be added before another number is asked for."""
        self.sequence += 1
        return self.sequence

    def add(self, event: AnyEvent, weight: int = 256) -> None:
        """Append an event.

        weight : bytes it counts for; an event's size varies around 250, and the bound above leaves room for the rest
        """
        self._events.append(event)
        self._weight += weight

    def group(self) -> None:
        """Say that a new group begins: what is gathered may become a commit."""
        if self._weight >= COMMIT_WEIGHT:
            self.flush()

    def flush(self) -> None:
        """Make a commit of what is gathered."""
        if not self._events:
            return
        commit = encode_commit(self._backtest_id, self._head, Author.SIMULATION, self._events, bars_done=self.bars_done)
        self._head = commit.head
        self._events = []
        self._weight = 0
        self._ready.append(commit)

    def ready(self) -> Iterator[EncodedCommit]:
        """Return the commits that are complete, each once."""
        commits, self._ready = self._ready, []
        return iter(commits)

    @property
    def has_ready(self) -> bool:
        return bool(self._ready)
