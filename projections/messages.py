"""This module turns what is not a commit into rows: receipts, dead letters and announced snapshots."""

from collections.abc import Sequence

from projections.forms import Row
from projections.tables import COMMANDS
from schemas.commands import DeleteBacktest
from schemas.manifest import SnapshotAnnouncement
from schemas.receipts import DeadLetterHeaders, Outcome, decode_receipt
from schemas.times import parse_time

SHOWN_BYTES = 4_096  # of a dead letter
MAX_ID = 128  # characters, as schemas/ids.py allows


def command_row(body: bytes, *, partition: int, offset: int, recorded_ns: int) -> Row:
    """Return the row of ``commands`` for a receipt. Raises msgspec.DecodeError for anything else."""
    receipt = decode_receipt(body)
    reason = receipt.reason.value if receipt.reason else None
    return (
        partition, offset, receipt.offset, recorded_ns, receipt.outcome.value,
        _cut(receipt.command_type), _cut(receipt.command_id), _cut(receipt.backtest_id),
        receipt.submitter, _time(receipt.issued_at), reason, receipt.detail or None,
    )  # fmt: skip


def deletion_row(command: Row) -> Row | None:
    """Return the row of ``deleted_backtests`` for a row of ``commands`` that says so; None for all others."""
    row = dict(zip(COMMANDS.columns.keys(), command, strict=True))
    if row["command_type"] != DeleteBacktest.__name__ or row["outcome"] != Outcome.ACCEPTED:
        return None
    return (
        row["backtest_id"], row["command_id"], row["submitter"], row["recorded_at"], row["partition"], row["receipt_offset"],
    )  # fmt: skip


def dead_letter_row(
    body: bytes | None, headers: Sequence[tuple[str, bytes]], *, partition: int, offset: int, recorded_ns: int
) -> Row:
    """Return the row of ``dead_letters``. Raises msgspec.ValidationError for headers that are not a dead letter's."""
    letter = DeadLetterHeaders.from_kafka(list(headers))
    beginning = body[:SHOWN_BYTES] if body is not None else None
    return (
        partition, offset, letter.offset, recorded_ns, letter.reason, letter.detail, letter.length, letter.sha256, beginning,
    )  # fmt: skip


def snapshot_row(body: bytes, *, partition: int, offset: int, recorded_ns: int) -> Row:
    """Return the row of ``snapshots``. Raises pydantic.ValidationError for what is not an announcement."""
    found = SnapshotAnnouncement.model_validate_json(body)
    return (
        found.backtest_id, found.manifest_key, found.manifest_sha256, found.chain_head, found.bytes, found.rows, recorded_ns,
        partition, offset,
    )  # fmt: skip


def _cut(text: str | None) -> str | None:
    """A refused command may hold an id of any length, and an index takes at most 2,700 bytes."""
    return text[:MAX_ID] if text is not None else None


def _time(text: str | None) -> int | None:
    """A receipt repeats what a command said, which need not have been a time."""
    try:
        return parse_time(text) if text is not None else None
    except ValueError:
        return None
