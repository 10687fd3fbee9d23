"""A deletion on a real server against batches that are under way: whichever comes first, no row is left."""

import asyncio

import asyncpg
import pytest

from adapters.errors import DeletedError
from adapters.ports import Advance, Effects, TopicPartition
from adapters.postgres import PostgresRowStore
from consumers.projector.batch import table_write
from migrations import upgrade_async
from projections.fold import fold_run
from projections.rows import RowChange
from projections.tables import DELETED_BACKTESTS, FILLS, SCHEMA
from tests.factories import LOG_ID, WRITTEN_MS, finished_log

pytestmark = pytest.mark.real

EVENTS, RECEIPTS = TopicPartition("backtape.events", 0), TopicPartition("backtape.receipts", 0)
FILL_ROWS = table_write(RowChange(FILLS, "insert", fold_run(finished_log(seed=3, steps=40).bodies).rows("fills")))
REMOVAL = [
    table_write(RowChange(FILLS, "delete", [("bt-1",)], ("backtest_id",))),
    table_write(RowChange(DELETED_BACKTESTS, "upsert", [("bt-1", "c-1", None, WRITTEN_MS * 1_000_000, 0, 7)])),
]
ALIVE = Effects(alive=frozenset({"bt-1"}), changed=frozenset({"bt-1"}))
HELD = Effects(held=(EVENTS,), changed=frozenset({"bt-1"}))


class Pausing(PostgresRowStore):
    """Stops in the middle of its transaction, with its fence taken and its rows written, before what comes last."""

    def __init__(self, url: str) -> None:
        super().__init__(url, SCHEMA)
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def _write(self, session, write):  # type: ignore[no-untyped-def]
        await super()._write(session, write)
        self.reached.set()
        await self.go_on.wait()


async def _advance(store: PostgresRowStore, source: TopicPartition) -> Advance:
    return Advance(await store.open(source, 0), LOG_ID, next_offset=5, recorded_ms=WRITTEN_MS)


async def _waits_for_a_lock(database: str) -> None:
    connection = await asyncpg.connect(database)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not await connection.fetchval(waiting):
        pass
    await connection.close()


async def _counts(database: str) -> tuple[int, int]:
    connection = await asyncpg.connect(database)
    fills = await connection.fetchval(f"SELECT count(*) FROM {SCHEMA}.fills")
    deleted = await connection.fetchval(f"SELECT count(*) FROM {SCHEMA}.deleted_backtests")
    await connection.close()
    return fills, deleted


async def test_a_deletion_waits_for_the_batch_that_is_under_way_and_removes_its_rows(database: str) -> None:
    """The events' batch has written, but not committed, when the deletion begins."""
    await upgrade_async(database)
    events, receipts = Pausing(database), PostgresRowStore(database, SCHEMA)
    adding = asyncio.create_task(events.write([await _advance(events, EVENTS)], [FILL_ROWS], ALIVE))
    await events.reached.wait()
    removing = asyncio.create_task(receipts.write([await _advance(receipts, RECEIPTS)], REMOVAL, HELD))
    await _waits_for_a_lock(database)
    assert not removing.done()
    events.go_on.set()
    await asyncio.gather(adding, removing)
    assert await _counts(database) == (0, 1)
    await asyncio.gather(events.close(), receipts.close())


async def test_a_batch_that_waits_for_a_deletion_is_refused(database: str) -> None:
    """The deletion holds the source: the batch, made from what was there before, finds the backtest deleted."""
    await upgrade_async(database)
    events, receipts = PostgresRowStore(database, SCHEMA), Pausing(database)
    advance = await _advance(events, EVENTS)
    removing = asyncio.create_task(receipts.write([await _advance(receipts, RECEIPTS)], REMOVAL, HELD))
    await receipts.reached.wait()
    adding = asyncio.create_task(events.write([advance], [FILL_ROWS], ALIVE))
    await _waits_for_a_lock(database)
    receipts.go_on.set()
    with pytest.raises(DeletedError):
        await adding
    await removing
    assert await _counts(database) == (0, 1)
    assert await events.position(EVENTS) == advance.before
    await asyncio.gather(events.close(), receipts.close())
