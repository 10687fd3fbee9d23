"""This module asks the read model what the command line and the demo show."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from adapters.postgres_changes import PostgresChanges
from adapters.postgres_reader import PostgresReader
from projections import queries
from projections.queries import MAX_PAGE, After, BacktestFilter, Query
from schemas.run_state import RunStatus

LOOK_SECONDS = 2.0  # between two looks where nothing is announced


async def looks(database_url: str, backtest_id: str) -> AsyncGenerator[None]:
    """Say when to look at a backtest: now, whenever the projector announces a change of it, and every few seconds besides."""
    changes = PostgresChanges(database_url)
    try:
        while True:
            found = await changes.wait(LOOK_SECONDS)
            if found.everything or backtest_id in found.ids or not found:
                yield
    finally:
        await changes.close()


class ReadModel:
    """Queries over the read model's views. Use as an async context manager."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._reader = PostgresReader(database_url)

    async def __aenter__(self) -> "ReadModel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reader.close()

    async def ask(self, query: Query) -> list[dict[str, Any]]:
        """Return the rows of one of projections/queries.py."""
        return await self._reader.fetch(query.sql, query.arguments)

    async def backtest(self, backtest_id: str) -> dict[str, Any] | None:
        rows = await self.ask(queries.backtest(backtest_id))
        return rows[0] if rows else None

    async def wait_for_end(self, backtest_id: str, *, tell: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
        """Return a backtest's row once it has ended, however long that takes.

        tell : called with the row each time that it has changed
        """
        before: dict[str, Any] | None = None
        async with aclosing(looks(self._url, backtest_id)) as moments:
            async for _ in moments:
                row = await self.backtest(backtest_id)
                if row is not None and row != before and tell is not None:
                    tell(row)
                if row is not None and RunStatus(row["status"]).is_finished:
                    return row
                before = row
        raise AssertionError("looking ends with what was looked for")

    async def backtests(self, wanted: BacktestFilter | None = None, *, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest backtests that the filter leaves, the newest first."""
        rows: list[dict[str, Any]] = []
        after: After | None = None
        while len(rows) < limit:
            size = min(limit - len(rows), MAX_PAGE)
            page = await self.ask(queries.backtest_page(wanted, after=after, limit=size))
            rows += page
            if len(page) < size:
                break
            after = After(page[-1]["accepted_at"], (page[-1]["backtest_id"],))
        return rows

    async def named(self, backtest_ids: Sequence[str]) -> list[dict[str, Any]]:
        return await self.ask(queries.named_backtests(backtest_ids))

    async def totals(self) -> dict[str, Any]:
        (row,) = await self.ask(queries.totals())
        return row

    async def commands(self, backtest_id: str) -> list[dict[str, Any]]:
        return await self.ask(queries.commands(backtest_id=backtest_id))

    async def dead_letters(self, *, limit: int = 100) -> list[dict[str, Any]]:
        return await self.ask(queries.dead_letters(limit=limit))
