"""This module defines the receipt: what became of one command, written in one transaction with its effect.

Also the dead letter: what could not be read at all, kept with its bytes and the reason.
"""

from enum import StrEnum

import msgspec

MAX_DEAD_LETTER_BYTES = 128 * 1024  # a record must pass the broker's limit with its headers


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    EXPIRED = "expired"
    QUEUE_FULL = "queue_full"
    FORWARDED = "forwarded"
    DEAD = "dead"


class Reason(StrEnum):
    """Why a command was not simply carried out. Closed list."""

    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    MISSING_KEY = "missing_key"
    KEY_MISMATCH = "key_mismatch"
    INVALID_FIELD = "invalid_field"
    UNKNOWN_COMMAND = "unknown_command"
    UNKNOWN_STRATEGY = "unknown_strategy"
    INVALID_PARAMETER = "invalid_parameter"
    UNKNOWN_BACKTEST = "unknown_backtest"
    OTHER_SPEC = "other_spec"
    ALREADY_SUBMITTED = "already_submitted"
    ALREADY_FINISHED = "already_finished"
    ALREADY_CANCELLED = "already_cancelled"
    ALREADY_IMPORTED = "already_imported"
    ID_TAKEN = "id_taken"
    NOT_FINISHED = "not_finished"
    DELETED = "deleted"
    TOO_OLD = "too_old"
    QUEUE_FULL = "queue_full"
    OTHER_PARTITION = "other_partition"


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What became of one command. Its Kafka key is the command's."""

    format: int = msgspec.field(default=1)
    outcome: Outcome
    partition: int  # of the command on the commands topic
    offset: int
    command_type: str | None = None
    command_id: str | None = None
    backtest_id: str | None = None
    submitter: str | None = None
    issued_at: str | None = None
    reason: Reason | None = None
    detail: str = ""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Receipt)


def encode_receipt(receipt: Receipt) -> bytes:
    return _ENCODER.encode(receipt)


def decode_receipt(body: bytes) -> Receipt:
    """Decode a receipt. Raises msgspec.DecodeError for anything else."""
    return _DECODER.decode(body)


class DeadLetterHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """The headers of a dead letter; its value is the first 128 KiB of what came in."""

    reason: str
    detail: str
    partition: int
    offset: int
    length: int
    sha256: str

    def to_kafka(self) -> list[tuple[str, bytes]]:
        return [(name, str(value).encode()) for name, value in msgspec.structs.asdict(self).items()]

    @classmethod
    def from_kafka(cls, headers: list[tuple[str, bytes]]) -> "DeadLetterHeaders":
        """Read the headers back. Raises msgspec.ValidationError when one is missing or not as expected."""
        return msgspec.convert({name: value.decode("utf-8", "replace") for name, value in headers}, cls, strict=False)
