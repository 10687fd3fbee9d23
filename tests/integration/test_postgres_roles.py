"""What each role may do and may not, on a real server: with logins of their own, as docs/sql.md says how to make them."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest
import pytest_asyncio

from adapters.errors import ConfigurationError, FatalError
from adapters.ports import TopicPartition
from adapters.postgres import PostgresRowStore
from adapters.postgres_reader import PostgresReader
from backtape.stack import LocalStack
from migrations import upgrade_async
from migrations.roles import MissingRole
from projections.roles import MIGRATOR_ROLE, PROJECTOR_ROLE, READER_ROLE, ROLES, WEB_ROLE
from projections.tables import METADATA, SCHEMA
from projections.views import VIEWS
from tests.factories import finished_log
from tests.projector_parts import EVENTS, Bench, FakeLog, new_database

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Logins:
    """A migrated database, and the URL of a login for each role that is a member of it and of nothing else."""

    owner: str
    urls: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def logins(stack: LocalStack) -> AsyncIterator[Logins]:
    with new_database(stack) as url:
        await upgrade_async(url)
        owner = await asyncpg.connect(url)
        names = {role: f"login_{uuid.uuid4().hex[:12]}" for role in ROLES}
        for role, name in names.items():
            await owner.execute(f"CREATE ROLE {name} LOGIN IN ROLE {role}")
        address = url.partition("@")[2]
        yield Logins(url, {role: f"postgresql://{name}@{address}" for role, name in names.items()})
        for name in names.values():
            await owner.execute(f"DROP ROLE {name}")
        await owner.close()


async def _refused(url: str, *statements: str) -> None:
    """Each statement fails for lack of a right, and for nothing else."""
    connection = await asyncpg.connect(url)
    for statement in statements:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


NOBODYS = (
    "CREATE SCHEMA mine",
    "CREATE TABLE backtape.mine ()",
    f"CREATE TABLE {SCHEMA}.mine ()",
    f"ALTER TABLE {SCHEMA}.fills ADD COLUMN mine int",
    f"DROP TABLE {SCHEMA}.fills",
    f"TRUNCATE {SCHEMA}.fills",
    "DROP VIEW backtape.fills",
    "CREATE ROLE mine",
    f"SET ROLE {MIGRATOR_ROLE}",
    "UPDATE backtape_control.alembic_version SET version_num = '0000'",
)


@pytest.mark.parametrize("role", [PROJECTOR_ROLE, WEB_ROLE, READER_ROLE])
async def test_nobody_but_the_migrator_changes_what_there_is(logins: Logins, role: str) -> None:
    """No tables, schemas, views or roles; not even the version of the schema."""
    await _refused(logins.urls[role], *NOBODYS)


@pytest.mark.parametrize("role", [READER_ROLE, WEB_ROLE])
async def test_readers_read_the_views_and_wait_and_nothing_else(logins: Logins, role: str) -> None:
    """Every view; no table, no writing."""
    connection = await asyncpg.connect(logins.urls[role])
    for view in VIEWS:
        await connection.fetch(f"SELECT * FROM backtape.{view.name} LIMIT 1")
    assert await connection.fetchval("SELECT backtape.wait_for('unknown', 1, interval '0 seconds')") is False
    await connection.close()
    await _refused(
        logins.urls[role],
        *(f"SELECT 1 FROM {table.schema}.{table.name}" for table in METADATA.sorted_tables),
        "DELETE FROM backtape.fills",
        "INSERT INTO backtape.quarantine SELECT * FROM backtape.quarantine",
        "UPDATE backtape.projection_state SET next_offset = 0",
        f"SET ROLE {PROJECTOR_ROLE}",
    )


async def test_the_reader_sees_nothing_of_the_web_service(logins: Logins) -> None:
    """Keys and sessions are the web's alone; the projector has no use for them either."""
    await _refused(logins.urls[READER_ROLE], "SELECT 1 FROM backtape_control.api_keys")
    await _refused(logins.urls[PROJECTOR_ROLE], "SELECT 1 FROM backtape_control.api_keys", "SELECT 1 FROM backtape.fills")
    connection = await asyncpg.connect(logins.urls[WEB_ROLE])
    assert await connection.fetch("SELECT * FROM backtape_control.api_keys") == []
    await connection.close()


