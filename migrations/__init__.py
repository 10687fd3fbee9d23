"""This package brings a database to the present schema, by Alembic over asyncpg.

Several processes may migrate at once: the first takes an advisory lock for its transaction, the others then find nothing to do.
"""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from migrations.roles import become_migrator

CONTROL_SCHEMA = "backtape_control"
LOCK_KEY = 7_240_114_902  # any number that nobody else takes as advisory lock in this database


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring the database to a revision. Safe to repeat, and from several processes at once."""
    asyncio.run(upgrade_async(database_url, revision))


async def upgrade_async(database_url: str, revision: str = "head") -> None:
    """Do what ``upgrade`` does, inside a running event loop."""
    engine = create_async_engine(async_url(database_url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            # Held to the end of the transaction. Before Alembic begins, because its context is global: two of them in one
            # process must not be inside of it at once either.
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK_KEY})"))
            await become_migrator(connection)
            await connection.run_sync(_run, revision)
    finally:
        await engine.dispose()


def config(connection: Connection) -> Config:
    """Return Alembic's configuration, which this package has instead of an alembic.ini."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def _run(connection: Connection, revision: str) -> None:
    command.upgrade(config(connection), revision)


def async_url(database_url: str) -> URL:
    return make_url(database_url).set(drivername="postgresql+asyncpg")
