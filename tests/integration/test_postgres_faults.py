"""Tests of the projector on a PostgreSQL server that is killed and started again in the middle of its work."""

import asyncio
from collections.abc import Callable

import pytest

from adapters.postgres import PostgresRowStore
from backtape.stack import LocalStack
from consumers.projector import Limits
from migrations import upgrade_async
from projections.compare import differences
from projections.tables import RUN_TABLES, SCHEMA
from tests.factories import finished_log, source_of
from tests.projector_parts import EVENTS, Bench, FakeLog

pytestmark = pytest.mark.real

KILLS = 3


async def test_a_server_killed_again_and_again_holds_each_row_once(make_stack: Callable[[], LocalStack]) -> None:
    """SIGKILL in the middle of batches. A crash may take the last batches back; the log still has them.

    The tables then follow from the log as after a quiet run: compared table by table, run by run.
    """
    server = make_stack().postgres
    await asyncio.to_thread(server.start)
    await upgrade_async(server.url)
    log = FakeLog()
    runs = [finished_log(f"bt-{number}", seed=number, steps=60) for number in range(40)]
    log.append_logs(runs)
    store = PostgresRowStore(server.url, SCHEMA)
    killer = asyncio.create_task(_kill_when_batches_pass(server, store))
    rejoins = -1
    while rejoins < 0 or not await _is_complete(store, log):
        rejoins += 1
        bench = Bench(store, log, Limits(batch_bytes=20_000))
        await bench.run(chunk=20)
    assert await killer == KILLS
    for run in runs:
        await _assert_rows_follow(store, log, run)
    await store.close()


async def _kill_when_batches_pass(server, store: PostgresRowStore) -> int:
    kills = 0
    wanted = 100
    while kills < KILLS:
        position = await store.position(EVENTS)
        if position is not None and position.next_offset > wanted:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            kills += 1
            wanted = position.next_offset + 200
        await asyncio.sleep(0)
    return kills


async def _is_complete(store: PostgresRowStore, log: FakeLog) -> bool:
    position = await store.position(EVENTS)
    return position is not None and position.next_offset == log.records[EVENTS][-1].offset + 1


async def _assert_rows_follow(store: PostgresRowStore, log: FakeLog, run) -> None:
    bodies = set(run.bodies)
    sources = [source_of(record.offset) for record in log.records[EVENTS] if record.value in bodies]
    read = {
        table.name: await store.read(table.name, list(table.columns.keys()), where="backtest_id", values=[run.backtest_id])
        for table in RUN_TABLES
    }
    assert differences(run.bodies, sources, read) is None
