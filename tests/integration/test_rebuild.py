"""The rebuild on real servers: readers never notice it, nothing is lost when it is killed, and what differs stops it."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer

from adapters.errors import ConfigurationError, NotFoundError, RetryableError
from adapters.kafka import KafkaAppender, KafkaLogReader, create_topics
from adapters.kafka_deletion import KafkaDeleter
from adapters.ports import TopicPartition
from adapters.postgres import PostgresRowStore
from adapters.postgres_generations import MIGRATOR_ROLE, Generations
from backtape.proof.audit import Auditor
from backtape.stack import Endpoints, LocalStack
from consumers.rebuild import job
from consumers.rebuild.filling import fill
from consumers.rebuild.job import DifferentError, Rebuild
from consumers.rebuild.one import remake_backtest
from consumers.rebuild.only import TableRebuild
from consumers.settings import Settings
from migrations import upgrade_async
from projections.tables import METADATA, RUN_TABLES
from projections.views import views_sql
from schemas.generations import Generation
from schemas.partitioning import home_partition
from schemas.receipts import Outcome, Receipt, encode_receipt
from schemas.topics import EVENTS, RECEIPTS
from tests.factories import LOG_ID, finished_log

pytestmark = pytest.mark.real

PARTITIONS = 2
HEADERS = (("log_id", LOG_ID.encode()),)
ENDS = ("completed", "cancelled", "failed", "open")
RUNS, FEW = 12, 4


@dataclass(frozen=True)
class Prepared:
    """The log of some runs on topics of its own, and a database in which generation v1 is at its end: a template of others."""

    prefix: str
    template: str


@pytest.fixture(scope="module")
def prepared(stack: LocalStack) -> Iterator[Prepared]:
    """What the tests share that append nothing to the log: made once, each test has a copy of the database."""
    with ThreadPoolExecutor() as threads:  # this fixture is asked for while an event loop runs
        made = threads.submit(asyncio.run, prepare(stack.endpoints(), uuid.uuid4().hex[:16], RUNS)).result()
    yield made
    run_sql(stack, f"DROP DATABASE {made.template} WITH (FORCE)")


async def prepare(endpoints: Endpoints, name: str, runs: int) -> Prepared:
    prefix, database = f"test-{name}", f"test_{name}"
    url = endpoints.database_url.rpartition("/")[0]
    settings = Settings(
        kafka_bootstrap=endpoints.kafka_bootstrap, topic_prefix=prefix, partitions=PARTITIONS, database_url=f"{url}/{database}"
    )
    connection = await asyncpg.connect(f"{url}/postgres")
    await connection.execute(f"CREATE DATABASE {database}")
    await connection.close()
    await asyncio.gather(create_topics(settings.kafka, partitions=PARTITIONS), upgrade_async(settings.database_url))
    await append_runs(settings, 0, runs)
    await project(settings, Generation(1))
    return Prepared(prefix, database)


def run_sql(stack: LocalStack, sql: str) -> None:
    done = stack.postgres.execute(sql, database="postgres")
    assert done.returncode == 0, done.stderr


def configured(endpoints: Endpoints, database: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Put the settings into the environment, for processes, and return them."""
    url = endpoints.database_url.rpartition("/")[0]
    for name, value in dataclasses.replace(endpoints, database_url=f"{url}/{database}").environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BACKTAPE_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("BACKTAPE_PARTITIONS", str(PARTITIONS))
    return Settings()


