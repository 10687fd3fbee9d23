"""This module makes one batch of records into rows: what is to be written, and what is set aside.

A record that can't be projected (not a commit, a broken chain, a value that no column holds) is put into ``quarantine`` with
its reason. Its backtest's rows then stand still, because what follows it can't be checked; all others go on.
"""

import asyncio
import gc
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Protocol

import msgspec
import pydantic

from adapters.errors import IntegrityError
from adapters.ports import NO_EFFECTS, Effects, Record, RowStore, TableWrite
from projections.errors import FoldError
from projections.fold import RunFold
from projections.forms import Row
from projections.restore import ORDER_COLUMNS, POSITION_COLUMNS, RUN_COLUMNS, restore_folds, to_ns
from projections.rows import RowChange, Rows
from projections.source import Source
from projections.tables import QUARANTINE, key_of
from schemas.commit import ChainError, Commit, decode_commit
from schemas.ids import ID_PATTERN
from schemas.times import MAX_NS, format_time

# What reading a record's bytes can raise. RecursionError: JSON of ten thousand brackets.
UNREADABLE = (msgspec.MsgspecError, pydantic.ValidationError, UnicodeDecodeError, RecursionError)
# What a value beyond every column raises: an integer of a hundred digits is valid JSON.
UNFIT = (OverflowError,)

_ID = re.compile(ID_PATTERN)

STRETCH_BYTES = 128 * 1024  # folded without a pause: a millisecond or two
SETTLED_EVENTS = 256  # after so many events their rows are packed; about what a commit of a busy run holds


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held and written at a time.

    linger_seconds : least time between two batches of one source, so that a steady flow is written in larger batches; the
        first record after a pause does not wait
    behind_seconds : records older than this are history being caught up with: they wait for whole batches, for a moment
    """

    # PostgreSQL takes 1 ms for a COPY of 1,000 rows or more besides its rows (docs/performance.md): less costs, more is memory.
    batch_bytes: int = 4 * 1024 * 1024
    batches: int = 3  # under way at a time, of all sources together: one is made while another is written
    waiting_bytes: int = 16 * 1024 * 1024  # of all sources together
    linger_seconds: float = 0.02
    behind_seconds: float = 1.0
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
    effects: Effects = NO_EFFECTS


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


class EventsProjection:
    """Commits: folded run by run, from state that is kept for unfinished runs and read back for the others."""

    def __init__(self, store: RowStore, *, max_runs: int) -> None:
        self._store = store
        self._max_runs = max_runs
        self._folds: dict[str, RunFold] = {}
        self._quarantined: set[str] = set()
        self._deleted: dict[str, int] = {}  # backtests that were deleted, and when: nanoseconds since 1970 UTC

    def reset(self) -> None:
        self._folds.clear()
        self._quarantined.clear()
        self._deleted.clear()

    async def project(self, records: Sequence[Record], *, refused: str | None = None) -> Batch:
        ids = {backtest_id for record in records if (backtest_id := run_id_of(record)) is not None}
        poison = {records[0].offset: refused} if refused is not None else {}
        while True:
            await self._load(ids)
            counts = Counters(records=len(records))
            try:
                changes = await self._fold(records, poison, counts)
                alive = frozenset(ids - self._quarantined - self._deleted.keys())
                batch = make_batch(changes, counts, Effects(changed=frozenset(ids - self._deleted.keys()), alive=alive))
                break
            except Poison as found:
                self._refuse(found)
                poison[found.offset] = found.problem
            except UNFIT:
                self._forget(ids)
                await self._load(ids)
                poison |= self._search(records, poison)
            # What was folded so far is of no use: read the state again, and leave the poison out.
            self._forget(ids)
        self._evict(ids)
        return batch

    async def _fold(self, records: Sequence[Record], poison: dict[int, str], counts: Counters) -> list[RowChange]:
        """Fold the commits in order. Raises Poison for the first that does not fit, with the states half changed.

        The commits of a backtest come together, in their order: its rows lie together in the tables, and go into the same pages
        of their keys. Between two stretches others have their turn: while this batch is made, another is being sent.
        """
        rows = self._rows()
        set_aside: list[Row] = []
        for stretch in _stretches(sorted(records, key=lambda record: record.key or b"")):
            with _no_collection():
                self._fold_stretch(stretch, poison, counts, rows, set_aside)
            await asyncio.sleep(0)
        return [*self._changes(rows), RowChange(QUARANTINE, "insert", set_aside)]

    def _fold_stretch(
        self, records: Sequence[Record], poison: dict[int, str], counts: Counters, rows: Rows, set_aside: list[Row]
    ) -> None:
        """Fold some commits. Each is decoded only here: its events are still in the processor's cache when they are folded."""
        unsettled = 0
        for record in records:
            backtest_id = run_id_of(record)
            if backtest_id in self._quarantined:
                counts.skipped += 1
                continue
            found: Commit | str | None = poison.get(record.offset) or _read(record, backtest_id)
            if backtest_id in self._deleted:
                found = self._after_deletion(record, found)
                if found is None:
                    counts.skipped += 1
                    continue
            if isinstance(found, Commit):
                self._apply(record, found, rows, counts)
                unsettled += len(found.events)
                if unsettled >= SETTLED_EVENTS:
                    rows.settle()
                    unsettled = 0
                continue
            set_aside.append(quarantine_row(record, backtest_id, found))
            counts.quarantined += 1
            if backtest_id is not None:
                self._quarantined.add(backtest_id)

    def _rows(self) -> Rows:
        return Rows()

    def _changes(self, rows: Rows) -> list[RowChange]:
        return rows.changes()

    def _refuse(self, poison: "Poison") -> None:
        """Called for a commit that will be set aside."""

    def _apply(self, record: Record, commit: Commit, rows: Rows, counts: Counters) -> None:
        fold = self._folds.get(commit.backtest_id)
        if fold is None:
            fold = self._folds[commit.backtest_id] = RunFold(commit.backtest_id)
        source = Source(log_id_of(record), record.partition, record.offset, recorded_ns(record))
        try:
            is_new = fold.apply(commit, record.value or b"", source, rows)
        except (ChainError, FoldError) as error:
            raise Poison(record.offset, str(error)) from error
        counts.events += len(commit.events) if is_new else 0
        counts.repeated += not is_new

    def _after_deletion(self, record: Record, found: Commit | str | None) -> str | None:
        """Return why a record of a deleted backtest is set aside; None where it is only older than the deletion."""
        deleted_ns = self._deleted[run_id_of(record) or ""]
        if isinstance(found, Commit) and found.number == 1 and recorded_ns(record) > deleted_ns:
            return f"the id is used again after its deletion at {format_time(deleted_ns)}: choose an id that is new"
        return None

    def _search(self, records: Sequence[Record], poison: dict[int, str]) -> dict[int, str]:
        """Return the first commit whose rows no column holds, by making its rows alone."""
        for record in records:
            backtest_id = run_id_of(record)
            found = _read(record, backtest_id)
            is_left_out = backtest_id in self._quarantined or backtest_id in self._deleted
            if is_left_out or record.offset in poison or not isinstance(found, Commit):
                continue
            rows = Rows()
            try:
                self._apply(record, found, rows, Counters())
                for change in rows.changes():
                    table_write(change)
            except Poison as problem:
                return {problem.offset: problem.problem}
            except UNFIT as error:
                return {record.offset: str(error)}
        raise AssertionError("rows that can't be made together can't be made one by one")

    async def _load(self, ids: set[str]) -> None:
        """Read back the state of runs that are not in memory."""
        unknown = sorted(ids - self._folds.keys() - self._quarantined - self._deleted.keys())
        if not unknown:
            return
        read = partial(self._store.read, where="backtest_id", values=unknown)
        # At the same time: a new run's first row waits for nothing else.
        quarantined, deleted, runs = await asyncio.gather(
            read("quarantine", ("backtest_id",)),
            read("deleted_backtests", ("backtest_id", "deleted_at")),
            read("backtests", RUN_COLUMNS),
        )
        self._quarantined.update(row[0] for row in quarantined)
        self._deleted.update((row[0], to_ns(row[1])) for row in deleted)
        if runs:
            orders, held = await asyncio.gather(
                read("orders", ORDER_COLUMNS, only="is_open"), read("positions", POSITION_COLUMNS, only="is_open")
            )
            self._folds |= restore_folds(runs, orders, held)

    def _forget(self, ids: Iterable[str]) -> None:
        for backtest_id in ids:
            self._folds.pop(backtest_id, None)
            self._quarantined.discard(backtest_id)
            self._deleted.pop(backtest_id, None)

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
        if len(self._deleted) > self._max_runs:
            self._deleted.clear()


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