async def test_the_projector_projects_with_its_own_rights(logins: Logins) -> None:
    """Batches, updates, positions and observations, as a login that is nothing else."""
    log = FakeLog()
    log.append_logs([finished_log("bt-1", seed=1), finished_log("bt-2", seed=2, end="open")])
    store = PostgresRowStore(logins.urls[PROJECTOR_ROLE], SCHEMA, role=PROJECTOR_ROLE)
    await Bench(store, log).run(EVENTS, chunk=2)
    assert {row[0] for row in await store.read("backtests", ("status",), where="backtest_id", values=["bt-1"])} == {"completed"}
    await store.close()


async def test_a_process_takes_its_role_on_whatever_its_login_may(logins: Logins) -> None:
    """One login for all processes is enough to keep each to its rights."""
    store = PostgresRowStore(logins.owner, SCHEMA, role=READER_ROLE)
    with pytest.raises(FatalError, match="permission denied"):
        await store.open(TopicPartition("backtape.events", 9), 0)
    await store.close()
    reader = PostgresReader(logins.owner, role=READER_ROLE)
    assert await reader.fetch("SELECT current_user::text AS name") == [{"name": READER_ROLE}]
    await reader.close()


async def test_a_role_that_is_not_there_names_the_migration(logins: Logins) -> None:
    """As a schema that is not there does."""
    reader = PostgresReader(logins.owner, role="backtape_unknown")
    with pytest.raises(ConfigurationError, match="backtape db upgrade"):
        await reader.fetch("SELECT 1")
    await reader.close()


async def test_the_migrator_owns_everything_and_may_migrate_again(logins: Logins) -> None:
    """A login that is a member of it needs no more to upgrade; one that is not is told so."""
    connection = await asyncpg.connect(logins.owner)
    owners = await connection.fetch(
        "SELECT DISTINCT pg_get_userbyid(relowner)::text AS name FROM pg_class WHERE relkind IN ('r', 'v', 'p')"
        " AND relnamespace::regnamespace::text LIKE 'backtape%' AND relname <> 'alembic_version'"
    )
    await connection.close()
    assert [row["name"] for row in owners] == [MIGRATOR_ROLE]
    await upgrade_async(logins.urls[MIGRATOR_ROLE])
    with pytest.raises(MissingRole, match=f"GRANT {MIGRATOR_ROLE} TO login_"):
        await upgrade_async(logins.urls[READER_ROLE])


# --- waiting in SQL ---------------------------------------------------------------------------------------------------


async def test_wait_for_returns_when_another_session_has_written_the_event(logins: Logins) -> None:
    """The function sees what is committed while it waits, in a session that began before."""
    log = FakeLog()
    run = finished_log("waited", seed=5)
    log.append_logs([run])
    store = PostgresRowStore(logins.owner, SCHEMA)
    connection = await asyncpg.connect(logins.urls[READER_ROLE])
    await connection.execute("BEGIN")
    await connection.fetch("SELECT count(*) FROM backtape.backtests")
    waiting = asyncio.create_task(connection.fetchval("SELECT backtape.wait_for('waited', 3, interval '10 minutes')"))
    source = TopicPartition("other.events", 0)
    log.records[source] = log.records.pop(EVENTS)
    bench = Bench(store, log)
    bench.projector._kinds = {source.topic: "events"}
    await bench.run(source)
    assert await waiting is True
    assert await connection.fetchval("SELECT last_sequence FROM backtape.backtests WHERE backtest_id = 'waited'") >= 3
    await connection.execute("COMMIT")
    assert await connection.fetchval("SELECT backtape.wait_for('waited', 1000000, interval '0')") is False
    await connection.close()
    await store.close()


async def test_wait_for_refuses_a_snapshot_that_never_changes(logins: Logins) -> None:
    """In REPEATABLE READ it would wait in vain: it says so at once."""
    connection = await asyncpg.connect(logins.urls[READER_ROLE])
    with pytest.raises(asyncpg.PostgresError, match="repeatable read is not allowed: read committed"):
        async with connection.transaction(isolation="repeatable_read"):
            await connection.fetchval("SELECT backtape.wait_for('any', 1, interval '10 minutes')")
    await connection.close()
