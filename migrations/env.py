"""Alembic runs this file. The connection comes from ``migrations.upgrade``, or from the test that compares the models."""

from alembic import context
from sqlalchemy import Connection, text

from migrations import CONTROL_SCHEMA
from projections.tables import METADATA, SCHEMA


def run(connection: Connection) -> None:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {CONTROL_SCHEMA}"))
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        version_table_schema=CONTROL_SCHEMA,
        include_schemas=True,
        include_name=lambda name, kind, parents: kind != "schema" or name == SCHEMA,
        compare_type=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
