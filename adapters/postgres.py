"""This module keeps the read model in PostgreSQL, over asyncpg: rows and positions in one transaction.

How a batch is written, and why it is exactly once:

1. The first statement moves the source's row in ``projection_state`` from the position that the writer knows. If it matches no
   row, somebody else has moved it and nothing else happens. This is the fence.
2. New rows go by binary COPY straight into their tables. That is safe because of the fence: a batch is never written twice.
3. Changed rows go by binary COPY into a temporary table, and from there in one UPDATE.

What a batch removes (the rows of a deleted backtest) other sources may be adding to at this moment. So it first takes their rows
in ``projection_state``: their batch is then over, and their next one waits. That one finds the backtest in ``deleted_backtests``
right before its commit, and is refused.

Transactions are committed without waiting for the disk (``synchronous_commit = off``): a crash of the server may take the
last half second back, but rows and positions together, and the log still has what is missing.
"""

from collections.abc import Sequence
from typing import Any

from adapters.changes import payload_of
from adapters.errors import DeletedError, FatalError, FencedError, RetryableError
from adapters.ports import NO_EFFECTS, Advance, Effects, LogEnd, SourcePosition, TableWrite, TopicPartition
from adapters.postgres_changes import CHANNEL
from adapters.postgres_session import Session, Sessions, quoted


