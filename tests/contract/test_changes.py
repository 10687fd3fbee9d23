"""Contract of the Changes port: the memory twin and PostgreSQL's notifications do the same."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from adapters.changes import MAX_PAYLOAD_BYTES, changed_of, payload_of
from adapters.errors import FencedError, RetryableError
from adapters.memory_changes import MemoryChanges
from adapters.memory_rows import MemoryRowStore
from adapters.ports import Advance, Changed, Changes, Effects, RowStore, SourcePosition, TopicPartition
from adapters.postgres import PostgresRowStore
from adapters.postgres_changes import PostgresChanges
from migrations import upgrade_async
from projections.tables import SCHEMA

SOURCE = TopicPartition("backtape.events", 0)
LONG = 600.0  # seconds that no test waits for


@dataclass
class Pair:
    store: RowStore
    changes: Changes
    url: str | None = None


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.real)])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    if request.param == "memory":
        memory = MemoryRowStore()
        made = Pair(memory, MemoryChanges(memory))
    else:
        url = request.getfixturevalue("database")
        await upgrade_async(url)
        made = Pair(PostgresRowStore(url, SCHEMA), PostgresChanges(url), url)
    yield made
    await made.changes.close()
    await made.store.close()


async def _write(store: RowStore, *backtest_ids: str) -> None:
    await store.write([], [], Effects(changed=frozenset(backtest_ids)))


async def test_the_first_answer_is_everything_and_then_what_changed(pair: Pair) -> None:
    """Whoever begins to listen looks first; then each batch says what it changed, and several are told together."""
    assert await pair.changes.wait(LONG) == Changed(everything=True)
    waiting = asyncio.create_task(pair.changes.wait(LONG))
    await _write(pair.store, "bt-1", "bt-2")
    assert await waiting == Changed(frozenset({"bt-1", "bt-2"}))
    await _write(pair.store, "bt-3")
    assert await pair.changes.wait(LONG) == Changed(frozenset({"bt-3"}))


async def test_nothing_is_told_where_nothing_changed(pair: Pair) -> None:
    """A batch without runs, and one that was fenced."""
    await pair.changes.wait(LONG)
    await pair.store.write([], [], Effects())
    lost = Advance(SourcePosition(SOURCE, None, 99), None, next_offset=100, recorded_ms=0)
    with pytest.raises(FencedError):
        await pair.store.write([lost], [], Effects(changed=frozenset({"bt-1"})))
    await _write(pair.store, "bt-2")
    assert await pair.changes.wait(LONG) == Changed(frozenset({"bt-2"}))
    assert not await pair.changes.wait(0.01)


async def test_too_many_changes_are_everything(pair: Pair) -> None:
    """A notification holds less than 8,000 bytes."""
    await pair.changes.wait(LONG)
    names = [f"{number:06d}" for number in range(1_000)]  # 999 commas: 6,999 bytes
    await _write(pair.store, *names)
    assert await pair.changes.wait(LONG) == Changed(frozenset(names))
    await _write(pair.store, *names, "2")
    assert await pair.changes.wait(LONG) == Changed(everything=True)


@pytest.mark.real
async def test_a_lost_connection_is_everything(database: str) -> None:
    """What was told meanwhile is lost; the next call connects again."""
    await upgrade_async(database)
    changes = PostgresChanges(database)
    await changes.wait(LONG)
    waiting = asyncio.create_task(changes.wait(LONG))
    connection = await asyncpg.connect(database)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    assert await waiting == Changed(everything=True)
    assert await changes.wait(LONG) == Changed(everything=True)
    await connection.execute("SELECT pg_notify('backtape_changes', 'bt-1')")
    assert await changes.wait(LONG) == Changed(frozenset({"bt-1"}))
    await connection.close()
    await changes.close()


async def test_no_server_is_an_error_that_may_pass() -> None:
    """Not silence: who waits must look elsewhere."""
    with pytest.raises(RetryableError):
        await PostgresChanges("postgresql://nobody@127.0.0.1:1/none").wait(1.0)


def test_payloads_say_what_they_were_made_of() -> None:
    """Joined by commas up to the limit."""
    assert payload_of(["b", "a"]) == "a,b" and changed_of("a,b") == Changed(frozenset({"a", "b"}))
    assert payload_of([]) == "" and not changed_of("")
    assert payload_of(["x" * MAX_PAYLOAD_BYTES]) != "*" and payload_of(["x" * MAX_PAYLOAD_BYTES, "y"]) == "*"
