"""This module makes one batch of records into rows: what is to be written, and what is set aside.

A record that can't be projected (not a commit, a broken chain, a value that no column holds) is put into ``quarantine`` with
its reason. Its backtest's rows then stand still, because what follows it can't be checked; all others go on.
"""

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Protocol

import msgspec
import pydantic
from sqlalchemy import Table

from adapters.errors import IntegrityError
from adapters.ports import Record, RowStore, TableWrite
from projections.arrow import Row
from projections.errors import FoldError
from projections.fold import RunFold
from projections.messages import command_row, dead_letter_row, snapshot_row
from projections.restore import ORDER_COLUMNS, POSITION_COLUMNS, RUN_COLUMNS, restore_folds
from projections.rows import Kind, RowChange, Rows
from projections.source import Source
from projections.tables import COMMANDS, DEAD_LETTERS, QUARANTINE, SNAPSHOTS, key_of
from schemas.commit import ChainError, Commit, decode_commit
from schemas.ids import ID_PATTERN
from schemas.manifest import RANGE_KEYS
from schemas.times import MAX_NS

# What reading a record's bytes can raise. RecursionError: JSON of ten thousand brackets.
_UNREADABLE = (msgspec.MsgspecError, pydantic.ValidationError, UnicodeDecodeError, RecursionError)
# What a value beyond every column raises: an integer of a hundred digits is valid JSON.
_UNFIT = (OverflowError,)

_ID = re.compile(ID_PATTERN)

