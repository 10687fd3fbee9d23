"""This module holds the connections to the control tables."""

import asyncio

import asyncpg

from adapters.postgres_session import CONNECT_SECONDS, STATEMENT_SECONDS, mapped, nothing_to_reset


class ControlPool:
    """A few connections, made when they are needed."""

    def __init__(self, database_url: str, *, connections: int = 4) -> None:
        self.url = database_url
        self._limit = connections
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Return the rows of a statement. Raises the errors of adapters/errors.py."""
        async with self._opening:
            if self._pool is None:
                self._pool = await mapped(
                    asyncpg.create_pool(
                        self.url, min_size=0, max_size=self._limit, command_timeout=STATEMENT_SECONDS, timeout=CONNECT_SECONDS,
                        reset=nothing_to_reset,
                        server_settings={"application_name": "backtape control", "timezone": "UTC"},
                    )
                )  # fmt: skip
        assert self._pool is not None, "create_pool returns a pool"
        rows: list[asyncpg.Record] = await mapped(self._pool.fetch(sql, *arguments))
        return rows

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
