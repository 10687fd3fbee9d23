"""This module asks for pages of a view: filtered, sorted by any column, continued after the last row that was read.

A page is continued by values, not by a count of rows to skip: the thousandth page costs what the first one does, and rows
that come meanwhile neither repeat nor hide others. Rows whose sort column is null come last in both directions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column
from sqlalchemy.dialects import postgresql

from projections.queries import Query
from projections.tables import key_of
from projections.views import VIEW_SCHEMA, VIEWS, View

Cursor = tuple[str | None, ...]  # the last row's sort value, then its key, each as Postgres' text


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on rows; ``{}`` in its SQL stands for the value."""

    sql: str
    value: object


@dataclass(frozen=True, slots=True)
class Order:
    """The column that rows are sorted by."""

    column: str
    descending: bool = False


def view_of(name: str) -> View:
    return next(view for view in VIEWS if view.name == name)


def page(
    name: str,
    *,
    columns: Sequence[str],
    conditions: Sequence[Condition] = (),
    order: Order,
    after: Cursor | None = None,
    limit: int | None,
) -> Query:
    """Return the query of one page of a view.

    columns : what is returned; names of the view's columns
    after : of the last row of the page before; None: the first page
    limit : None: all rows
    """
    view = view_of(name)
    known = view.columns
    assert all(column in known for column in (*columns, order.column)), "columns are of the view"
    arguments: list[object] = []

    def argument(value: object) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    where = [condition.sql.format(argument(condition.value)) for condition in conditions]
    key = [column for column in key_of(view.table) if column != order.column]
    if after is not None:
        where.append(_beyond(view, order, key, after, argument))
    selected = ", ".join(f'"{column}"' for column in columns)
    sql = f"SELECT {selected} FROM {VIEW_SCHEMA}.{view.name}"
    if where:
        sql += " WHERE " + " AND ".join(f"({each})" for each in where)
    sql += f" ORDER BY {_order(view, order)}" + "".join(f', "{column}"' for column in key)
    if limit is not None:
        sql += f" LIMIT {argument(limit)}"
    return Query(sql, tuple(arguments))


def cursor_of(name: str, order: Order, row: dict[str, Any]) -> Cursor:
    """Return the cursor behind a row, which must hold the sort column and the key."""
    names = (order.column, *(column for column in key_of(view_of(name).table) if column != order.column))
    return tuple(_text(row[column]) for column in names)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, float):
        return repr(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _order(view: View, order: Order) -> str:
    column = view.table.columns.get(order.column)
    if column is not None and not column.nullable:
        return f'"{order.column}"' + (" DESC" if order.descending else "")  # so that an index serves it
    return f'"{order.column}"' + (" DESC NULLS LAST" if order.descending else " ASC NULLS LAST")


def _beyond(view: View, order: Order, key: Sequence[str], after: Cursor, argument: Any) -> str:
    """Return the condition that a row comes after the cursor's."""
    value, *rest = after
    assert len(rest) == len(key), "a cursor holds the sort value and the rest of the key"
    key_row = "(" + ", ".join(f'"{column}"' for column in key) + ")"
    key_values = [f"{argument(each)}::text::{_type_of(view, column)}" for column, each in zip(key, rest, strict=True)]
    behind = f"{key_row} > ({', '.join(key_values)})" if key else "false"
    name = f'"{order.column}"'
    if value is None:
        return f"{name} IS NULL AND {behind}"
    given = f"{argument(value)}::text::{_type_of(view, order.column)}"
    sign = "<" if order.descending else ">"
    if not key:
        return f"{name} {sign} {given}"
    # The first condition follows from the second; it is what an index can begin at.
    strict = f"{name} {sign}= {given} AND ({name} {sign} {given} OR {behind})"
    column = view.table.columns.get(order.column)
    return strict if column is not None and not column.nullable else f"({strict}) OR {name} IS NULL"


def _type_of(view: View, name: str) -> str:
    column: Column[Any] | None = view.table.columns.get(name)
    if column is None:
        return "text"
    kind = str(column.type.compile(postgresql.dialect()))  # type: ignore[no-untyped-call]
    return kind
