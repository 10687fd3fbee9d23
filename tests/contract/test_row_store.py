"""Contract of the RowStore port: the memory twin and PostgreSQL do the same."""

import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import asyncpg
import msgspec
import pytest

from adapters.errors import DeletedError, FatalError, FencedError, RetryableError
from adapters.memory_rows import MemoryRowStore
from adapters.ports import Advance, Effects, LogEnd, RowStore, SourcePosition, TableWrite, TopicPartition
from adapters.postgres import PostgresRowStore
from backtape.stack import LocalStack
from consumers.projector.batch import table_write
from migrations import upgrade
from projections.fold import fold_run
from projections.rows import RowChange
from projections.tables import DELETED_BACKTESTS, METADATA, ORDERS, QUARANTINE, RUN_TABLES, SCHEMA, SNAPSHOTS, changing, key_of
from tests.factories import LOG_ID, WRITTEN_MS, finished_log
from tests.projector_parts import new_database

SOURCE = TopicPartition("backtape.events", 3)


@pytest.fixture(scope="module")
def migrated(stack: LocalStack) -> Iterator[str]:
    """One database with the tables for all tests of this file; each empties them first."""
    with new_database(stack) as url:
        # In a thread: this fixture is asked for while an event loop runs.
        with ThreadPoolExecutor() as threads:
            threads.submit(upgrade, url).result()
        yield url


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.real)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[RowStore]:
    if request.param == "memory":
        yield MemoryRowStore()
        return
    url = request.getfixturevalue("migrated")
    connection = await asyncpg.connect(url)
    await connection.execute(f"TRUNCATE {', '.join(str(table) for table in METADATA.sorted_tables)}")
    await connection.close()
    made = PostgresRowStore(url, SCHEMA)
    yield made
    await made.close()


def _advance(before: SourcePosition, next_offset: int, log_id: str | None = LOG_ID) -> Advance:
    return Advance(before, log_id, next_offset=next_offset, recorded_ms=WRITTEN_MS)


def _quarantine(offset: int, reason: str = "why") -> TableWrite:
    row = ("backtape.events", 3, offset, "bt-1", WRITTEN_MS * 1_000_000, reason)
    return table_write(RowChange(QUARANTINE, "insert", [row]))


async def _reasons(store: RowStore) -> list[object]:
    return [row[1] for row in await store.read("quarantine", ("offset", "reason"), where="backtest_id", values=["bt-1"])]


async def test_a_source_begins_where_it_was_opened_first(store: RowStore) -> None:
    """The first opening decides; later ones read it back."""
    assert await store.position(SOURCE) is None
    first = await store.open(SOURCE, 17)
    assert first == SourcePosition(SOURCE, None, 17)
    assert await store.open(SOURCE, 99) == first
    assert await store.position(SOURCE) == first


async def test_rows_and_position_move_together(store: RowStore) -> None:
    """After a batch both are there."""
    before = await store.open(SOURCE, 0)
    await store.write([_advance(before, 5)], [_quarantine(4)])
    assert await store.position(SOURCE) == SourcePosition(SOURCE, LOG_ID, 5)
    assert await _reasons(store) == ["why"]


async def test_a_batch_from_another_position_is_fenced_and_leaves_nothing(store: RowStore) -> None:
    """The fence: the second of two writers that know the same position writes no row."""
    before = await store.open(SOURCE, 0)
    await store.write([_advance(before, 5)], [_quarantine(4, "first")])
    with pytest.raises(FencedError, match=r"backtape\.events/3 is not at offset 0"):
        await store.write([_advance(before, 7)], [_quarantine(6, "second")])
    assert await store.position(SOURCE) == SourcePosition(SOURCE, LOG_ID, 5)
    assert await _reasons(store) == ["first"]


async def test_a_batch_of_another_log_is_fenced(store: RowStore) -> None:
    """The right offset of another log is not the position."""
    before = await store.open(SOURCE, 0)
    await store.write([_advance(before, 5)], [])
    with pytest.raises(FencedError):
        await store.write([_advance(SourcePosition(SOURCE, "another", 5), 6)], [_quarantine(5)])
    assert await _reasons(store) == []


