"""This module defines what passes between a worker and a simulation's process: one job down, frames up.

Frames go through a pipe, each preceded by its length; the pipe's bound is the back-pressure.
"""

import struct
from typing import Any

import msgspec

from schemas.commit import EncodedCommit, Head
from schemas.events import FailureReason
from schemas.ids import Digest

LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 1024 * 1024


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One simulation to run.

    ``accepted`` is the head after the Accepted commit; ``known`` the head of the log as it is: a re-run sends nothing up to
    it, and compares its digest there. The recorded digests are those of an earlier start, None at the first.
    """

    backtest_id: str
    spec: dict[str, Any]
    accepted: Head
    known: Head
    data_version: int | None = None
    data_digest: str | None = None
    code_digest: str | None = None
    strategy_digest: str | None = None


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """What a simulation's process says."""


class Waiting(Frame, frozen=True):
    """The data is out of reach just now; the process tries again."""

    detail: str


class DataReady(Frame, frozen=True):
    """The data is at hand. The time limit counts from here: waiting for data is not the strategy's fault."""


class Resolved(Frame, frozen=True):
    """What the run reads and runs on. Comes before the first commit."""

    data_version: int
    data_digest: str
    code_digest: str
    strategy_digest: str


class Committed(Frame, frozen=True):
    """One encoded commit beyond the known head."""

    body: bytes
    number: int
    sequence: int
    digest: str
    is_terminal: bool
    bars_done: int

    def commit(self) -> EncodedCommit:
        head = Head(number=self.number, sequence=self.sequence, digest=Digest(self.digest))
        return EncodedCommit(body=self.body, head=head, is_terminal=self.is_terminal, bars_done=self.bars_done)


class Failed(Frame, frozen=True):
    """The run can't go on; its owner ends it with this reason."""

    reason: FailureReason
    detail: str


AnyFrame = Waiting | DataReady | Resolved | Committed | Failed

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[AnyFrame] = msgspec.msgpack.Decoder(AnyFrame)


def committed(commit: EncodedCommit) -> Committed:
    return Committed(
        body=commit.body,
        number=commit.head.number,
        sequence=commit.head.sequence,
        digest=commit.head.digest,
        is_terminal=commit.is_terminal,
        bars_done=commit.bars_done,
    )


def encode_frame(frame: AnyFrame) -> bytes:
    body = _ENCODER.encode(frame)
    return LENGTH.pack(len(body)) + body


def decode_frame(body: bytes) -> AnyFrame:
    return _DECODER.decode(body)
