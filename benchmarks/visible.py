"""This module notes when a row can be seen by another session, without a query that asks for it all the time.

It waits as the dashboard does, for the notification that the projector sends with its transaction, and then asks once whether the
row is there: what is timed ends with that query's answer. A query every half millisecond took a core from what it timed.
"""

import time

import asyncpg

from adapters.postgres_changes import PostgresChanges


class Watch:
    """One pair of connections: one is told, the other asks."""

    def __init__(self, connection: asyncpg.Connection, database_url: str) -> None:
        self._connection = connection
        self._changes = PostgresChanges(database_url)

    async def begin(self) -> None:
        """Listen from now on."""
        while await self._changes.wait(0.0):
            pass

    async def until(self, sql: str, backtest_id: str, *, seconds: float) -> None:
        """Return when the query finds something for the backtest. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while await self._connection.fetchval(sql, backtest_id) is None:
            await self._told_of(backtest_id, deadline)

    async def _told_of(self, backtest_id: str, deadline: float) -> None:
        while (left := deadline - time.monotonic()) > 0:
            changed = await self._changes.wait(left)
            if changed.everything or backtest_id in changed.ids:
                return
        raise TimeoutError(f"nobody was told of {backtest_id} in time")

    async def close(self) -> None:
        await self._changes.close()
