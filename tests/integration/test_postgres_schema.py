"""Tests of the migrations on a real server: they make what the models say, once, also when several processes run them."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

import migrations
from migrations import async_url, upgrade_async
from migrations.freeze import statements
from migrations.statements_0001 import STATEMENTS
from projections.roles import READER_ROLE
from projections.tables import METADATA, SCHEMA
from projections.views import VIEW_SCHEMA, VIEWS

pytestmark = pytest.mark.real


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    await upgrade_async(database)
    opened = await asyncpg.connect(database)
    yield opened
    await opened.close()


async def test_migrations_make_what_the_models_say(database: str) -> None:
    """Alembic finds no difference in tables, columns, types, keys and indexes; comments are compared below."""

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "compare_type": True,
                "include_name": lambda name, kind, parents: kind != "schema" or name == SCHEMA,
            },
        )
        return list(compare_metadata(context, METADATA))

    await upgrade_async(database)
    engine = create_async_engine(async_url(database))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_every_table_and_column_has_the_models_comment(connection: asyncpg.Connection) -> None:
    """The comments in the database are those of the models."""
    found = await _comments(connection, SCHEMA)
    wanted = {(table.name, None): table.comment for table in METADATA.sorted_tables}
    wanted |= {(table.name, column.name): column.comment for table in METADATA.sorted_tables for column in table.columns}
    assert found == wanted
    assert all(wanted.values())


async def test_every_view_and_column_has_its_comment(connection: asyncpg.Connection) -> None:
    """What people read is documented where they read it."""
    wanted = {(view.name, None): view.comment for view in VIEWS}
    wanted |= {(view.name, name): comment for view in VIEWS for name, comment in view.columns.items()}
    assert await _comments(connection, VIEW_SCHEMA) == wanted


def test_the_migration_holds_what_the_models_say() -> None:
    """Tables, views, functions and grants; out of date: `python -m migrations.freeze 0001`."""
    assert list(STATEMENTS) == statements()


async def test_the_reader_reads_the_views_and_nothing_else(connection: asyncpg.Connection) -> None:
    """The role may select from each view; tables, writing and making are refused."""
    await connection.execute(f"SET ROLE {READER_ROLE}")
    for view in VIEWS:
        await connection.fetch(f"SELECT * FROM {VIEW_SCHEMA}.{view.name}")
    for refused in (
        f"SELECT * FROM {SCHEMA}.backtests",
        f"DELETE FROM {VIEW_SCHEMA}.fills",
        f"UPDATE {VIEW_SCHEMA}.projection_state SET next_offset = 0",
        f"CREATE TABLE {VIEW_SCHEMA}.mine ()",
        f"DROP VIEW {VIEW_SCHEMA}.fills",
        "SELECT * FROM backtape_control.alembic_version",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(refused)


async def test_processes_that_migrate_at_once_wait_for_each_other(database: str) -> None:
    """All of them succeed, and the schema is made once."""
    await asyncio.gather(*(upgrade_async(database) for _ in range(4)))
    await upgrade_async(database)


async def test_a_migration_can_be_taken_back_and_made_again(database: str) -> None:
    """Down to nothing, and up again."""
    await upgrade_async(database)
    engine = create_async_engine(async_url(database))
    async with engine.begin() as connection:
        await connection.run_sync(lambda each: migrations.command.downgrade(migrations.config(each), "base"))
    await engine.dispose()
    await upgrade_async(database)


async def _comments(connection: asyncpg.Connection, schema: str) -> dict[tuple[str, str | None], str | None]:
    rows = await connection.fetch(
        "SELECT c.relname, NULL AS attname, obj_description(c.oid, 'pg_class') AS comment FROM pg_class AS c"
        " WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'v') UNION ALL"
        " SELECT c.relname, a.attname, col_description(c.oid, a.attnum) FROM pg_class AS c JOIN pg_attribute AS a ON"
        " a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'v')",
        schema,
    )
    return {(row["relname"], row["attname"]): row["comment"] for row in rows}