@pytest.fixture
def settings(stack: LocalStack, prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A database of the test's own over the shared log, with generation v1 at its end."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    run_sql(stack, f"CREATE DATABASE {name} TEMPLATE {prepared.template}")
    run_sql(stack, f"GRANT CREATE ON DATABASE {name} TO {MIGRATOR_ROLE}")  # a copy has not the rights to the database itself
    yield configured(stack.endpoints(), name, prepared.prefix, monkeypatch)
    run_sql(stack, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def own_log(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Settings]:
    """A database and a log of the test's own, of few runs."""
    made = await prepare(stack.endpoints(), uuid.uuid4().hex[:16], FEW)
    yield configured(stack.endpoints(), made.template, made.prefix, monkeypatch)
    run_sql(stack, f"DROP DATABASE {made.template} WITH (FORCE)")


async def append_runs(settings: Settings, first: int, last: int) -> None:
    """Append the logs of some runs, beside each other, with a receipt for each."""
    appender = KafkaAppender(settings.kafka)

    async def append(number: int) -> None:
        log = finished_log(f"run-{number}", seed=number, end=ENDS[number % len(ENDS)])
        key = log.backtest_id.encode()
        partition = home_partition(key, PARTITIONS)
        for body in log.bodies:
            await appender.append(settings.kafka.topic(EVENTS), key, body, partition=partition, headers=HEADERS)
        receipt = Receipt(
            command_id=f"submit-{number}", backtest_id=log.backtest_id, command_type="SubmitBacktest",
            outcome=Outcome.ACCEPTED, partition=partition, offset=number,
        )  # fmt: skip
        await appender.append(settings.kafka.topic(RECEIPTS), key, encode_receipt(receipt), partition=partition, headers=HEADERS)

    try:
        await asyncio.gather(*(append(number) for number in range(first, last)))
    finally:
        await appender.close()


async def project(settings: Settings, generation: Generation) -> None:
    """Bring a generation to the log's end, as a projector does."""
    reader = KafkaLogReader(settings.kafka)
    store = PostgresRowStore(settings.database_url, generation.schema)
    try:
        for topic, number in itertools.product((RECEIPTS, EVENTS), range(PARTITIONS)):
            await fill(TopicPartition(settings.kafka.topic(topic), number), topic.name, store=store, reader=reader)
    finally:
        await reader.close()
        await store.close()


def rebuild(settings: Settings, told: list[str] | None = None, *, processes: int = 1) -> Rebuild:
    return Rebuild(settings, report=(told if told is not None else []).append, processes=processes)


def table_rebuild(settings: Settings, processes: int = 1) -> TableRebuild:
    return TableRebuild(settings, report=[].append, processes=processes)


async def states(settings: Settings) -> dict[str, str]:
    return {str(each.generation): each.state for each in await Generations(settings.database_url).all()}


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def rows_of(connection: asyncpg.Connection, schema: str) -> dict[str, list[Any]]:
    """Return all rows of runs, as text, in order."""
    return {
        table.name: [row[0] for row in await connection.fetch(f"SELECT t::text FROM {schema}.{table.name} AS t ORDER BY t::text")]
        for table in RUN_TABLES
    }


async def shape_of(connection: asyncpg.Connection, schema: str) -> list[tuple[Any, ...]]:
    """Return columns, constraints, indexes, comments and rights of a schema's tables, without the schema's name."""
    queries = (
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, col_description(c.oid, a.attnum)"
        " FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r' ORDER BY 1, 2",
        "SELECT tablename, indexname, replace(indexdef, $1, '') FROM pg_indexes WHERE schemaname = $1 ORDER BY 1, 2",
        "SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint AS k"
        " JOIN pg_class AS c ON c.oid = k.conrelid WHERE c.relnamespace = $1::regnamespace ORDER BY 1, 2",
        "SELECT relname, relacl::text, relpersistence::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r'"
        " ORDER BY 1",
    )
    return [tuple(row) for query in queries for row in await connection.fetch(query, schema)]


# --- what it builds ---------------------------------------------------------------------------------------------


async def test_a_rebuild_gives_the_same_rows_in_tables_of_the_same_form(settings: Settings) -> None:
    """Every table: rows, columns, keys, indexes, comments, rights. The views then show the new ones."""
    done = await rebuild(settings, processes=2).run()
    assert str(done.generation) == "v1_2"
    assert await states(settings) == {"v1": "kept", "v1_2": "live"}
    assert done.verified is not None
    assert (done.verified.backtests, done.verified.compared, done.verified.differences) == (12, 12, ())
    async with connected(settings) as connection:
        old = await rows_of(connection, "backtape_v1")
        assert await rows_of(connection, "backtape_v1_2") == old
        assert all(old[name] for name in ("backtests", "orders", "fills", "positions", "equity", "commits"))
        assert await shape_of(connection, "backtape_v1_2") == await shape_of(connection, "backtape_v1")
        assert await shown_schemas(connection) == {"backtape_v1_2"}
        assert await connection.fetchval("SELECT count(*) FROM backtape.commands") == 12


async def shown_schemas(connection: asyncpg.Connection) -> set[str]:
    """Return the schemas whose tables the views show."""
    rows = await connection.fetch(
        "SELECT DISTINCT t.relnamespace::regnamespace::text AS name FROM pg_class AS v JOIN pg_rewrite AS r ON r.ev_class = v.oid"
        " JOIN pg_depend AS d ON d.objid = r.oid AND d.classid = 'pg_rewrite'::regclass JOIN pg_class AS t ON t.oid = d.refobjid"
        " WHERE v.relnamespace = 'backtape'::regnamespace AND t.relkind = 'r'"
    )
    return {row["name"] for row in rows}


async def test_a_projector_goes_on_where_the_rebuild_ended(own_log: Settings) -> None:
    """Runs that were open in the rebuild are restored from its rows; what comes later is folded as ever."""
    await rebuild(own_log).run()
    await append_runs(own_log, FEW, 2 * FEW)
    for number in (1, 2):
        await project(own_log, Generation(1, number))
    async with connected(own_log) as connection:
        assert len((await rows_of(connection, "backtape_v1_2"))["backtests"]) == 2 * FEW
        assert await rows_of(connection, "backtape_v1_2") == await rows_of(connection, "backtape_v1")


async def test_a_log_with_poison_is_built_row_by_row(own_log: Settings) -> None:
    """A commit that does not follow is set aside in both ways of building, and its run stands still before it."""
    log = finished_log("run-poison", seed=77)
    appender = KafkaAppender(own_log.kafka)
    key = log.backtest_id.encode()
    for body in [*log.bodies[:3], *log.bodies[4:]]:
        await appender.append(own_log.kafka.topic(EVENTS), key, body, partition=home_partition(key, PARTITIONS), headers=HEADERS)
    await appender.close()
    await project(own_log, Generation(1))
    told: list[str] = []
    done = await rebuild(own_log, told).run()
    assert any(line.startswith("row by row: the record at offset") for line in told)
    assert done.verified is not None and done.verified.is_same
    async with connected(own_log) as connection:
        assert await connection.fetchval("SELECT count(*) FROM backtape_v1_2.quarantine WHERE backtest_id = 'run-poison'") == 1
        assert await shape_of(connection, "backtape_v1_2") == await shape_of(connection, "backtape_v1")


async def test_messages_that_kafka_has_deleted_are_carried_over(own_log: Settings) -> None:
    """Receipts end after 30 days; what was projected of them is kept through a rebuild."""
    source = TopicPartition(own_log.kafka.topic(RECEIPTS), 0)
    reader = KafkaLogReader(own_log.kafka)
    end = await reader.end(source)
    await reader.close()
    await KafkaDeleter(own_log.kafka).delete_before(source, end)
    done = await rebuild(own_log).run()
    assert done.verified is not None and done.verified.is_same
    async with connected(own_log) as connection:
        assert await connection.fetchval("SELECT count(*) FROM backtape.commands") == FEW


async def test_one_backtest_is_made_anew_in_place(settings: Settings) -> None:
    """Rows that were changed, removed and added by hand: all are what the log gives afterwards, and no position has moved."""
    async with connected(settings) as connection:
        wanted = await rows_of(connection, "backtape_v1")
        state = "SELECT topic, partition, next_offset, recorded_at FROM backtape_v1.projection_state ORDER BY 1, 2"
        before = await connection.fetch(state)
        await connection.execute("UPDATE backtape_v1.fills SET price = 1 WHERE backtest_id = 'run-4'")
        await connection.execute("DELETE FROM backtape_v1.orders WHERE backtest_id = 'run-4'")
        await connection.execute("UPDATE backtape_v1.positions SET position_id = 1000 + position_id WHERE backtest_id = 'run-4'")
        done = await remake_backtest(settings, "run-4")
        assert (done.quarantined, done.commits > 3) == (False, True)
        assert await rows_of(connection, "backtape_v1") == wanted
        assert await connection.fetch(state) == before
    with pytest.raises(NotFoundError, match="the log holds no backtest 'unknown'"):
        await remake_backtest(settings, "unknown")


async def test_one_table_is_made_anew_in_place(settings: Settings) -> None:
    """Its rows, keys, indexes, comments and rights are as if nothing had been; the others are not touched; projectors go on."""
    async with connected(settings) as connection:
        wanted, shape = await rows_of(connection, "backtape_v1"), await shape_of(connection, "backtape_v1")
        for name, table, processes in (("trades", "positions", 1), ("orders", "orders", 2)):
            await connection.execute(f"UPDATE backtape_v1.{table} SET symbol = 'WRONG' WHERE backtest_id IN ('run-3', 'run-4')")
            with pytest.raises(DifferentError):
                await table_rebuild(settings).run_for(name)
            assert await connection.fetchval(f"SELECT count(*) > 0 FROM backtape.{name} WHERE symbol = 'WRONG'")
            done = await table_rebuild(settings, processes).run_for(name, accepts_differences=True)
            assert done.verified is not None
            assert {(each.table, each.key) for each in done.verified.differences} == {(table, "run-3"), (table, "run-4")}
        assert await rows_of(connection, "backtape_v1") == wanted
        assert await shape_of(connection, "backtape_v1") == shape
        assert await shown_schemas(connection) == {"backtape_v1"}
        assert await connection.fetchval("SELECT to_regnamespace('backtape_v1_2')") is None
    assert await states(settings) == {"v1": "live"}


async def test_one_table_is_made_anew_while_the_projector_is_behind_and_while_it_goes_on(own_log: Settings) -> None:
    """It is made up to where the live tables are, not up to the log's end; what comes later goes into the new table."""
    await append_runs(own_log, FEW, 2 * FEW)
    async with connected(own_log) as connection:
        wanted = await rows_of(connection, "backtape_v1")
        await connection.execute("DELETE FROM backtape_v1.fills")
        await table_rebuild(own_log).run_for("fills", accepts_differences=True)
        assert await rows_of(connection, "backtape_v1") == wanted

        async def go_on() -> None:
            for number in range(2 * FEW, 4 * FEW):
                await append_runs(own_log, number, number + 1)
                await project(own_log, Generation(1))

        await asyncio.gather(go_on(), *[table_rebuild(own_log).run_for("fills")])
        await table_rebuild(own_log).run_for("commands")
        for table in ("fills", "orders", "commands"):  # nothing differs: what was made and what was projected are the same
            await table_rebuild(own_log).run_for(table)
        assert len((await rows_of(connection, "backtape_v1"))["backtests"]) == 4 * FEW


async def test_a_table_that_cannot_be_made_alone_is_refused(settings: Settings) -> None:
    """The words name those that can."""
    with pytest.raises(ConfigurationError, match=r"--only: 'quarantine' is no table .* trades"):
        await table_rebuild(settings).run_for("quarantine")


# --- what stops it ----------------------------------------------------------------------------------------------


async def test_differences_are_listed_and_nothing_is_swapped(settings: Settings) -> None:
    """A row that was changed by hand, and one that is missing: found, named, and the live ones stay live."""
    async with connected(settings) as connection:
        await connection.execute("UPDATE backtape_v1.fills SET price = price + 1e-9 WHERE backtest_id = 'run-0' AND fill_id = 1")
        await connection.execute("DELETE FROM backtape_v1.positions WHERE backtest_id = 'run-4' AND position_id = 1")
        await connection.execute("DELETE FROM backtape_v1.commands WHERE command_id = 'submit-5'")
        with pytest.raises(DifferentError) as caught:
            await rebuild(settings).run()
        found = {(each.table, each.key): each.new_rows - each.old_rows for each in caught.value.verified.differences}
        partition = str(home_partition(b"run-5", PARTITIONS))
        assert found == {("fills", "run-0"): 0, ("positions", "run-4"): 1, ("commands", partition): 1}
        assert await shown_schemas(connection) == {"backtape_v1"}
    assert await states(settings) == {"v1": "live", "v1_2": "standby"}
    done = await rebuild(settings).run(accepts_differences=True)
    assert done.swap_seconds is not None
    assert await states(settings) == {"v1": "kept", "v1_2": "live"}


async def test_a_backtest_that_only_the_old_tables_have_is_a_difference(settings: Settings) -> None:
    """The log does not give it: it would be lost."""
    async with connected(settings) as connection:
        names = ", ".join(
            f'"{column.name}"' for column in METADATA.tables["backtape_v1.backtests"].columns if column.name != "backtest_id"
        )
        await connection.execute(
            f"INSERT INTO backtape_v1.backtests (backtest_id, {names})"
            f" SELECT 'made-up', {names} FROM backtape_v1.backtests LIMIT 1"
        )
    with pytest.raises(DifferentError, match="1 backtests are only in the old generation"):
        await rebuild(settings).run()


async def test_two_rebuilds_do_not_work_at_once(settings: Settings) -> None:
    """The second is told so at once."""
    async with Generations(settings.database_url, migrates=True).alone():
        with pytest.raises(ConfigurationError, match="another `backtape rebuild` is at work"):
            await rebuild(settings).run()


async def test_a_reader_that_holds_a_view_for_long_stops_the_swap_and_nothing_else(settings: Settings) -> None:
    """The swap gives up after its budget; queries that come meanwhile are answered."""
    await rebuild(settings).run(swaps=False)
    async with connected(settings) as holder, connected(settings) as other:
        generations = Generations(settings.database_url, migrates=True)
        async with holder.transaction():
            await holder.fetchval("SELECT count(*) FROM backtape.trades")
            target = Generation(1, 2)
            swapping = asyncio.create_task(generations.swap(target, views_sql(target.schema), budget_seconds=1.0))
            answered = 0
            while not swapping.done():
                await other.fetch("SELECT * FROM backtape.trades LIMIT 1")
                answered += 1
                await asyncio.wait([swapping], timeout=0.01)
            with pytest.raises(RetryableError, match="readers held the views"):
                await swapping
            assert answered > 3
        assert await states(settings) == {"v1": "live", "v1_2": "standby"}


async def test_views_of_others_stop_the_swap_by_name(settings: Settings) -> None:
    """They would be dropped with ours; nothing is, until they are out of the way."""
    done = await rebuild(settings).run(swaps=False)
    async with connected(settings) as connection:
        await connection.execute("CREATE SCHEMA desk; CREATE VIEW desk.best AS SELECT backtest_id FROM backtape.backtests")
        for attempt in (rebuild(settings).run, functools.partial(table_rebuild(settings).run_for, "trades")):
            with pytest.raises(ConfigurationError, match=r"depend on ours, drop them first: view desk\.best"):
                await attempt()
        assert await connection.fetchval("SELECT count(*) FROM desk.best") == RUNS
        assert (await shown_schemas(connection), await states(settings)) == ({"backtape_v1"}, {"v1": "live", "v1_2": "standby"})
        await connection.execute("DROP VIEW desk.best")
        assert (await rebuild(settings).run()).generation == done.generation
        assert await shown_schemas(connection) == {"backtape_v1_2"}


# --- readers ----------------------------------------------------------------------------------------------------

# Joins over views in both orders, a function, and a prepared statement that is asked again and again.
READS = (
    "SELECT (SELECT count(*) FROM backtape.trades) = (SELECT sum(trades) FROM backtape.backtests)",
    "SELECT (SELECT sum(fills) FROM backtape.backtests) = (SELECT count(*) FROM backtape.fills)",
    "SELECT count(*) = 12 FROM backtape.backtests AS b JOIN backtape.commits AS c USING (backtest_id) WHERE c.number = 1",
    "SELECT backtape.wait_for('run-0', 1, interval '1 second')",
)


async def test_readers_see_one_generation_or_the_other_and_never_an_error(settings: Settings) -> None:
    """Six readers ask without pause while the views are swapped to and fro; each transaction sees one generation.

    The new generation is told apart by a mark in every row: were one transaction to see both, it would see two marks.
    """
    await rebuild(settings).run(swaps=False)
    async with connected(settings) as connection:
        await connection.execute("UPDATE backtape_v1_2.backtests SET submitter = 'v1_2'")
        await connection.execute("UPDATE backtape_v1_2.commands SET submitter = 'v1_2'")
    generations = Generations(settings.database_url, migrates=True)
    over = asyncio.Event()
    seen: set[str] = set()
    answers = 0

    async def read() -> None:
        nonlocal answers
        async with connected(settings) as connection:
            prepared = [await connection.prepare(sql) for sql in READS]
            while not over.is_set():
                for sql in prepared:
                    assert await sql.fetchval() is True
                async with connection.transaction():
                    one = await connection.fetchval("SELECT submitter = 'v1_2' FROM backtape.backtests LIMIT 1")
                    two = await connection.fetchval("SELECT coalesce(submitter = 'v1_2', false) FROM backtape.commands LIMIT 1")
                    assert one == two, "one transaction sees one generation"
                    seen.add("v1_2" if one else "v1")
                answers += 1

    readers = [asyncio.create_task(read()) for _ in range(6)]
    try:
        for target in (Generation(1, 2), Generation(1), Generation(1, 2), Generation(1)):
            before = answers
            await generations.swap(target, views_sql(target.schema), budget_seconds=60)
            while answers < before + 12 and not any(reader.done() for reader in readers):
                await asyncio.wait(readers, timeout=0.01)
    finally:
        over.set()
        await asyncio.gather(*readers)
    assert seen == {"v1", "v1_2"}


# Each is true of one generation, at any place of the log; rows of two would not add up.
SUMS = (
    "SELECT (SELECT count(*) FROM backtape.trades) = (SELECT sum(trades) FROM backtape.backtests)",
    "SELECT (SELECT count(*) FROM backtape.fills) = (SELECT sum(fills) FROM backtape.backtests)",
    f"SELECT (SELECT count(*) FROM backtape.commits WHERE number = 1) = count(*) AND count(*) >= {FEW} FROM backtape.backtests",
)


async def test_readers_are_not_disturbed_from_the_first_stage_to_the_drop(own_log: Settings) -> None:
    """Four readers ask without pause while a generation is built, caught up, compared, swapped in, and the old one is dropped.

    Meanwhile runs are appended, and every generation that projectors would feed is fed.
    """
    generations = Generations(own_log.database_url)
    is_over, is_built = asyncio.Event(), asyncio.Event()
    seen: set[str] = set()
    answers = 0

    async def read() -> None:
        nonlocal answers
        async with connected(own_log) as connection:
            while not is_over.is_set():
                for sql in SUMS:
                    assert await connection.fetchval(sql) is True, sql
                async with connection.transaction():
                    assert await connection.fetchval("SELECT count(*) FROM backtape.backtests") >= FEW
                    shown = await shown_schemas(connection)
                assert len(shown) == 1, shown
                seen.update(shown)
                answers += 1

    async def go_on() -> None:
        number = FEW
        while not is_built.is_set():
            await append_runs(own_log, number, number + 1)
            number += 1
            for each in await generations.fed(1):
                await project(own_log, each)

    async def more_answers() -> None:
        before = answers
        while answers < before + 12 and not any(reader.done() for reader in readers):
            await asyncio.wait(readers, timeout=0.01)

    readers = [asyncio.create_task(read()) for _ in range(4)]
    try:
        feeding = asyncio.create_task(go_on())
        await more_answers()
        await rebuild(own_log).run()
        await more_answers()
        is_built.set()
        await feeding
        await rebuild(own_log).drop_old()
        await more_answers()
    finally:
        is_built.set()
        is_over.set()
        await asyncio.gather(*readers)
    assert seen == {"backtape_v1", "backtape_v1_2"}
    assert await states(own_log) == {"v1_2": "live"}


async def test_dropping_waits_for_a_projector_that_still_feeds(own_log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a consumer is in the old generation's group, its tables stay; the words say who is there."""
    await rebuild(own_log).run()
    group = own_log.projector_group(Generation(1))
    consumer = AIOKafkaConsumer(own_log.kafka.topic(EVENTS), bootstrap_servers=own_log.kafka_bootstrap, group_id=group)
    await consumer.start()
    monkeypatch.setattr(job, "LEAVING_SECONDS", 0.0)
    async with connected(own_log) as connection:
        try:
            with pytest.raises(RetryableError, match=f"{group} has 1 members"):
                await rebuild(own_log).drop_old()
            assert await connection.fetchval("SELECT count(*) FROM backtape_v1.backtests") == FEW
        finally:
            await consumer.stop()
        assert [str(each) for each in await rebuild(own_log).drop_old()] == ["v1"]
        assert await shown_schemas(connection) == {"backtape_v1_2"}


async def test_rollback_and_dropping(own_log: Settings) -> None:
    """Back to the old generation once it is where the live one is; afterwards only the live one is left."""
    await rebuild(own_log).run()
    await append_runs(own_log, FEW, FEW + 1)
    await project(own_log, Generation(1, 2))
    await project(own_log, Generation(1))
    assert (await rebuild(own_log).rollback()).swap_seconds is not None
    assert await states(own_log) == {"v1": "live", "v1_2": "kept"}
    async with connected(own_log) as connection:
        assert await connection.fetchval("SELECT count(*) FROM backtape.backtests") == FEW + 1
        assert [str(each) for each in await rebuild(own_log).drop_old()] == ["v1_2"]
        assert await connection.fetchval("SELECT to_regnamespace('backtape_v1_2')") is None
        assert await shown_schemas(connection) == {"backtape_v1"}
    with pytest.raises(ConfigurationError, match="no generation is kept"):
        await rebuild(own_log).rollback()


async def test_audits_at_the_same_time_share_the_live_tables(settings: Settings) -> None:
    """Tables that each opened for itself would be lost but for the last ones, with their connections."""
    auditor = Auditor(settings)
    opened = await asyncio.gather(*(auditor._live_rows() for _ in range(3)))
    await auditor.close()
    assert len({id(each) for each in opened}) == 1