async def test_one_fenced_source_of_several_stops_the_batch(store: RowStore) -> None:
    """Several sources in one transaction: each has its fence."""
    one = await store.open(SOURCE, 0)
    other = await store.open(TopicPartition("backtape.events", 4), 0)
    await store.write([_advance(other, 1)], [])
    with pytest.raises(FencedError):
        await store.write([_advance(one, 5), _advance(other, 5)], [_quarantine(4)])
    assert await store.position(SOURCE) == one
    assert await _reasons(store) == []


async def test_a_failing_write_takes_back_the_position(store: RowStore) -> None:
    """A row that is there already fails the batch as a whole, and the store goes on working."""
    first = await store.open(SOURCE, 0)
    await store.write([_advance(first, 5)], [_quarantine(4)])
    second = await store.open(SOURCE, 0)
    with pytest.raises(FatalError):
        await store.write([_advance(second, 6)], [_quarantine(5), _quarantine(4)])
    assert await store.position(SOURCE) == second
    await store.write([_advance(second, 6)], [_quarantine(5)])
    assert len(await _reasons(store)) == 2


@pytest.mark.parametrize("store", [pytest.param("postgres", marks=pytest.mark.real)], indirect=True)
async def test_a_value_found_unfit_in_the_middle_of_a_copy_takes_back_the_batch(store: RowStore) -> None:
    """Rows are sent while later ones are not looked at yet: the error is that of the value, and what was sent is gone."""
    first = await store.open(SOURCE, 0)
    good = _quarantine(4)
    bad = msgspec.msgpack.encode([("backtape.events", 2**40, 5, "bt-1", 0, "x" * 300_000)])  # no partition has this number
    with pytest.raises(FatalError, match=r"partition.* of row 2 of 2"):
        await store.write([_advance(first, 6)], [replace(good, count=2, packed=(*good.packed, bad))])
    assert await store.position(SOURCE) == first
    assert await _reasons(store) == []


async def test_every_table_of_a_run_reads_back_as_it_was_written(store: RowStore) -> None:
    """All columns of all tables, with nulls, times, JSON, lists and a NUL character in a text."""
    log = finished_log(seed=11, steps=40)
    tables = fold_run(log.bodies, log.sources)
    changes = [RowChange(table, "insert", tables.rows(table.name)) for table in RUN_TABLES]
    assert all(change.rows for change in changes)
    await store.write([], [table_write(change) for change in changes])
    for table in RUN_TABLES:
        names = list(table.columns.keys())
        keys = len(key_of(table))
        read = await store.read(table.name, names, where="backtest_id", values=["bt-1"])
        wanted = [tuple(row.values()) for row in tables.table(table.name, "sql").to_pylist()]
        assert [_comparable(row) for row in read] == sorted(map(_comparable, wanted), key=lambda row: row[:keys]), table.name


async def test_an_update_changes_its_columns_and_nothing_else(store: RowStore) -> None:
    """Twice in one transaction, so that nothing of the first remains where the second is put together."""
    tables = fold_run(finished_log(seed=11, steps=40).bodies)
    await store.write([], [table_write(RowChange(ORDERS, "insert", tables.rows("orders")))])
    names = (*key_of(ORDERS), "status", "filled_quantity")
    for row in (("bt-1", 1, "seen", 1.5), ("bt-1", 2, "seen too", 2.5)):
        assert set(names[2:]) <= set(changing(ORDERS))
        await store.write([], [table_write(RowChange(ORDERS, "update", [row], names))])
    read = await store.read("orders", ("order_id", "status", "filled_quantity", "symbol"), where="backtest_id", values=["bt-1"])
    assert read[:2] == [(1, "seen", 1.5, "AAPL"), (2, "seen too", 2.5, "AAPL")]
    assert read[2][1] == tables.table("orders")["status"][2].as_py()


async def test_an_update_of_a_row_that_is_not_there_is_an_error(store: RowStore) -> None:
    """A change without its row would be lost in silence."""
    change = RowChange(ORDERS, "update", [("bt-1", 1, "filled")], (*key_of(ORDERS), "status"))
    with pytest.raises(FatalError, match="orders"):
        await store.write([], [table_write(change)])


