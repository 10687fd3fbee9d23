"""This module keeps the generations of the read model in PostgreSQL: which there are, which one people read, how one replaces it.

``backtape_control.generations`` has a row for each. A generation that is fed is read from the log by projectors; the views in
schema ``backtape`` show the one that is live::

    building -> standby -> live <-> kept -> dropping -> (gone)

A swap replaces all views and the two states in one transaction. It waits for readers at most LOCK_TIMEOUT_MS at a time: queries
that begin meanwhile queue behind it, and PostgreSQL would break a deadlock with one of them only after a second (its default), so
that it is always the swap that gives up and tries again. It takes ``backtests`` first, as most readers do. A reader's transaction
that has looked at one view holds the swap back: it never sees two generations.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from adapters.errors import ConfigurationError, RetryableError
from adapters.ports import TopicPartition
from adapters.postgres_session import CONNECT_SECONDS, mapped, quoted
from schemas.generations import Generation, parse_generation

MIGRATOR_ROLE = "backtape_migrator"
REBUILD_LOCK = 7_240_114_903  # advisory: one rebuild at a time in a database
LOCK_TIMEOUT_MS = 800  # less than PostgreSQL's deadlock_timeout
FIRST_PATIENCE_MS = 40.0
PAUSE_SECONDS = 0.02  # between two attempts: readers go on

FED = ("standby", "live", "kept")

Turn = Callable[[asyncpg.Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class GenerationState:
    """One generation, and what it is there for."""

    generation: Generation
    state: str  # building, standby, live, kept or dropping
    changed_at: datetime


class Generations:
    """The control table, and the statements that make, swap and drop generations. Statements come from projections/."""

    def __init__(self, database_url: str, *, migrates: bool = False) -> None:
        """migrates: act as the migrator, who owns the schemas; otherwise only look."""
        self._url = database_url
        self._migrates = migrates

    async def all(self) -> list[GenerationState]:
        """Return every generation, the oldest first. Raises ConfigurationError for a database that is not upgraded."""
        async with self.connection() as connection:
            rows = await mapped(connection.fetch("SELECT name, state, changed_at FROM backtape_control.generations"))
        found = [GenerationState(parse_generation(row["name"]), row["state"], row["changed_at"]) for row in rows]
        return sorted(found, key=lambda each: each.generation)

    async def fed(self, version: int) -> list[Generation]:
        """Return the generations of a version that projectors feed."""
        return [each.generation for each in await self.all() if each.generation.version == version and each.state in FED]

    async def live(self) -> Generation:
        """Return the generation that the views show."""
        found = [each.generation for each in await self.all() if each.state == "live"]
        if not found:
            raise ConfigurationError("no generation of the read model is live: run `backtape db upgrade`")
        return found[0]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection of its own, without a limit for statements: an index may take an hour."""
        settings = {"application_name": "backtape rebuild", "timezone": "UTC"}
        connection = await mapped(asyncpg.connect(self._url, timeout=CONNECT_SECONDS, server_settings=settings))
        try:
            if self._migrates:
                await mapped(connection.execute(f"SET ROLE {MIGRATOR_ROLE}"))
            yield connection
        finally:
            connection.terminate()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Keep other rebuilds away. Raises ConfigurationError while one is under way; the lock dies with its holder."""
        async with self.connection() as connection:
            if not await mapped(connection.fetchval("SELECT pg_try_advisory_lock($1)", REBUILD_LOCK)):
                raise ConfigurationError("another `backtape rebuild` is at work on this database")
            yield

    async def create(self, generation: Generation, statements: Sequence[str]) -> None:
        """Make a generation's schema, by the statements, in one transaction. One that is there already is made anew."""
        async with self.connection() as connection, connection.transaction():
            await mapped(connection.execute(f"DROP SCHEMA IF EXISTS {generation.schema} CASCADE"))
            await mapped(connection.execute(";\n".join(statements)))  # one round trip
            await mapped(connection.execute(_PUT, generation.name, "building"))

    async def execute(self, statements: Sequence[str]) -> None:
        """Run statements, each in a transaction of its own."""
        async with self.connection() as connection:
            await mapped(connection.execute("SET maintenance_work_mem = '256MB'"))
            for statement in statements:
                await mapped(connection.execute(statement))

    async def put(self, generation: Generation, state: str) -> None:
        async with self.connection() as connection:
            await mapped(connection.execute(_PUT, generation.name, state))

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return list(await mapped(connection.fetch(sql, *arguments)))

    async def swap(self, target: Generation, statements: Sequence[str], *, budget_seconds: float) -> float:
        """Let the views show another generation, in one transaction; return the seconds that its locks were held.

        statements : make the views (all of them; those that are there are dropped before)
        Raises RetryableError when readers held a view for longer than the budget.
        """

        async def turn(connection: asyncpg.Connection) -> None:
            states = {row["name"]: row["state"] for row in await connection.fetch(f"{_STATES} FOR UPDATE")}
            if states.get(target.name) not in ("standby", "kept"):
                raise ConfigurationError(
                    f"generation {target} is {states.get(target.name, 'not there')}: only one that is fed can go live"
                )
            await connection.execute(_KEEP_THE_LIVE_ONE)
            await connection.execute(_PUT, target.name, "live")

        return await self._patiently(turn, statements, budget_seconds)

    async def replace_table(
        self,
        table: str,
        *,
        live: Generation,
        made: Generation,
        meet: Callable[[dict[TopicPartition, int]], Awaitable[None]],
        statements: Sequence[str],
        budget_seconds: float,
    ) -> float:
        """Put a table of another generation in the place of the live one's, in one transaction, as ``swap`` does.

        meet : called with where the live tables are, which stand still meanwhile: bring the other table there
        """

        async def turn(connection: asyncpg.Connection) -> None:
            states = {row["name"]: row["state"] for row in await connection.fetch(f"{_STATES} FOR UPDATE")}
            if states.get(live.name) != "live":
                raise ConfigurationError(f"generation {live} is not live any more")
            # Receipts before events, as projectors do that delete rows. Every batch that is under way ends first.
            rows = await connection.fetch(
                f"SELECT topic, partition, next_offset FROM {live.schema}.projection_state"
                " ORDER BY topic DESC, partition FOR UPDATE"
            )
            await meet({TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows})

        moved = [f"DROP TABLE {live.schema}.{table}", f"ALTER TABLE {made.schema}.{table} SET SCHEMA {live.schema}"]
        return await self._patiently(turn, [*moved, *statements], budget_seconds)

    async def _patiently(self, turn: Turn, statements: Sequence[str], budget_seconds: float) -> float:
        ends = time.monotonic() + budget_seconds
        patience_ms = FIRST_PATIENCE_MS
        while True:
            try:
                return await self._try_swap(turn, statements, int(patience_ms))
            except _LockedError as error:
                if time.monotonic() > ends:
                    raise RetryableError(
                        f"readers held the views for more than {budget_seconds:.0f} s: {error}; nothing was changed"
                    ) from error
            await asyncio.sleep(PAUSE_SECONDS)
            patience_ms = min(1.5 * patience_ms, LOCK_TIMEOUT_MS)

    async def _try_swap(self, turn: Turn, statements: Sequence[str], patience_ms: int) -> float:
        """Swap once. Raises _LockedError when a view is not to be had in time.

        turn : what is to be done in the transaction before the views go
        patience_ms : for the views after the first. While we hold one, a reader that has another and wants ours waits for us
        """
        async with self.connection() as connection:
            try:
                async with connection.transaction():
                    await turn(connection)
                    first, *others = [quoted(row["relname"]) for row in await connection.fetch(_VIEWS)]
                    await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; DROP VIEW backtape.{first}")
                    began = time.monotonic()
                    drops = [f"DROP VIEW backtape.{name}" for name in others]
                    # In one round trip: every reader waits by now.
                    await connection.execute(";\n".join([f"SET LOCAL lock_timeout = {patience_ms}", *drops, *statements]))
                return time.monotonic() - began
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
                raise _LockedError(str(error)) from error
            except asyncpg.DependentObjectsStillExistError as error:
                raise ConfigurationError(f"somebody's views depend on ours, drop them first: {error.detail}") from error
            except asyncpg.PostgresError as error:
                raise ConfigurationError(f"postgres {error.sqlstate}: {error}") from error

    async def drop(self, generation: Generation) -> None:
        """Remove a generation that is not live, with all its rows."""
        async with self.connection() as connection, connection.transaction():
            await mapped(connection.execute(f"DROP SCHEMA IF EXISTS {generation.schema} CASCADE"))
            await mapped(
                connection.execute(
                    "DELETE FROM backtape_control.generations WHERE name = $1 AND state <> 'live'", generation.name
                )
            )


class _LockedError(Exception):
    """A lock was not to be had in time."""


_KEEP_THE_LIVE_ONE = "UPDATE backtape_control.generations SET state = 'kept', changed_at = now() WHERE state = 'live'"
_STATES = "SELECT name, state FROM backtape_control.generations"
_PUT = (
    "INSERT INTO backtape_control.generations (name, state, changed_at) VALUES ($1, $2, now())"
    " ON CONFLICT (name) DO UPDATE SET state = EXCLUDED.state, changed_at = EXCLUDED.changed_at"
)
_VIEWS = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'backtape'::regnamespace AND relkind = 'v'"
    " ORDER BY relname <> 'backtests', oid"
)
