"""This module defines run state: one small record per run on the compacted topic ``runs``, from which a new owner goes on.

It is the fold of the run's commits plus what is not in them (attempts, digests of code, offsets). Keys that begin with an
underscore belong to the partition itself: ``_intake`` holds the next command to read, ``_topology`` what the partition is.
"""

from enum import StrEnum

import msgspec

from schemas.commit import Head
from schemas.ids import Digest

INTAKE_KEY = "_intake"
TOPOLOGY_KEY = "_topology"


class RunStatus(StrEnum):
    QUEUED = "queued"  # accepted, not started
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    DELETED = "deleted"  # it was finished, and a command removed it; no event says so

    @property
    def is_finished(self) -> bool:
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)


class RunState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One run, as its partition's owner needs to know it. A finished run keeps only what removes repeats."""

    format: int = msgspec.field(default=1)
    status: RunStatus
    submitted_digest: str
    number: int  # head of the log
    sequence: int
    digest: str = ""  # of the head; left out when the run is finished and nothing can follow
    priority: int = 0
    accepted_offset: int | None = None  # of the Accepted commit on the events topic; None in the transaction that writes it
    attempts: int = 0  # starts of the simulation, counted before each
    code_digest: str | None = None  # engine and schemas
    strategy_digest: str | None = None
    data_version: int | None = None  # resolved at the first start, and read again by every later one
    data_digest: str | None = None
    finished_at_ms: int | None = None

    @property
    def head(self) -> Head:
        return Head(number=self.number, sequence=self.sequence, digest=Digest(self.digest))


class IntakeState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the partition's commands were read. It wins over the consumer group's offset, which expires."""

    format: int = msgspec.field(default=1)
    next_offset: int


class Topology(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the partition belongs to. A mismatch with the broker's topics is an error at start."""

    format: int = msgspec.field(default=1)
    partitions: int
    log_id: str


_ENCODER = msgspec.json.Encoder()


def encode_state(state: RunState | IntakeState | Topology) -> bytes:
    return _ENCODER.encode(state)


def decode_run_state(body: bytes) -> RunState:
    return msgspec.json.decode(body, type=RunState)


def decode_intake(body: bytes) -> IntakeState:
    return msgspec.json.decode(body, type=IntakeState)


def decode_topology(body: bytes) -> Topology:
    return msgspec.json.decode(body, type=Topology)
