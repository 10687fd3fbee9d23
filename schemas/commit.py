"""This module defines the commit: one Kafka record, one or more consecutive events of one backtest, one link of its chain.

A commit's bytes are hashed as they are stored and never re-serialised. ``parent`` is the SHA-256 of the previous commit's
bytes; the first one's is the SHA-256 of the recorded spec's canonical bytes.
"""

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from schemas.events import TERMINAL_EVENTS, AnyEvent
from schemas.ids import BacktestId, Digest, sha256
from schemas.upcasters import upcast

FORMAT = 1
MAX_COMMIT_BYTES = 512 * 1024


class Author(StrEnum):
    """Who wrote a commit: the owner of the partition (decisions), or the simulation (results)."""

    OWNER = "owner"
    SIMULATION = "simulation"


class Commit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One or more consecutive events of one backtest, appended atomically."""

    format: int
    backtest_id: str
    number: int  # 1, 2, 3 … per backtest
    first_sequence: int
    author: Author
    parent: str
    events: list[AnyEvent]

    @property
    def last_sequence(self) -> int:
        return self.first_sequence + len(self.events) - 1

    @property
    def is_terminal(self) -> bool:
        return isinstance(self.events[-1], TERMINAL_EVENTS)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a backtest's log ends: the next commit follows from it."""

    number: int
    sequence: int
    digest: Digest

    @classmethod
    def start(cls, spec_digest: Digest) -> "Head":
        """Return the head of an empty log: the first commit's parent is the digest of the recorded spec."""
        return cls(number=0, sequence=0, digest=spec_digest)


@dataclass(frozen=True, slots=True)
class EncodedCommit:
    """A commit as it is stored, with what its owner needs to know without decoding it."""

    body: bytes
    head: Head  # after this commit
    is_terminal: bool
    bars_done: int = 0  # how far the simulation was; shown as progress, not part of the bytes


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Commit)


class ChainError(Exception):
    """A commit does not follow from the one before it."""


def encode_commit(
    backtest_id: BacktestId, head: Head, author: Author, events: list[AnyEvent], *, bars_done: int = 0
) -> EncodedCommit:
    """Encode the commit that follows ``head``.

    events : consecutive, the first with sequence ``head.sequence + 1``
    Raises ValueError if the encoded commit is larger than MAX_COMMIT_BYTES.
    """
    assert events, "a commit holds at least one event"
    assert events[0].sequence == head.sequence + 1, "a commit continues where the log ends"
    commit = Commit(
        format=FORMAT,
        backtest_id=backtest_id,
        number=head.number + 1,
        first_sequence=head.sequence + 1,
        author=author,
        parent=head.digest,
        events=events,
    )
    body = _ENCODER.encode(commit)
    if len(body) > MAX_COMMIT_BYTES:
        raise ValueError(f"commit {commit.number} of {backtest_id} has {len(body)} bytes, more than {MAX_COMMIT_BYTES}")
    after = Head(number=commit.number, sequence=commit.last_sequence, digest=sha256(body))
    return EncodedCommit(body=body, head=after, is_terminal=commit.is_terminal, bars_done=bars_done)


def decode_commit(body: bytes) -> Commit:
    """Decode a stored commit of this or an earlier format. Raises msgspec.DecodeError for anything else."""
    with contextlib.suppress(msgspec.ValidationError):  # another format, or wrong: told apart below
        commit = _DECODER.decode(body)
        if commit.format == FORMAT:
            return commit
    document = upcast(_loose(body))
    if document["format"] != FORMAT:
        raise msgspec.ValidationError(
            f"commit format {document['format']} is not known to this version, which writes format {FORMAT}"
        )
    return msgspec.convert(document, Commit)


def _loose(body: bytes) -> dict[str, Any]:
    document = msgspec.json.decode(body)
    if not isinstance(document, dict):
        raise msgspec.ValidationError("a commit is a JSON object")
    return document


def follow(head: Head, commit: Commit, body: bytes) -> Head:
    """Check that the commit follows ``head`` and return the head after it. Raises ChainError with both values."""
    if commit.number != head.number + 1:
        raise ChainError(f"commit number {commit.number} where {head.number + 1} follows")
    if commit.first_sequence != head.sequence + 1:
        raise ChainError(f"commit {commit.number} starts at sequence {commit.first_sequence} where {head.sequence + 1} follows")
    if commit.parent != head.digest:
        raise ChainError(f"commit {commit.number} names parent {commit.parent} where the log's head is {head.digest}")
    first = commit.first_sequence
    if [event.sequence for event in commit.events] == list(range(first, first + len(commit.events))):
        return Head(number=commit.number, sequence=commit.last_sequence, digest=sha256(body))
    for offset, event in enumerate(commit.events):
        if event.sequence != commit.first_sequence + offset:
            raise ChainError(
                f"commit {commit.number} holds sequence {event.sequence} where {commit.first_sequence + offset} follows"
            )
    raise AssertionError("sequences that are not those of the range differ somewhere")
