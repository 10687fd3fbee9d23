"""This module gathers events into commits. Where a commit ends depends on the events alone, never on timing.

Each event has a weight, near to its encoded bytes; none has more than twice its weight. A commit ends before the group (a
fill and the positions it made) that would begin with ``COMMIT_WEIGHT`` gathered, so every commit stays below the log's limit.
"""

from collections.abc import Iterator

from schemas.commit import MAX_COMMIT_BYTES, Author, EncodedCommit, Head, encode_commit
from schemas.events import AnyEvent
from schemas.ids import BacktestId

COMMIT_WEIGHT = 192 * 1024  # bytes
LARGEST_GROUP = 4 * 1_024  # of a fill with the positions that it closed and opened
MARK_WEIGHT = 160  # bytes of one equity mark: 20 digits of time and four floats of at most 25 characters, with commas
MARKS_PER_EVENT = 512

assert 2 * (COMMIT_WEIGHT + LARGEST_GROUP) < MAX_COMMIT_BYTES, "a commit of events at twice their weight fits the log"
assert 2 * COMMIT_WEIGHT + MARKS_PER_EVENT * MARK_WEIGHT < MAX_COMMIT_BYTES, "so does one that ends with marks"


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

        weight : bytes it counts for
        """
        self._events.append(event)
        self._weight += weight

    def group(self) -> None:
        """Say that a new group begins: what is gathered may become a commit."""
        if self._weight >= COMMIT_WEIGHT:
            self.flush()

    def group_of(self, weight: int) -> None:
        """Say that a group begins whose first event weighs this much: together with what is gathered it must fit a commit."""
        if self._weight + weight >= COMMIT_WEIGHT:
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