class PostgresRowStore:
    """The RowStore port on one schema of one database."""

    def __init__(self, database_url: str, schema: str, *, connections: int = 3, role: str | None = None) -> None:
        self._schema = schema
        self._sessions = Sessions(database_url, connections, role)

    async def open(self, source: TopicPartition, start: int) -> SourcePosition:
        async with self._sessions.lease() as session:
            await session.execute(
                f"INSERT INTO {self._schema}.projection_state (topic, partition, next_offset, updated_at)"
                " VALUES ($1, $2, $3, now()) ON CONFLICT DO NOTHING",
                source.topic, source.partition, start,
            )  # fmt: skip
        position = await self.position(source)
        assert position is not None, "it was just put there, and nobody removes it"
        return position

    async def position(self, source: TopicPartition) -> SourcePosition | None:
        async with self._sessions.lease() as session:
            rows = await session.fetch(
                f"SELECT log_id, next_offset FROM {self._schema}.projection_state WHERE topic = $1 AND partition = $2",
                source.topic,
                source.partition,
            )
        return SourcePosition(source, rows[0]["log_id"], rows[0]["next_offset"]) if rows else None

    async def write(self, advances: Sequence[Advance], writes: Sequence[TableWrite], effects: Effects = NO_EFFECTS) -> None:
        async with self._sessions.lease() as session:
            await session.execute("BEGIN")
            try:
                for advance in advances:
                    await self._move(session, advance)
                for source in effects.held:
                    await self._hold(session, source)
                for write in writes:
                    await self._write(session, write)
                if effects.alive or effects.changed:
                    await self._announce(session, effects)
            except (FencedError, DeletedError):
                await session.execute("ROLLBACK")
                raise
            # Only now may the server have done it without our knowing.
            await session.execute("COMMIT", is_decisive=True)

    async def read(
        self, table: str, columns: Sequence[str], *, where: str, values: Sequence[str], only: str | None = None
    ) -> list[tuple[Any, ...]]:
        names = ", ".join(quoted(name) for name in columns)
        extra = f" AND {quoted(only)}" if only else ""
        sql = f"SELECT {names} FROM {self._schema}.{table} WHERE {quoted(where)} = ANY($1) {extra}"
        async with self._sessions.lease() as session:
            keys = await session.key_of(self._schema, table)
            rows = await session.fetch(f"{sql} ORDER BY {', '.join(quoted(key) for key in keys)}", list(values))
        return [tuple(row) for row in rows]

    async def observe(self, ends: Sequence[LogEnd]) -> None:
        async with self._sessions.lease() as session:
            await session.execute(
                f"INSERT INTO {self._schema}.log_ends AS e (topic, partition, log_end, oldest_unread_at, observed_at)"
                " SELECT topic, partition, log_end, to_timestamp(oldest / 1000.0), to_timestamp(observed / 1000.0)"
                " FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[])"
                " AS seen (topic, partition, log_end, oldest, observed)"
                " ON CONFLICT (topic, partition) DO UPDATE SET log_end = EXCLUDED.log_end,"
                " oldest_unread_at = EXCLUDED.oldest_unread_at, observed_at = EXCLUDED.observed_at"
                " WHERE e.observed_at <= EXCLUDED.observed_at",
                [each.source.topic for each in ends], [each.source.partition for each in ends], [each.end for each in ends],
                [each.oldest_unread_ms for each in ends], [each.observed_ms for each in ends],
            )  # fmt: skip

    async def close(self) -> None:
        await self._sessions.close()

    async def _move(self, session: Session, advance: Advance) -> None:
        """Fence: move the source from where we know it, or raise FencedError."""
        before = advance.before
        tag = await session.execute(
            f"UPDATE {self._schema}.projection_state"
            " SET next_offset = $1, log_id = $2, recorded_at = to_timestamp($3::bigint / 1000.0), updated_at = clock_timestamp()"
            " WHERE topic = $4 AND partition = $5 AND next_offset = $6 AND log_id IS NOT DISTINCT FROM $7",
            advance.next_offset, advance.log_id, advance.recorded_ms,
            before.source.topic, before.source.partition, before.next_offset, before.log_id,
        )  # fmt: skip
        if tag != "UPDATE 1":
            raise FencedError(
                f"{before.source.topic}/{before.source.partition} is not at offset {before.next_offset} of log {before.log_id}:"
                " another projector has moved it, or a crash of the database took it back"
            )

    async def _hold(self, session: Session, source: TopicPartition) -> None:
        """Wait until nothing of the source is under way, and let nothing begin before this transaction's end."""
        rows = await session.fetch(
            f"SELECT FROM {self._schema}.projection_state WHERE topic = $1 AND partition = $2 FOR UPDATE",
            source.topic,
            source.partition,
        )
        if not rows:
            raise RetryableError(f"{source.topic}/{source.partition} was not opened yet: what it adds could not be told to wait")

    async def _announce(self, session: Session, effects: Effects) -> None:
        """Tell who listens, at the commit. Raises DeletedError when a backtest that the batch adds to is gone."""
        [row] = await session.fetch(
            f"SELECT pg_notify($1, $2), ARRAY(SELECT backtest_id FROM {self._schema}.deleted_backtests"
            " WHERE backtest_id = ANY($3::text[])) AS deleted",
            CHANNEL,
            payload_of(effects.changed),
            sorted(effects.alive),
        )
        if row["deleted"]:
            raise DeletedError(f"backtests {', '.join(row['deleted'][:3])} were deleted while this batch was made")

    async def _write(self, session: Session, write: TableWrite) -> None:
        from adapters.copy_rows import encode_copy  # here: it brings numba, 60 MB that who only reads does not need

        names = write.names
        if write.kind == "insert":
            await session.copy(self._schema, write.table, names, encode_copy(write))
            return
        staging = await session.staging(self._schema, write.table, names)
        await session.copy(None, staging, names, encode_copy(write))
        key = [quoted(name) for name in write.key]
        rest = [quoted(name) for name in names if name not in write.key]
        if write.kind == "update":
            tag = await session.execute(
                f"UPDATE {self._schema}.{write.table} AS t SET {', '.join(f'{name} = s.{name}' for name in rest)}"
                f" FROM {staging} AS s WHERE {' AND '.join(f't.{name} = s.{name}' for name in key)}"
            )
            if tag != f"UPDATE {write.count}":
                raise FatalError(f"{write.table}: {write.count} rows change, but {tag.removeprefix('UPDATE ')} are there")
        elif write.kind == "delete":
            await session.execute(
                f"DELETE FROM {self._schema}.{write.table} AS t USING {staging} AS s"
                f" WHERE {' AND '.join(f't.{name} = s.{name}' for name in key)}"
            )
        else:
            columns = ", ".join(quoted(name) for name in names)
            await session.execute(
                f"INSERT INTO {self._schema}.{write.table} ({columns}) SELECT {columns} FROM {staging}"
                f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in rest)}"
            )
