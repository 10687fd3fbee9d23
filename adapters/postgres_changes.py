"""This module listens to what the projector announces: PostgreSQL's NOTIFY, sent in the transactions that write the rows.

A notification arrives after its transaction's commit, so that whoever is told finds the rows. It is not kept for who is away:
hence ``everything`` on each new connection.
"""

import asyncpg

from adapters.changes import Gathered, changed_of
from adapters.ports import Changed
from adapters.postgres_session import CONNECT_SECONDS, mapped

CHANNEL = "backtape_changes"


class PostgresChanges:
    """The Changes port, on a connection of its own."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._connection: asyncpg.Connection | None = None
        self._gathered = Gathered()

    async def wait(self, seconds: float) -> Changed:
        if self._connection is None or self._connection.is_closed():
            await self._listen()
        return await self._gathered.take(seconds)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    async def _listen(self) -> None:
        made = await mapped(asyncpg.connect(self._url, timeout=CONNECT_SECONDS))
        made.add_termination_listener(self._ended)
        await mapped(made.add_listener(CHANNEL, self._told))
        self._connection = made
        self._gathered.add(Changed(everything=True))  # what changed before, nobody has told us

    def _told(self, connection: object, process: int, channel: str, payload: object) -> None:
        self._gathered.add(changed_of(str(payload)))

    def _ended(self, connection: object) -> None:
        self._gathered.add(Changed(everything=True))
