"""This module holds connections to PostgreSQL, and turns what goes wrong on them into the errors of adapters/errors.py."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

from adapters.errors import ConfigurationError, DeletedError, FatalError, FencedError, OutcomeUnknownError, RetryableError

T = TypeVar("T")

CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 60.0  # a server that is frozen, not dead, must not hold a partition for ever

# The planner knows nothing about the temporary tables and would, on a bad day, scan a table of a hundred million rows to
# update ten. All our statements go by the primary key.
_SETTINGS = {
    "application_name": "backtape",
    "synchronous_commit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "timezone": "UTC",
}

# What the server answers while it stops, starts, is short of something or breaks a deadlock (SQLSTATE classes).
_PASSING_CLASSES = ("08", "40", "53", "57", "58")
_INVALID_VALUE = "22023"  # also what a connection says that is to take on a role that is not there
_MISSING = ("3F000", "42P01", "42703")  # schema, table, column


class Session:
    """One connection, with the temporary tables that it has."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._staging: dict[tuple[str, ...], str] = {}
        self._keys: dict[str, list[str]] = {}

    @property
    def is_closed(self) -> bool:
        return bool(self._connection.is_closed())

    async def execute(self, sql: str, *arguments: object, is_decisive: bool = False) -> str:
        return str(await mapped(self._connection.execute(sql, *arguments), is_decisive=is_decisive))

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        return await mapped(self._connection.fetch(sql, *arguments))

    async def copy(self, schema: str | None, table: str, names: Sequence[str], parts: Iterable[memoryview]) -> None:
        """Copy rows, in the binary format of COPY, into a table; without a schema it is a temporary one."""

        async def chunks() -> AsyncIterator[memoryview]:
            # Each is copied for the socket, and the next waits until the server has taken it.
            for part in parts:
                yield part

        await mapped(
            self._connection.copy_to_table(
                table, source=chunks(), columns=names, schema_name=schema, format="binary", timeout=STATEMENT_SECONDS
            )
        )

    async def staging(self, schema: str, table: str, names: Sequence[str]) -> str:
        """Return a temporary table with these columns of a table. It is empty at each transaction's start."""
        signature = (schema, table, *names)
        name = self._staging.get(signature)
        if name is None:
            name = f"staging_{table}_{len(self._staging)}"
            columns = ", ".join(quoted(column) for column in names)
            await self.execute(
                f"CREATE TEMP TABLE {name} ON COMMIT DELETE ROWS AS SELECT {columns} FROM {schema}.{table} WITH NO DATA"
            )
            self._staging[signature] = name
        return name

    async def key_of(self, schema: str, table: str) -> list[str]:
        known = self._keys.get(table)
        if known is None:
            rows = await self.fetch(
                "SELECT a.attname FROM pg_index AS i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, place)"
                " JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number"
                " WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY k.place",
                f"{schema}.{table}",
            )
            known = self._keys[table] = [row["attname"] for row in rows]
        return known

    def drop(self) -> None:
        """Close at once. A transaction that is open ends without effect."""
        self._connection.terminate()


class Sessions:
    """A few connections, made when they are needed. One that saw an error is not used again."""

    def __init__(self, database_url: str, limit: int, role: str | None = None) -> None:
        self._url = database_url
        self._settings = as_role(role, _SETTINGS)
        self._free = asyncio.Semaphore(limit)
        self._idle: deque[Session] = deque()

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Session]:
        async with self._free:
            session = await self._take()
            try:
                yield session
            except (FencedError, DeletedError):
                self._idle.append(session)  # rolled back: as good as new
                raise
            except BaseException:
                session.drop()
                raise
            self._idle.append(session)

    async def _take(self) -> Session:
        while self._idle:
            session = self._idle.pop()
            if not session.is_closed:
                return session
        # The temporary tables of a rolled back transaction would be gone, but not from our memory: hence `drop` on errors.
        return Session(
            await mapped(
                asyncpg.connect(
                    self._url, timeout=CONNECT_SECONDS, command_timeout=STATEMENT_SECONDS, server_settings=self._settings
                )
            )
        )

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().drop()


def as_role(role: str | None, settings: dict[str, str]) -> dict[str, str]:
    """Return a connection's settings, with the role that it takes on from its start; its login must be a member of it."""
    return settings if role is None else {**settings, "role": role}


async def nothing_to_reset(_: asyncpg.Connection) -> None:
    """Do nothing when a connection goes back to its pool.

    asyncpg would ask the server to reset the session: a second round trip for each query, where no query changes the session.
    """


async def mapped(answer: Awaitable[T], *, is_decisive: bool = False) -> T:
    """Await the database's answer; raise its errors as those of adapters/errors.py.

    is_decisive : it may have taken effect although no answer came
    """
    lost = OutcomeUnknownError if is_decisive else RetryableError
    try:
        return await answer
    except asyncpg.PostgresError as error:
        code = str(error.sqlstate)
        if code in _MISSING or (code == _INVALID_VALUE and str(error).startswith("role ")):
            raise ConfigurationError(f"the database lacks what this version needs, run `backtape db upgrade`: {error}") from error
        if code[:2] in _PASSING_CLASSES:
            raise lost(f"postgres {code}: {error}") from error
        raise FatalError(f"postgres {code}: {error}") from error
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError) as error:
        raise lost(f"postgres does not answer: {type(error).__name__}: {error}") from error


def quoted(name: str) -> str:
    return f'"{name}"'
