"""This module compares the rows of one run, as they were read from SQL, with the fold of its log.

It answers with the first difference in words, for people: which table, which row, which column, and both values.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import JSONB

from projections.fold import RunTables, fold_run
from projections.forms import Row
from projections.source import Source
from projections.tables import RUN_TABLES, key_of


@dataclass(frozen=True, slots=True)
class Difference:
    """Where SQL and the log disagree first. ``column`` is None where a whole row is missing on one side."""

    table: str
    key: dict[str, Any]
    column: str | None
    in_sql: Any
    in_log: Any

    def __str__(self) -> str:
        row = ", ".join(f"{name} {value}" for name, value in self.key.items())
        if self.column is not None:
            return f"{self.table}, row {row}, column {self.column}: SQL has {self.in_sql!r}, the log says {self.in_log!r}"
        if self.in_sql is None:
            return f"{self.table}, row {row}: the log has it, SQL does not"
        return f"{self.table}, row {row}: SQL has it, the log does not"


def differences(
    bodies: Iterable[bytes], sources: Iterable[Source], read: Mapping[str, Sequence[Sequence[Any]]]
) -> Difference | None:
    """Return the first difference between the fold of a run's commits and its rows in SQL, None if there is none.

    read : per table of RUN_TABLES its rows, all columns in the table's order; times as datetimes, JSON as text or decoded
    Raises ChainError, FoldError or msgspec.DecodeError if the commits are not a run's log.
    """
    return compare_tables(fold_run(bodies, sources), read)


def compare_tables(tables: RunTables, read: Mapping[str, Sequence[Sequence[Any]]]) -> Difference | None:
    """Do what ``differences`` does, on a fold that was made before."""
    return next((found for table in RUN_TABLES for found in _compare(table, tables, read[table.name])), None)


def _compare(table: Table, tables: RunTables, read: Sequence[Sequence[Any]]) -> Iterator[Difference]:
    names = list(table.columns.keys())
    keys = key_of(table)
    documents = {column.name for column in table.columns if isinstance(column.type, JSONB)}

    def by_key(rows: Iterable[Sequence[Any]]) -> dict[Row, dict[str, Any]]:
        found = (dict(zip(names, row, strict=True)) for row in rows)
        return {tuple(row[name] for name in keys): row for row in found}

    in_log = by_key(row.values() for row in tables.table(table.name, "sql").to_pylist())
    in_sql = by_key(read)
    for key in sorted(in_log.keys() | in_sql.keys()):
        named = dict(zip(keys, key, strict=True))
        left, right = in_sql.get(key), in_log.get(key)
        if left is None or right is None:
            yield Difference(table.name, named, None, left, right)
            continue
        for name in names:
            here, there = (_document(row[name]) if name in documents else row[name] for row in (left, right))
            if not _equal(here, there):
                yield Difference(table.name, named, name, here, there)


def _equal(one: Any, other: Any) -> bool:
    """Exactly equal: both sides hold the same binary64 numbers and whole microseconds."""
    return bool(one == other) and (one is None) == (other is None)


def _document(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
