"""This module answers queries over the read model's views in PostgreSQL. It never writes."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import asyncpg

from adapters.postgres_session import CONNECT_SECONDS, STATEMENT_SECONDS, as_role, mapped, nothing_to_reset


class PostgresReader:
    """The SqlReader port: queries over the views, in read-only transactions.

    A NUL in an argument becomes U+FFFD, as it did in the rows (adapters/copy_rows.py): PostgreSQL takes none.
    """

    def __init__(self, database_url: str, *, connections: int = 2, role: str | None = None) -> None:
        self._url = database_url
        self._limit = connections
        self._settings = as_role(role, {"default_transaction_read_only": "on", "timezone": "UTC"})
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def fetch(self, sql: str, arguments: Sequence[object] = ()) -> list[dict[str, Any]]:
        pool = self._pool or await self._open()
        rows = await mapped(pool.fetch(sql, *(_without_nul(each) for each in arguments)))
        names = tuple(rows[0].keys()) if rows else ()  # once: dict(row) would look every value up by its name
        return [dict(zip(names, row.values(), strict=True)) for row in rows]

    async def _open(self) -> asyncpg.Pool:
        """Make the pool, once: of the first questions several may come at the same time."""
        async with self._opening:
            if self._pool is None:
                self._pool = await mapped(
                    asyncpg.create_pool(
                        self._url, min_size=0, max_size=self._limit, command_timeout=STATEMENT_SECONDS, timeout=CONNECT_SECONDS,
                        init=_decode_json, reset=nothing_to_reset, server_settings=self._settings,
                    )
                )  # fmt: skip
            assert self._pool is not None, "create_pool returns a pool"
            return self._pool

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()


def _without_nul(argument: object) -> object:
    if isinstance(argument, list):
        return [_without_nul(each) for each in argument]
    return argument.replace("\0", "\ufffd") if isinstance(argument, str) else argument


async def _decode_json(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