async def test_an_upsert_inserts_or_replaces(store: RowStore) -> None:
    """An announcement may come again."""
    for offset in (1, 2):
        row = ("bt-1", f"key-{offset}", "a" * 64, "b" * 64, 10, 20, WRITTEN_MS * 1_000_000, 0, offset)
        await store.write([], [table_write(RowChange(SNAPSHOTS, "upsert", [row]))])
    assert await store.read("snapshots", ("manifest_key", "offset"), where="backtest_id", values=["bt-1"]) == [("key-2", 2)]


async def test_a_delete_removes_the_rows_of_a_part_of_the_key(store: RowStore) -> None:
    """All rows of the named backtests, and none of others; rows that are not there are no error."""
    for backtest_id in ("bt-1", "bt-2"):
        tables = fold_run(finished_log(backtest_id, seed=5).bodies)
        await store.write([], [table_write(RowChange(ORDERS, "insert", tables.rows("orders")))])
    gone = RowChange(ORDERS, "delete", [("bt-1",), ("bt-9",)], ("backtest_id",))
    await store.write([], [table_write(gone)])
    assert await store.read("orders", ("order_id",), where="backtest_id", values=["bt-1"]) == []
    assert await store.read("orders", ("order_id",), where="backtest_id", values=["bt-2"]) != []


async def test_a_batch_that_adds_to_a_deleted_backtest_is_refused(store: RowStore) -> None:
    """As a whole, position and all; one that adds to others is not."""
    row = ("bt-1", "c-1", None, WRITTEN_MS * 1_000_000, 3, 7)
    await store.write([], [table_write(RowChange(DELETED_BACKTESTS, "upsert", [row]))])
    before = await store.open(SOURCE, 0)
    with pytest.raises(DeletedError, match="bt-1"):
        await store.write([_advance(before, 5)], [_quarantine(4)], Effects(alive=frozenset({"bt-1", "bt-2"})))
    assert await store.position(SOURCE) == before
    assert await _reasons(store) == []
    await store.write([_advance(before, 5)], [_quarantine(4)], Effects(alive=frozenset({"bt-2"})))
    assert await _reasons(store) == ["why"]


async def test_a_source_that_is_to_be_held_must_have_been_opened(store: RowStore) -> None:
    """Otherwise it could begin meanwhile, and nobody would tell it to wait."""
    other = TopicPartition("backtape.receipts", 3)
    before = await store.open(other, 0)
    with pytest.raises(RetryableError, match=r"backtape\.events/3 was not opened"):
        await store.write([_advance(before, 5)], [], Effects(held=(SOURCE,)))
    await store.open(SOURCE, 0)
    await store.write([_advance(before, 5)], [], Effects(held=(SOURCE,)))


async def test_an_older_observation_does_not_replace_a_newer_one(store: RowStore) -> None:
    """Two projectors may look at a source in a rebalance; positions do not move."""
    await store.open(SOURCE, 0)
    for end, observed_ms, oldest_ms in ((10, 2_000, 500), (7, 1_000, None), (12, 3_000, None)):
        await store.observe([LogEnd(SOURCE, end, oldest_ms, WRITTEN_MS + observed_ms)])
        read = await store.read("log_ends", ("log_end", "oldest_unread_at"), where="topic", values=[SOURCE.topic])
        assert [row[0] for row in read] == [10 if end == 7 else end]
        assert (read[0][1] is None) == (end == 12)
    assert await store.position(SOURCE) == SourcePosition(SOURCE, None, 0)


async def test_reading_takes_only_what_is_asked_for(store: RowStore) -> None:
    """Rows of the named backtests, and where asked only those with a true flag."""
    for backtest_id in ("bt-1", "bt-2", "bt-3"):
        tables = fold_run(finished_log(backtest_id, seed=5).bodies)
        await store.write([], [table_write(RowChange(ORDERS, "insert", tables.rows("orders")))])
    read = await store.read("orders", ("backtest_id", "is_open"), where="backtest_id", values=["bt-1", "bt-3"], only="is_open")
    assert {row[0] for row in read} == {"bt-1", "bt-3"}
    assert all(row[1] for row in read)
    assert await store.read("orders", ("order_id",), where="backtest_id", values=["unknown"]) == []


def _comparable(row: tuple[object, ...]) -> tuple[object, ...]:
    """JSON text may be written in other ways."""

    return tuple(json.loads(value) if isinstance(value, str) and value[:1] == "{" else value for value in row)
