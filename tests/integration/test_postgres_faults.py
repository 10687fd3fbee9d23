"""Tests of the projector on a PostgreSQL server that is killed and started again in the middle of its work."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from adapters.clock import SystemClock
from adapters.ports import NO_EFFECTS, Advance, Effects, TableWrite
from adapters.postgres import PostgresRowStore
from backtape.stack import LocalStack
from backtape.stack.postgres import Postgres
from consumers.projector import Limits
from migrations import upgrade_async
from projections.compare import differences
from projections.tables import RUN_TABLES, SCHEMA
from tests.factories import finished_log, source_of
from tests.projector_parts import EVENTS, Bench, FakeLog

pytestmark = pytest.mark.real

KILLED_WRITES = (4, 9, 15)  # counted from the start; each takes at most one batch back


class KilledRowStore(PostgresRowStore):
    """Kills and restarts its server while some of the writes are under way."""

    def __init__(self, server: Postgres) -> None:
        super().__init__(server.url, SCHEMA)
        self._server = server
        self._writes = 0
        self.restarts: list[asyncio.Task[None]] = []

    async def write(self, advances: Sequence[Advance], writes: Sequence[TableWrite], effects: Effects = NO_EFFECTS) -> None:
        self._writes += 1
        if self._writes in KILLED_WRITES:
            self.restarts.append(asyncio.create_task(self._kill()))
            await asyncio.sleep(0)
        await super().write(advances, writes, effects)

    async def _kill(self) -> None:
        await asyncio.to_thread(self._server.kill)
        await asyncio.to_thread(self._server.start)


async def test_a_server_killed_again_and_again_holds_each_row_once(make_stack: Callable[[], LocalStack]) -> None:
    """SIGKILL in the middle of batches. A crash may take the last batches back; the log still has them.

    The tables then follow from the log as after a quiet run: compared table by table, run by run.
    """
    server = make_stack().postgres
    await asyncio.to_thread(server.start)
    await upgrade_async(server.url)
    log = FakeLog()
    runs = [finished_log(f"bt-{number}", seed=number, steps=40) for number in range(12)]
    log.append_logs(runs)
    store = KilledRowStore(server)
    while not await _is_complete(store, log):
        # Again after a rejoin: a new projector reads back where the tables are.
        await Bench(store, log, Limits(batch_bytes=12_000), SystemClock()).run(chunk=20)
    await asyncio.gather(*store.restarts)
    assert len(store.restarts) == len(KILLED_WRITES)
    for run in runs:
        await _assert_rows_follow(store, log, run)
    await store.close()


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
