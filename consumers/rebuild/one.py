"""This module makes one backtest's rows anew in the live tables, from the log, in one transaction.

The transaction holds the position of the backtest's partition: it takes effect only if the tables are still where the rows were
folded up to, so a projector that works beside it is neither overtaken nor repeated.
"""

from dataclasses import dataclass

from adapters.errors import ConfigurationError, FencedError, NotFoundError, RetryableError
from adapters.memory_rows import MemoryRowStore
from adapters.ports import Advance, Effects, LogReader, Record, SourcePosition, TopicPartition
from adapters.postgres import PostgresRowStore
from adapters.postgres_generations import Generations
from consumers.projector.batch import EventsProjection, table_write
from consumers.settings import Settings
from consumers.wiring import log_reader
from projections.restore import to_ns
from projections.rows import RowChange
from projections.tables import PROJECTION_VERSION, QUARANTINE, RUN_TABLES
from schemas.partitioning import home_partition
from schemas.topics import EVENTS

ATTEMPTS = 50  # a projector moves the position as often as it writes a batch
FINISHED = ("completed", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class Remade:
    """What was written. ``quarantined`` : the log still holds a commit of it that can't be projected."""

    backtest_id: str
    commits: int
    rows: int
    quarantined: bool


async def remake_backtest(settings: Settings, backtest_id: str) -> Remade:
    """Replace all rows of a backtest by what the log gives. Raises NotFoundError for one that the log does not hold."""
    live = await Generations(settings.database_url).live()
    if live.version != PROJECTION_VERSION:
        raise ConfigurationError(f"generation {live} is live, and this is version {PROJECTION_VERSION} of the read model")
    reader, store = log_reader(settings), PostgresRowStore(settings.database_url, live.schema)
    try:
        return await _Remaking(reader, store, settings.kafka.topic(EVENTS), backtest_id).run()
    finally:
        await reader.close()
        await store.close()


class _Remaking:
    def __init__(self, reader: LogReader, store: PostgresRowStore, topic: str, backtest_id: str) -> None:
        self._reader, self._store, self._topic, self._id = reader, store, topic, backtest_id
        self._records: list[Record] = []
        self._read_to = 0

    async def run(self) -> Remade:
        key = self._id.encode()
        source = TopicPartition(self._topic, home_partition(key, await self._reader.partitions(self._topic)))
        await self._refuse_unknown_ends()
        self._read_to = await self._reader.beginning(source)
        for _ in range(ATTEMPTS):
            position, recorded_ms = await self._position(source)
            await self._read(source, position.next_offset, key)
            try:
                return await self._write(position, recorded_ms)
            except FencedError:
                continue
        raise RetryableError(f"the projector moved {source.topic}/{source.partition} {ATTEMPTS} times meanwhile: try again")

    async def _refuse_unknown_ends(self) -> None:
        """A projector that has set a run aside skips what follows, as long as it runs: the rows would stand still again."""
        where = {"where": "backtest_id", "values": [self._id]}
        if not await self._store.read("quarantine", ("reason",), **where):  # type: ignore[arg-type]
            return
        [status] = await self._store.read("backtests", ("status",), **where) or [("unknown",)]  # type: ignore[arg-type]
        if status[0] not in FINISHED:
            raise ConfigurationError(
                f"{self._id} is in quarantine and has not ended: the projectors skip its commits. Build all tables anew"
            )

    async def _position(self, source: TopicPartition) -> tuple[SourcePosition, int]:
        columns = ("partition", "log_id", "next_offset", "recorded_at")
        for row in await self._store.read("projection_state", columns, where="topic", values=[source.topic]):
            if row[0] == source.partition:
                return SourcePosition(source, row[1], row[2]), to_ns(row[3]) // 1_000_000 if row[3] is not None else 0
        raise NotFoundError(f"the tables do not follow {source.topic}/{source.partition} yet")

    async def _read(self, source: TopicPartition, end: int, key: bytes) -> None:
        """Read on up to where the tables are, and keep the backtest's records."""
        while self._read_to < end:
            records = await self._reader.read(source, self._read_to)
            if not records:
                break
            self._records += [record for record in records if record.key == key and record.offset < end]
            self._read_to = min(records[-1].offset + 1, end)
        if not self._records:
            raise NotFoundError(f"the log holds no backtest {self._id!r}")

    async def _write(self, position: SourcePosition, recorded_ms: int) -> Remade:
        batch = await EventsProjection(MemoryRowStore(), max_runs=1).project(self._records)
        removed = [
            table_write(RowChange(table, "delete", [(self._id,)], ("backtest_id",))) for table in (*RUN_TABLES, QUARANTINE)
        ]
        advance = Advance(position, position.log_id, next_offset=position.next_offset, recorded_ms=recorded_ms)
        changed = frozenset({self._id})
        await self._store.write([advance], [*removed, *batch.writes], Effects(changed=changed, alive=changed))
        return Remade(self._id, len(self._records), batch.counts.rows, bool(batch.counts.quarantined))
