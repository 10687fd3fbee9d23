"""This module keeps the audits that were asked for from the web: of each backtest the last one, and which of them wait."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from adapters.control.pool import ControlPool
from adapters.postgres_session import CONNECT_SECONDS, STATEMENT_SECONDS, mapped

LOCK = 0x6261636B  # of the one process that runs audits; any number that nobody else takes in this database


class AuditBook:
    """The last audit of each backtest."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool

    async def last(self, backtest_id: str) -> dict[str, Any] | None:
        """Return the last audit of a backtest."""
        rows = await self._pool.fetch(f"SELECT {_AUDIT} FROM backtape_control.audits WHERE backtest_id = $1", backtest_id)
        return _audit(rows[0]) if rows else None

    async def request(self, backtest_id: str, requested_by: str) -> dict[str, Any]:
        """Queue an audit, unless one of this backtest waits or runs, and return it."""
        await self._pool.fetch(
            "INSERT INTO backtape_control.audits AS a (backtest_id, requested_by, state) VALUES ($1, $2, 'queued')"
            " ON CONFLICT (backtest_id) DO UPDATE SET requested_by = $2, state = 'queued', requested_at = now(),"
            " started_at = NULL, finished_at = NULL, verdict = NULL, findings = '[]', detail = ''"
            " WHERE a.state NOT IN ('queued', 'running')",
            backtest_id, requested_by,
        )  # fmt: skip
        found = await self.last(backtest_id)
        assert found is not None, "it was just put there, and nobody removes it"
        return found

    async def take_next(self) -> str | None:
        """Take the oldest audit that waits, and return its backtest."""
        rows = await self._pool.fetch(
            "UPDATE backtape_control.audits SET state = 'running', started_at = now() WHERE backtest_id = (SELECT backtest_id"
            " FROM backtape_control.audits WHERE state = 'queued' ORDER BY requested_at, backtest_id LIMIT 1)"
            " RETURNING backtest_id"
        )
        return str(rows[0]["backtest_id"]) if rows else None

    async def finish(
        self, backtest_id: str, *, state: str, verdict: str | None, findings: list[dict[str, Any]], detail: str
    ) -> None:
        await self._pool.fetch(
            "UPDATE backtape_control.audits SET state = $2, verdict = $3, findings = $4::jsonb, detail = $5, finished_at = now()"
            " WHERE backtest_id = $1",
            backtest_id, state, verdict, json.dumps(findings), detail,
        )  # fmt: skip

    async def count_open(self) -> int:
        """Return how many audits wait or run."""
        rows = await self._pool.fetch(
            "SELECT count(*) AS count FROM backtape_control.audits WHERE state IN ('queued', 'running')"
        )
        return int(rows[0]["count"])

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[bool]:
        """Be the one process that runs audits, or not (False), inside the block. Audits that a dead one ran wait again."""
        connection = await mapped(asyncpg.connect(self._pool.url, timeout=CONNECT_SECONDS, command_timeout=STATEMENT_SECONDS))
        try:
            is_leader = bool(await mapped(connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK)))
            if is_leader:
                await mapped(connection.execute("UPDATE backtape_control.audits SET state = 'queued' WHERE state = 'running'"))
            yield is_leader
        finally:
            connection.terminate()


_AUDIT = "backtest_id, state, verdict, findings, detail, requested_by, requested_at, started_at, finished_at"


def _audit(row: asyncpg.Record) -> dict[str, Any]:
    return {**dict(row), "findings": json.loads(row["findings"])}
