"""This module fills the tables of a generation from the log, source by source, up to where the log ends at the start.

No group is joined: the rebuild alone reads for tables that nobody else knows. Where the tables stand is moved in the transactions
that write the rows, as everywhere, so that a projector goes on from there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.errors import DeletedError, FencedError
from adapters.ports import Advance, Effects, LogReader, Record, RowStore, SourcePosition, TopicPartition
from consumers.projector.batch import (
    Batch,
    Counters,
    EventsProjection,
    Projection,
    check_log,
)
from consumers.projector.messages import message_projection
from consumers.rebuild.deferring import DeferringProjection

BATCH_BYTES = 8 * 1024 * 1024
READ_RECORDS = 32  # commits are up to half a megabyte
MAX_RUNS = 2_000
MAX_OFFSET = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is filled.

    only : the one table that is wanted; None: all of them
    ends : offsets to stop before, where that is earlier than the log's end
    """

    only: str | None = None
    ends: Mapping[TopicPartition, int] = field(default_factory=dict)


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Filled:
    """What was done for one source. ``is_others`` : somebody else moved it meanwhile, a projector that feeds these tables."""

    position: SourcePosition
    counts: Counters
    is_others: bool = False


async def fill(
    source: TopicPartition,
    kind: str,
    *,
    store: RowStore,
    reader: LogReader,
    defers: bool = False,
    scope: Scope = EVERYTHING,
    on_batch: Callable[[Counters], None] = lambda _: None,
) -> Filled:
    """Project one source from where the tables are to the end that its log has now, or the scope says.

    defers : each row is written once, in its last state; only for empty tables. Raises CannotDeferError where that can't be done.
        Without it all tables are filled, whatever the scope wants
    """
    projection = _projection(source, kind, store, defers=defers, only=scope.only)
    position = await store.open(source, await reader.beginning(source))
    end = min(await reader.end(source), scope.ends.get(source, MAX_OFFSET))
    total = Counters()
    try:
        while position.next_offset < end:
            records = await _read(reader, source, position.next_offset, end)
            if not records:
                break
            batch = await projection.project(records)
            try:
                position = await _write(store, position, records, batch)
            except DeletedError:
                projection.reset()  # a receipt was projected meanwhile: its backtest is left out now
                continue
            total.add(batch.counts)
            on_batch(batch.counts)
        if isinstance(projection, DeferringProjection):
            await _write_rest(store, position, projection.finish())
    except FencedError:
        return Filled(position, total, is_others=True)
    return Filled(position, total)


def _projection(source: TopicPartition, kind: str, store: RowStore, *, defers: bool, only: str | None) -> Projection:
    if kind != "events":
        return message_projection(kind, source)
    return DeferringProjection(store, only=only) if defers else EventsProjection(store, max_runs=MAX_RUNS)


async def _read(reader: LogReader, source: TopicPartition, start: int, end: int) -> list[Record]:
    """Return about a batch of the records from one offset up to another; none where only markers of transactions are left."""
    records: list[Record] = []
    size = 0
    while size < BATCH_BYTES and start < end:
        more = await reader.read(source, start, max_records=READ_RECORDS)
        if not more:
            break
        records += [record for record in more if record.offset < end]
        size += sum(len(record.value or b"") for record in more)
        start = more[-1].offset + 1
    return records


async def _write(store: RowStore, before: SourcePosition, records: Sequence[Record], batch: Batch) -> SourcePosition:
    newest = records[-1]
    advance = Advance(before, check_log(records, before.log_id), next_offset=newest.offset + 1, recorded_ms=newest.timestamp_ms)
    await store.write([advance], batch.writes, Effects(alive=batch.effects.alive, held=batch.effects.held))
    return advance.after


async def _write_rest(store: RowStore, position: SourcePosition, batch: Batch) -> None:
    if batch.writes:
        await store.write([], batch.writes)
