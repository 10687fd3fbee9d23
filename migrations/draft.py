"""This script drafts a migration: what the tables in projections/ have that an up-to-date database has not, and the views.

    python -m migrations.draft DATABASE_URL REVISION "What it does"

The draft is read and adjusted before it is committed. From then on it is history and stays as it is.
"""

import asyncio
import sys
from pathlib import Path

from alembic import command
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from migrations import async_url, config
from projections.tables import SCHEMA
from projections.views import views_sql

FOLDER = Path(__file__).parent


async def draft(database_url: str, revision: str, message: str) -> None:
    engine = create_async_engine(async_url(database_url))

    def run(connection: Connection) -> None:
        command.revision(config(connection), message=message, autogenerate=True, rev_id=revision)

    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.rollback()
    await engine.dispose()
    write_views(revision)


def write_views(revision: str) -> None:
    lines = "".join(f"    {statement!r},\n" for statement in views_sql(SCHEMA))
    (FOLDER / f"views_{revision}.py").write_text(
        f'# ruff: noqa: E501\n"""This module holds the views as revision {revision} makes them."""\n\nSTATEMENTS = (\n{lines})\n'
    )


if __name__ == "__main__":
    asyncio.run(draft(*sys.argv[1:]))
