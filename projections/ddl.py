"""This module writes the tables of one generation as SQL: what a migration freezes, and a rebuild runs for its new schema."""

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from projections.tables import RUN_TABLES, tables_in


def tables_sql(schema: str) -> list[str]:
    """Return the statements that make a schema with all tables, their indexes and comments."""
    statements = [f"CREATE SCHEMA {schema}"]
    for table in tables_in(schema).sorted_tables:
        statements.append(_text(CreateTable(table)))
        statements += [_text(CreateIndex(index)) for index in sorted(table.indexes, key=lambda index: str(index.name))]
        statements.append(f"COMMENT ON TABLE {schema}.{table.name} IS {quoted_text(str(table.comment))}")
        statements += [
            f'COMMENT ON COLUMN {schema}.{table.name}."{column.name}" IS {quoted_text(str(column.comment))}'
            for column in table.columns
        ]
    return statements


def quoted_text(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _text(element: DDLElement) -> str:
    made = str(element.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    return " ".join(made.split())


def unkeyed_sql(schema: str) -> list[str]:
    """Return the statements that take the keys and indexes from the large tables: rows go in twice as fast without."""
    statements = []
    for table in _large(schema):
        statements.append(f"ALTER TABLE {schema}.{table.name} DROP CONSTRAINT {table.name}_pkey")
        statements += [f"DROP INDEX {schema}.{index.name}" for index in table.indexes]
    return statements


def keyed_sql(schema: str) -> list[str]:
    """Return the statements that make those keys and indexes again, one for each, and look at all tables for the planner."""
    statements = []
    for table in _large(schema):
        names = ", ".join(f'"{column.name}"' for column in table.primary_key.columns)
        statements.append(f"ALTER TABLE {schema}.{table.name} ADD PRIMARY KEY ({names})")
        statements += [_text(CreateIndex(index)) for index in sorted(table.indexes, key=lambda index: str(index.name))]
    return statements + [f"ANALYZE {schema}.{table.name}" for table in tables_in(schema).sorted_tables]


def _large(schema: str) -> list[Table]:
    """Return the tables that grow with every trade and mark; ``backtests`` is small, and asked for while they are filled."""
    names = {table.name for table in RUN_TABLES} - {"backtests"}
    return [table for table in tables_in(schema).sorted_tables if table.name in names]
