"""This module makes what is not a commit into rows: receipts, dead letters and announcements; one record, one row.

A receipt that says a backtest was deleted also removes that backtest's rows. Its events may still be on their way to the tables,
by another projector: the batch holds their source, and leaves the id in ``deleted_backtests`` (adapters/postgres.py says how that
makes it exact).
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Table

from adapters.ports import Effects, Record, TopicPartition
from consumers.projector.batch import (
    UNFIT,
    UNREADABLE,
    Batch,
    Counters,
    Projection,
    make_batch,
    quarantine_row,
    recorded_ns,
    run_id_of,
    table_write,
)
from projections.forms import Row
from projections.messages import command_row, dead_letter_row, deletion_row, snapshot_row
from projections.rows import Kind, RowChange
from projections.tables import COMMANDS, DEAD_LETTERS, DELETED_BACKTESTS, QUARANTINE, RUN_TABLES, SNAPSHOTS
from schemas.manifest import RANGE_KEYS
from schemas.topics import EVENTS

_ID = "backtest_id"
ABOUT_RUNS = (*RUN_TABLES, SNAPSHOTS, QUARANTINE)  # what is removed with a backtest; its commands stay


def message_projection(kind: str, source: TopicPartition) -> Projection:
    """Return the projection of a source that does not hold commits.

    kind : the topic's name without its prefix
    """
    match kind:
        case "receipts":
            return ReceiptProjection(source)
        case "archive":
            return AnnouncementProjection()
        case _:
            return MessageProjection(DEAD_LETTERS, "insert")


class MessageProjection:
    """One record, one row, and nothing to remember."""

    def __init__(self, table: Table, kind: Kind) -> None:
        self._table = table
        self._kind: Kind = kind

    def reset(self) -> None:
        pass

    async def project(self, records: Sequence[Record], *, refused: str | None = None) -> Batch:
        rows: list[tuple[Record, Row]] = []
        poison: list[Row] = []
        for record in records:
            if refused is not None:
                poison.append(quarantine_row(record, None, refused))
                continue
            try:
                row = self._row(record)
            except UNREADABLE as error:
                poison.append(quarantine_row(record, None, error))
                continue
            if row is not None:
                rows.append((record, row))
        try:
            return self._batch(records, rows, poison)
        except UNFIT:
            return self._batch(records, list(self._fitting(rows, poison)), poison)

    def _row(self, record: Record) -> Row | None:
        """Return the record's row; None for a record that has none."""
        return dead_letter_row(
            record.value, record.headers, partition=record.partition, offset=record.offset, recorded_ns=recorded_ns(record)
        )

    def _changes(self, records: Sequence[Record], rows: list[Row]) -> tuple[list[RowChange], Effects]:
        """Return what is written for the rows of these records."""
        return [RowChange(self._table, self._kind, rows)], Effects()

    def _batch(self, records: Sequence[Record], rows: list[tuple[Record, Row]], poison: list[Row]) -> Batch:
        changes, effects = self._changes(records, [row for _, row in rows])
        counts = Counters(records=len(records), quarantined=len(poison))
        return make_batch([*changes, RowChange(QUARANTINE, "insert", poison)], counts, effects)

    def _fitting(self, rows: list[tuple[Record, Row]], poison: list[Row]) -> Iterator[tuple[Record, Row]]:
        for record, row in rows:
            try:
                table_write(RowChange(self._table, self._kind, [row]))
                yield record, row
            except UNFIT as error:
                poison.append(quarantine_row(record, None, error))


class ReceiptProjection(MessageProjection):
    """Receipts: a row of ``commands`` each; deletions besides."""

    def __init__(self, source: TopicPartition) -> None:
        super().__init__(COMMANDS, "insert")
        prefix = source.topic.rpartition(".")[0]
        self._events = TopicPartition(f"{prefix}.{EVENTS.name}", source.partition)

    def _row(self, record: Record) -> Row:
        return command_row(record.value or b"", partition=record.partition, offset=record.offset, recorded_ns=recorded_ns(record))

    def _changes(self, records: Sequence[Record], rows: list[Row]) -> tuple[list[RowChange], Effects]:
        deleted = {row[0]: row for each in rows if (row := deletion_row(each)) is not None}
        changed = _ids(records)
        if not deleted:
            return [RowChange(COMMANDS, "insert", rows)], Effects(changed=changed)
        changes = [
            RowChange(COMMANDS, "insert", rows),
            *(RowChange(table, "delete", [(each,) for each in deleted], (_ID,)) for table in ABOUT_RUNS),
            RowChange(DELETED_BACKTESTS, "upsert", list(deleted.values())),
        ]
        return changes, Effects(changed=changed, held=(self._events,))


class AnnouncementProjection(MessageProjection):
    """Announced snapshots, and tombstones of removed ones: the last word about each backtest counts."""

    def __init__(self) -> None:
        super().__init__(SNAPSHOTS, "upsert")

    def _row(self, record: Record) -> Row | None:
        if record.value is None or (record.key or b"").startswith(RANGE_KEYS):
            return None  # a tombstone, or an archived range of the log
        return snapshot_row(record.value, partition=record.partition, offset=record.offset, recorded_ns=recorded_ns(record))

    def _changes(self, records: Sequence[Record], rows: list[Row]) -> tuple[list[RowChange], Effects]:
        last = {row[0]: row for row in rows}  # one statement can't change a row twice
        removed = {each: record.offset for record in records if record.value is None and (each := run_id_of(record)) is not None}
        offset = SNAPSHOTS.columns.keys().index("offset")
        gone = [each for each, at in removed.items() if each not in last or last[each][offset] < at]
        changes = [
            RowChange(SNAPSHOTS, "upsert", [row for each, row in last.items() if each not in gone]),
            RowChange(SNAPSHOTS, "delete", [(each,) for each in gone], (_ID,)),
        ]
        return changes, Effects(changed=_ids(records))


def _ids(records: Iterable[Record]) -> frozenset[str]:
    return frozenset(found for record in records if (found := run_id_of(record)) is not None)