SETTLED_EVENTS = 256  # after so many events their rows are packed; about what a commit of a busy run holds


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held and written at a time.

    linger_seconds : least time between two batches of one source, so that a steady flow is written in larger batches; the
        first record after a pause does not wait
    """

    batch_bytes: int = 4 * 1024 * 1024
    waiting_bytes: int = 32 * 1024 * 1024  # of all sources together
    linger_seconds: float = 0.02
    runs: int = 2_000  # unfinished runs whose state is kept, per source
    retry_seconds: float = 300.0  # of the database; beyond, the process ends


@dataclass(slots=True)
class Counters:
    """What happened since the start."""

    batches: int = 0
    records: int = 0
    events: int = 0
    rows: int = 0
    repeated: int = 0  # commits that were in the tables already
    quarantined: int = 0
    skipped: int = 0  # commits of backtests in quarantine
    retries: int = 0
    fenced: int = 0

    def add(self, more: "Counters") -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(more, each.name))


@dataclass(slots=True)
class Batch:
    """What one batch of records became."""

    writes: list[TableWrite] = field(default_factory=list)
    counts: Counters = field(default_factory=Counters)


class Projection(Protocol):
    """Makes the records of one source into rows."""

    async def project(self, records: Sequence[Record], *, refused: str | None = None) -> Batch:
        """Return what the records become.

        refused : why the database refused the rows of this one record, which is then set aside
        """
        ...

    def reset(self) -> None:
        """Forget what is not in the tables, after a batch that was not written."""
        ...


class MessageProjection:
    """Receipts, dead letters, announcements: one record, one row, and nothing to remember."""

    def __init__(self, kind: str) -> None:
        self._table, self._write_kind, self._row = _MESSAGES[kind]

    def reset(self) -> None:
        pass

    async def project(self, records: Sequence[Record], *, refused: str | None = None) -> Batch:
        rows: list[tuple[Record, Row]] = []
        poison: list[Row] = []
        for record in records:
            if refused is not None:
                poison.append(_quarantine_row(record, None, refused))
                continue
            if self._table is SNAPSHOTS and (record.value is None or (record.key or b"").startswith(RANGE_KEYS)):
                continue  # a tombstone, or an archived range of the log
            try:
                rows.append((record, self._row(record)))
            except _UNREADABLE as error:
                poison.append(_quarantine_row(record, None, error))
        try:
            return self._batch(records, rows, poison)
        except _UNFIT:
            return self._batch(records, list(self._fitting(rows, poison)), poison)

    def _batch(self, records: Sequence[Record], rows: list[tuple[Record, Row]], poison: list[Row]) -> Batch:
        values = [row for _, row in rows]
        if self._write_kind == "upsert":
            values = list({row[0]: row for row in values}.values())  # one statement can't change a row twice
        changes = [RowChange(self._table, self._write_kind, values), RowChange(QUARANTINE, "insert", poison)]
        return _batch(records, changes, Counters(records=len(records), quarantined=len(poison)))

    def _fitting(self, rows: list[tuple[Record, Row]], poison: list[Row]) -> Iterator[tuple[Record, Row]]:
        for record, row in rows:
            try:
                table_write(RowChange(self._table, self._write_kind, [row]))
                yield record, row
            except _UNFIT as error:
                poison.append(_quarantine_row(record, None, error))


class EventsProjection:
    """Commits: folded run by run, from state that is kept for unfinished runs and read back for the others."""

    def __init__(self, store: RowStore, *, max_runs: int) -> None:
        self._store = store
        self._max_runs = max_runs
        self._folds: dict[str, RunFold] = {}
        self._quarantined: set[str] = set()

    def reset(self) -> None:
        self._folds.clear()
        self._quarantined.clear()

    async def project(self, records: Sequence[Record], *, refused: str | None = None) -> Batch:
        ids = {backtest_id for record in records if (backtest_id := _id_of(record)) is not None}
        poison = {records[0].offset: refused} if refused is not None else {}
        while True:
            await self._load(ids)
            counts = Counters(records=len(records))
            try:
                with _no_collection():
                    batch = _batch(records, self._fold(records, poison, counts), counts)
                break
            except _Poison as found:
                poison[found.offset] = found.problem
            except _UNFIT:
                self._forget(ids)
                await self._load(ids)
                poison |= self._search(records, poison)
            # What was folded so far is of no use: read the state again, and leave the poison out.
            self._forget(ids)
        self._evict(ids)
        return batch

    def _fold(self, records: Sequence[Record], poison: dict[int, str], counts: Counters) -> list[RowChange]:
        """Fold the commits in order. Raises _Poison for the first that does not fit, with the states half changed.

        Each commit is decoded only here: its events are still in the processor's cache when they are folded.
        """
        rows = Rows()
        unsettled = 0
        set_aside: list[Row] = []
        for record in records:
            backtest_id = _id_of(record)
            if backtest_id in self._quarantined:
                counts.skipped += 1
                continue
            found = poison.get(record.offset) or _read(record, backtest_id)
            if isinstance(found, Commit):
                self._apply(record, found, rows, counts)
                unsettled += len(found.events)
                if unsettled >= SETTLED_EVENTS:
                    rows.settle()
                    unsettled = 0
                continue
            set_aside.append(_quarantine_row(record, backtest_id, found))
            counts.quarantined += 1
            if backtest_id is not None:
                self._quarantined.add(backtest_id)
        return [*rows.changes(), RowChange(QUARANTINE, "insert", set_aside)]

    def _apply(self, record: Record, commit: Commit, rows: Rows, counts: Counters) -> None:
        fold = self._folds.get(commit.backtest_id)
        if fold is None:
            fold = self._folds[commit.backtest_id] = RunFold(commit.backtest_id)
        source = Source(log_id_of(record), record.partition, record.offset, _recorded_ns(record))
        try:
            is_new = fold.apply(commit, record.value or b"", source, rows)
        except (ChainError, FoldError) as error:
            raise _Poison(record.offset, str(error)) from error
        counts.events += len(commit.events) if is_new else 0
        counts.repeated += not is_new

    def _search(self, records: Sequence[Record], poison: dict[int, str]) -> dict[int, str]:
        """Return the first commit whose rows no column holds, by making its rows alone."""
        for record in records:
            backtest_id = _id_of(record)
            found = _read(record, backtest_id)
            if backtest_id in self._quarantined or record.offset in poison or not isinstance(found, Commit):
                continue
            rows = Rows()
            try:
                self._apply(record, found, rows, Counters())
                for change in rows.changes():
                    table_write(change)
            except _Poison as problem:
                return {problem.offset: problem.problem}
            except _UNFIT as error:
                return {record.offset: str(error)}
        raise AssertionError("rows that can't be made together can't be made one by one")

    async def _load(self, ids: set[str]) -> None:
        """Read back the state of runs that are not in memory."""
        unknown = sorted(ids - self._folds.keys() - self._quarantined)
        if not unknown:
            return
        quarantined = await self._store.read("quarantine", ("backtest_id",), where="backtest_id", values=unknown)
        self._quarantined.update(row[0] for row in quarantined)
        runs = await self._store.read("backtests", RUN_COLUMNS, where="backtest_id", values=unknown)
        if runs:
            orders = await self._store.read("orders", ORDER_COLUMNS, where="backtest_id", values=unknown, only="is_open")
            held = await self._store.read("positions", POSITION_COLUMNS, where="backtest_id", values=unknown, only="is_open")
            self._folds |= restore_folds(runs, orders, held)

    def _forget(self, ids: Iterable[str]) -> None:
        for backtest_id in ids:
            self._folds.pop(backtest_id, None)
            self._quarantined.discard(backtest_id)

    def _evict(self, used: set[str]) -> None:
        """Keep what the next batch may need: unfinished runs, the latest used ones. They are all in the tables."""
        for backtest_id in used:
            fold = self._folds.pop(backtest_id, None)
            if fold is not None and not fold.is_finished and backtest_id not in self._quarantined:
                self._folds[backtest_id] = fold  # now the last of the dict: the latest used
        while len(self._folds) > self._max_runs:
            del self._folds[next(iter(self._folds))]
        if len(self._quarantined) > self._max_runs:
            self._quarantined.clear()


def log_id_of(record: Record) -> str | None:
    """Return the log that the record says it belongs to."""
    for name, value in record.headers:
        if name == "log_id":
            return value.decode("utf-8", "replace")
    return None


def check_log(records: Sequence[Record], known: str | None) -> str | None:
    """Return the log that the records belong to. Raises IntegrityError if it is not the known one."""
    for record in records:
        found = log_id_of(record)
        if found is None:
            continue
        if known is not None and found != known:
            raise IntegrityError(
                f"{record.topic}/{record.partition} is log {found} at offset {record.offset}, but the tables follow from log"
                f" {known}: the topic was made anew. Build them again with `backtape rebuild`"
            )
        known = found
    return known


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold the garbage collector for a moment without awaits.

    A batch makes a hundred thousand tuples, none of them garbage. The collector would go through them again and again: that
    took half of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Poison(Exception):
    """A commit does not fit what came before it."""

    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(problem)
        self.offset = offset
        self.problem = problem


def _read(record: Record, backtest_id: str | None) -> Commit | str:
    """Return the commit, or why the record is none.

    backtest_id : by its key, which names the backtest even where the value can't be read
    """
    try:
        commit = decode_commit(record.value or b"")
    except _UNREADABLE as error:
        return f"not a commit: {error}"
    if commit.backtest_id != backtest_id:  # also where the key is no id at all
        return f"a commit of {commit.backtest_id} under the key {backtest_id}"
    if log_id_of(record) is None:
        return "no header log_id: not written by a worker"
    return commit


def _quarantine_row(record: Record, backtest_id: str | None, problem: object) -> Row:
    reason = str(problem)[:1_000]
    return (record.topic, record.partition, record.offset, backtest_id, _recorded_ns(record), reason)


def _batch(records: Sequence[Record], changes: Iterable[RowChange], counts: Counters) -> Batch:
    writes = [table_write(change) for change in changes if len(change)]
    counts.batches = 1
    counts.rows = sum(write.count for write in writes)
    return Batch(writes, counts)


def table_write(change: RowChange) -> TableWrite:
    """Return the rows as a store takes them. Raises OverflowError for an integer of more than 64 bits."""
    return TableWrite(
        change.table.name, change.kind, key_of(change.table), change.columns, count=len(change), packed=change.packed()
    )


def _command(record: Record) -> Row:
    return command_row(record.value or b"", partition=record.partition, offset=record.offset, recorded_ns=_recorded_ns(record))


def _dead_letter(record: Record) -> Row:
    return dead_letter_row(
        record.value, record.headers, partition=record.partition, offset=record.offset, recorded_ns=_recorded_ns(record)
    )


def _snapshot(record: Record) -> Row:
    return snapshot_row(record.value or b"", partition=record.partition, offset=record.offset, recorded_ns=_recorded_ns(record))


def _recorded_ns(record: Record) -> int:
    """Return the record's time in nanoseconds, within what a column holds: clients may write any time."""
    return min(max(record.timestamp_ms, 0), MAX_NS // 1_000_000) * 1_000_000


def _id_of(record: Record) -> str | None:
    text = record.key.decode("utf-8", "replace") if record.key is not None else ""
    return text if _ID.match(text) else None


_MESSAGES: dict[str, tuple[Table, Kind, Callable[[Record], Row]]] = {
    "receipts": (COMMANDS, "insert", _command),
    "dead-letters": (DEAD_LETTERS, "insert", _dead_letter),
    "archive": (SNAPSHOTS, "upsert", _snapshot),
}