def _stretches(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield the records in stretches of STRETCH_BYTES, one record at least."""
    stretch: list[Record] = []
    size = 0
    for record in records:
        stretch.append(record)
        size += len(record.value or b"")
        if size >= STRETCH_BYTES:
            yield stretch
            stretch, size = [], 0
    if stretch:
        yield stretch


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


class Poison(Exception):
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
    except UNREADABLE as error:
        return f"not a commit: {error}"
    if commit.backtest_id != backtest_id:  # also where the key is no id at all
        return f"a commit of {commit.backtest_id} under the key {backtest_id}"
    if log_id_of(record) is None:
        return "no header log_id: not written by a worker"
    return commit


def quarantine_row(record: Record, backtest_id: str | None, problem: object) -> Row:
    reason = str(problem)[:1_000]
    return (record.topic, record.partition, record.offset, backtest_id, recorded_ns(record), reason)


def make_batch(changes: Iterable[RowChange], counts: Counters, effects: Effects) -> Batch:
    """Return what is to be written of these changes."""
    writes = [table_write(change) for change in changes if len(change)]
    counts.batches = 1
    counts.rows = sum(write.count for write in writes)
    return Batch(writes, counts, effects)


def table_write(change: RowChange) -> TableWrite:
    """Return the rows as a store takes them. Raises OverflowError for an integer of more than 64 bits."""
    key = change.names if change.kind == "delete" else key_of(change.table)
    return TableWrite(change.table.name, change.kind, key, change.columns, count=len(change), packed=change.packed())


def recorded_ns(record: Record) -> int:
    """Return the record's time in nanoseconds, within what a column holds: clients may write any time."""
    return min(max(record.timestamp_ms, 0), MAX_NS // 1_000_000) * 1_000_000


def run_id_of(record: Record) -> str | None:
    """Return the backtest that the record's key names; None for a key that is no id."""
    text = record.key.decode("utf-8", "replace") if record.key is not None else ""
    return text if _ID.match(text) else None
