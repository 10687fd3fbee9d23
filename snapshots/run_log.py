"""This module holds one finished run's log as a snapshot needs it, and checks that it is one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from schemas.commit import ChainError, Commit, Head, decode_commit, follow
from schemas.events import (
    TERMINAL_EVENTS,
    BacktestAccepted,
    BacktestCancelled,
    BacktestCompleted,
    BacktestFailed,
    BacktestImported,
    BacktestStarted,
)
from schemas.ids import Digest
from snapshots.errors import LogError

Status = Literal["completed", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run's commits lie in the log."""

    log_id: str
    partition: int
    first_offset: int
    last_offset: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run's commits say about the run as a whole. It follows from their bytes alone."""

    backtest_id: str
    commits: int
    events: int
    first_sequence: int
    last_sequence: int
    chain_head: Digest
    spec_digest: str
    data_digest: str | None
    status: Status | None  # None: it is not finished
    is_imported: bool = False  # a result of another system: its manifest came with it


class Chain:
    """A run's log while it is read, commit by commit: its head and its facts."""

    def __init__(self) -> None:
        self._head: Head | None = None
        self._backtest_id = ""
        self._spec_digest = ""
        self._data_digest: str | None = None
        self._status: Status | None = None
        self._is_imported = False

    @property
    def is_finished(self) -> bool:
        return self._status is not None or self._is_imported

    def add(self, body: bytes) -> Commit:
        """Check that the commit follows what came before. Raises LogError, naming both values."""
        try:
            commit = decode_commit(body)
        except msgspec.DecodeError as error:
            raise LogError(f"a record is not a commit: {error}") from error
        if not commit.events:
            raise LogError(f"commit {commit.number} holds no event")
        if self.is_finished:
            raise LogError(f"commit {commit.number} comes after the end of its run")
        if self._head is None:
            self._begin(commit)
        elif commit.backtest_id != self._backtest_id:
            raise LogError(f"a commit of {commit.backtest_id} in the log of {self._backtest_id}")
        assert self._head is not None, "a log that has begun has a head"
        try:
            self._head = follow(self._head, commit, body)
        except ChainError as error:
            raise LogError(str(error)) from error
        self._note(commit)
        return commit

    def facts(self) -> RunFacts:
        """Return what was read so far. Raises LogError when that is nothing."""
        if self._head is None:
            raise LogError("the log of the run is empty")
        return RunFacts(
            backtest_id=self._backtest_id,
            commits=self._head.number,
            events=self._head.sequence,
            first_sequence=1,
            last_sequence=self._head.sequence,
            chain_head=self._head.digest,
            spec_digest=self._spec_digest,
            data_digest=self._data_digest,
            status=self._status,
            is_imported=self._is_imported,
        )

    def _begin(self, commit: Commit) -> None:
        first = commit.events[0]
        if not isinstance(first, BacktestAccepted | BacktestImported):
            raise LogError(f"the log begins with {type(first).__name__} in commit {commit.number}, not with BacktestAccepted")
        self._backtest_id = commit.backtest_id
        self._spec_digest = first.spec_digest if isinstance(first, BacktestAccepted) else first.manifest_digest
        self._head = Head.start(Digest(self._spec_digest))

    def _note(self, commit: Commit) -> None:
        for event in (commit.events[0], commit.events[-1]) if commit.number > 2 else commit.events:
            match event:
                case BacktestStarted():
                    self._data_digest = event.data_digest
                case BacktestCompleted():
                    self._status = "completed"
                case BacktestCancelled():
                    self._status = "cancelled"
                case BacktestFailed():
                    self._status = "failed"
                case BacktestImported():
                    self._is_imported = True
                case _:
                    pass


def facts_of(bodies: Iterable[bytes]) -> RunFacts:
    """Read a run's commits, from its first on. Raises LogError when they are no chain."""
    chain = Chain()
    for body in bodies:
        chain.add(body)
    return chain.facts()


class _RawCommit(msgspec.Struct):
    number: int
    author: str
    events: list[msgspec.Raw]


class EventHead(msgspec.Struct):
    """What every event has, whatever its format."""

    sequence: int
    time_ns: int
    type: str


_TERMINAL = frozenset(event.__name__ for event in TERMINAL_EVENTS)
_RAW_DECODER = msgspec.json.Decoder(_RawCommit)
_HEAD_DECODER = msgspec.json.Decoder(EventHead)


@dataclass(frozen=True, slots=True)
class Peek:
    """What can be said of a commit without decoding its events."""

    number: int
    is_terminal: bool


def peek(body: bytes) -> Peek:
    """Look at a commit. Raises LogError when it is none."""
    try:
        commit = _RAW_DECODER.decode(body)
        last = _HEAD_DECODER.decode(commit.events[-1]) if commit.events else None
    except msgspec.DecodeError as error:
        raise LogError(f"a record is not a commit: {error}") from error
    return Peek(number=commit.number, is_terminal=last is not None and last.type in _TERMINAL)


def raw_events(body: bytes) -> Iterator[tuple[int, str, EventHead, bytes]]:
    """Yield each event of a commit as it is recorded: the commit's number and author, the event's head and its bytes."""
    commit = _RAW_DECODER.decode(body)
    for raw in commit.events:
        yield commit.number, commit.author, _HEAD_DECODER.decode(raw), bytes(raw)
