"""This module answers pages of a view, and whole tables page by page."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pyarrow as pa

from projections.queries import MAX_PAGE, After, Query
from web import cursors
from web.problems import invalid_field
from web.services import Services

Ask = Callable[[After | None, int], Query]


def sort_of(sort: str | None, allowed: Sequence[str]) -> tuple[str | None, bool]:
    """Read a sort such as ``sharpe`` or ``-sharpe``: the column, and whether it is descending.

    Raises ProblemError for a column that one can't sort by.
    """
    if sort is None:
        return None, False
    name = sort.removeprefix("-")
    if name not in allowed:
        raise invalid_field("query.sort", sort, f"one of {', '.join(allowed)}, with - before it for descending")
    return name, sort.startswith("-")


async def page_of(
    services: Services, ask: Ask, *, view: str, columns: Sequence[str], sort: str | None, keys: Sequence[str],
    after: str | None, limit: int,
) -> dict[str, Any]:  # fmt: skip
    """Return a page: rows, and the word that asks for the next ones.

    ask : makes the query of the page behind a row
    """
    place = None if after is None else cursors.decode(after, view, sort, keys)
    rows = await services.ask(ask(place, min(limit + 1, MAX_PAGE)))
    has_more = len(rows) > limit or (limit >= MAX_PAGE and len(rows) == MAX_PAGE)
    rows = rows[:limit]
    following = cursors.encode(sort, keys, rows[-1]) if has_more else None
    # Taking out the few that are not shown is quicker than copying the many that are.
    hidden = rows[0].keys() - set(columns) if rows else ()
    for row in rows:
        for name in hidden:
            del row[name]
    return {"items": rows, "next_cursor": following}


async def batches_of(
    services: Services, ask: Ask, *, sort: str | None, keys: Sequence[str], schema: pa.Schema
) -> AsyncIterator[pa.RecordBatch]:
    """Yield all rows of a table, page by page, as columns of this schema."""
    place: After | None = None
    while True:
        rows = await services.ask(ask(place, MAX_PAGE))
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema)
        if len(rows) < MAX_PAGE:
            return
        last = rows[-1]
        place = After(last[sort] if sort else None, tuple(last[name] for name in keys))
