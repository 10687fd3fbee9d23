"""This module writes the tables of one generation as SQL: what a migration freezes, and a rebuild runs for its new schema."""

from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from projections.tables import tables_in


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
