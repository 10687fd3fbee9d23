"""Which sorts of the list are refused."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from projections.queries import INDEXED_SORTS, SORTS, BacktestFilter, Query
from web.problems import ProblemError
from web.services import Services
from web.sorting import SORTED_ROWS, check_sortable


def check(column: str | None, *, total: int, matching: int) -> list[Query]:
    """Check a sort where so many backtests are there, and match; return what the database was asked for."""
    asked: list[Query] = []

    async def ask(query: Query) -> list[dict[str, Any]]:
        asked.append(query)
        return [{"count": min(matching, SORTED_ROWS + 1)}]

    async def of(_: str | None) -> dict[str, int]:
        return {"total": total}

    services = cast(Services, SimpleNamespace(ask=ask, counts=SimpleNamespace(of=of)))
    asyncio.run(check_sortable(services, BacktestFilter(), column))
    return asked


@pytest.mark.parametrize("column", sorted(set(SORTS) - set(INDEXED_SORTS)))
def test_very_many_are_not_sorted_without_an_index(column: str) -> None:
    """Refused by name, with what can be done; of fewer, or of few that match, it is sorted."""
    with pytest.raises(ProblemError) as refused:
        check(column, total=SORTED_ROWS + 1, matching=SORTED_ROWS + 1)
    assert refused.value.status == 422 and refused.value.errors[0].path == "query.sort"
    assert "a filter" in refused.value.detail and "sharpe" in refused.value.detail
    assert len(check(column, total=SORTED_ROWS + 1, matching=SORTED_ROWS)) == 1
    assert check(column, total=SORTED_ROWS, matching=SORTED_ROWS) == []


@pytest.mark.parametrize("column", [None, *INDEXED_SORTS])
def test_what_has_an_index_is_sorted(column: str | None) -> None:
    """However many there are, and nothing is counted for it."""
    assert check(column, total=10**6, matching=10**6) == []
