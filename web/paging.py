"""This module answers pages of a view."""

from collections.abc import Sequence
from typing import Any

from adapters.errors import FatalError
from projections.pages import Condition, Order, cursor_of, page, view_of
from projections.tables import key_of
from web import cursors
from web.problems import invalid_field
from web.services import Services

MAX_ROWS = 5_000


def order_of(view: str, sort: str | None, default: Order, *, without: Sequence[str] = ()) -> Order:
    """Read a sort such as ``sharpe`` or ``-sharpe`` (descending). Raises ProblemError for a column that is not there."""
    if sort is None:
        return default
    name = sort.removeprefix("-")
    columns = sortable(view, without)
    if name not in columns:
        raise invalid_field("query.sort", sort, f"one of {', '.join(columns)}, with - before it for descending")
    return Order(name, descending=sort.startswith("-"))


def sortable(view: str, without: Sequence[str] = ()) -> list[str]:
    """Return the columns that one may sort by: those of the view's own table that hold one value."""
    table = view_of(view).table
    return [
        name
        for name in view_of(view).columns
        if name not in without and name in table.columns and not str(table.columns[name].type).startswith(("ARRAY", "JSONB", "BYTEA"))
    ]


async def rows_of(
    services: Services,
    view: str,
    *,
    columns: Sequence[str],
    conditions: Sequence[Condition],
    order: Order,
    after: str | None,
    limit: int,
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page's rows, and the word that asks for the next one."""
    key = [name for name in key_of(view_of(view).table) if name != order.column]
    cursor = None if after is None else cursors.decode(after, order, length=1 + len(key))
    wanted = tuple(dict.fromkeys((*columns, order.column, *key)))
    query = page(view, columns=wanted, conditions=conditions, order=order, after=cursor, limit=limit + 1)
    try:
        rows = await services.ask(query)
    except FatalError as error:
        if cursor is None or "22" not in str(error)[:12]:  # 22: a value that is none of its type
            raise
        raise invalid_field("query.after", after, "a next_cursor of a page with the same sort is needed") from error
    has_more = len(rows) > limit
    rows = rows[:limit]
    following = cursors.encode(order, cursor_of(view, order, rows[-1])) if has_more else None
    extra = [name for name in wanted if name not in columns]
    if extra:
        rows = [{name: row[name] for name in columns} for row in rows]
    return rows, following
