"""This module reads one command record: is it ours, can it be read, whose is it?

The order of the questions: can it be decoded at all (else a dead letter, wherever it arrived), has it a key, is this its home
partition (else it is forwarded unchanged), does it follow its schema (else it is rejected).
"""

from dataclasses import dataclass
from typing import Any

from adapters.ports import Record
from schemas.commands import ParsedCommand, parse_command, parse_document
from schemas.errors import FieldError, NotJsonError, SchemaError, TooLargeError
from schemas.ids import sha256
from schemas.partitioning import home_partition
from schemas.receipts import MAX_DEAD_LETTER_BYTES, DeadLetterHeaders, Outcome, Reason, Receipt

MAX_SHOWN = 256  # characters of a field that a receipt repeats
# Key and headers. Compressed, megabytes of them pass the broker; what we write of them has to pass it again, and a record that is
# forwarded must never be one that Kafka refuses: its partition would stand still. The topic's limit leaves room for this much.
MAX_BESIDE_BYTES = 8 * 1024
MAX_KEPT_KEY = 256  # bytes of a key that a receipt or a dead letter carries; an id has at most 128
assert MAX_KEPT_KEY <= MAX_BESIDE_BYTES
MAX_RECEIPT_DETAIL = 4_000


@dataclass(frozen=True, slots=True)
class Readable:
    """A command for this partition."""

    parsed: ParsedCommand


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that is answered without looking at any run."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Misrouted:
    """A command that belongs to another partition."""

    home: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Dead:
    """A record that can't be read: its bytes are kept with the reason."""

    receipt: Receipt
    headers: DeadLetterHeaders
    value: bytes


Reading = Readable | Refused | Misrouted | Dead


def read_command(record: Record, *, partitions: int) -> Reading:
    """Classify one record of the commands topic."""
    body = record.value or b""
    try:
        _check_beside(record)
        document = parse_document(body)
    except (NotJsonError, TooLargeError) as error:
        return _dead(record, body, error)
    if record.key is None:
        detail = "the record has no key: the key of a command is its backtest_id"
        return Refused(receipt_of(record, document, Outcome.REJECTED, Reason.MISSING_KEY, detail))
    home = home_partition(record.key, partitions)
    if home != record.partition:
        detail = f"forwarded to partition {home}, where key {_shown_key(record.key)} belongs"
        return Misrouted(home, receipt_of(record, document, Outcome.FORWARDED, Reason.OTHER_PARTITION, detail))
    try:
        parsed = parse_command(document)
    except SchemaError as error:
        return Refused(receipt_of(record, document, Outcome.REJECTED, _reason(document, error), str(error)))
    if parsed.command.backtest_id.encode() != record.key:
        detail = f"key {_shown_key(record.key)} is not the command's backtest_id {parsed.command.backtest_id!r}"
        return Refused(receipt_of(record, document, Outcome.REJECTED, Reason.KEY_MISMATCH, detail))
    return Readable(parsed)


def _check_beside(record: Record) -> None:
    size = len(record.key or b"") + sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    if size > MAX_BESIDE_BYTES:
        raise TooLargeError(f"key and headers: {size} bytes are not allowed: at most {MAX_BESIDE_BYTES}")


def kept_key(record: Record) -> bytes:
    """Return as much of a command's key as its receipt carries: all of it, where it is an id."""
    return (record.key or b"")[:MAX_KEPT_KEY]


def _reason(document: dict[str, Any], error: SchemaError) -> Reason:
    if isinstance(error, TooLargeError):
        return Reason.TOO_LARGE
    if isinstance(error, FieldError) and [problem.path for problem in error.problems] == ["type"]:
        return Reason.UNKNOWN_COMMAND
    return Reason.INVALID_FIELD


def _dead(record: Record, body: bytes, error: SchemaError) -> Dead:
    reason = Reason.TOO_LARGE if isinstance(error, TooLargeError) else Reason.NOT_JSON
    headers = DeadLetterHeaders(
        reason=reason,
        detail=str(error),
        partition=record.partition,
        offset=record.offset,
        length=len(body),
        sha256=sha256(body),
    )
    return Dead(receipt_of(record, {}, Outcome.DEAD, reason, str(error)), headers, body[:MAX_DEAD_LETTER_BYTES])


def receipt_of(
    record: Record, document: dict[str, Any], outcome: Outcome, reason: Reason | None = None, detail: str = ""
) -> Receipt:
    """Return the receipt for a record, repeating of the command what is text."""
    return Receipt(
        outcome=outcome,
        partition=record.partition,
        offset=record.offset,
        command_type=_text(document, "type"),
        command_id=_text(document, "command_id"),
        backtest_id=_text(document, "backtest_id"),
        submitter=_text(document, "submitter"),
        issued_at=_text(document, "issued_at"),
        reason=reason,
        detail=detail[:MAX_RECEIPT_DETAIL],
    )


def _text(document: dict[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value[:MAX_SHOWN] if isinstance(value, str) else None


def _shown_key(key: bytes) -> str:
    return repr(key[:MAX_SHOWN].decode("utf-8", "backslashreplace"))
