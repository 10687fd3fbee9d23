"""This module keeps which commands the web service sent to run a backtest: a repeat under an Idempotency-Key finds the first."""

from datetime import datetime
from typing import Any

from adapters.control.pool import ControlPool

KEPT_DAYS = 30  # so long an Idempotency-Key is remembered


class Submissions:
    """What was sent, or is about to be."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool

    async def plan(
        self, *, key_id: str, idempotency_key: str | None, request_digest: str, submitter: str, backtest_id: str, command_id: str,
        issued_at: str,
    ) -> dict[str, Any]:  # fmt: skip
        """Write down what is to be sent, and return it; or what was written down for this Idempotency-Key before."""
        await self._pool.fetch(
            "INSERT INTO backtape_control.submissions"
            " (command_id, key_id, idempotency_key, request_digest, submitter, backtest_id, issued_at_text, issued_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (key_id, idempotency_key) DO NOTHING",
            command_id, key_id, idempotency_key, request_digest, submitter, backtest_id, issued_at,
            datetime.fromisoformat(issued_at),
        )  # fmt: skip
        if idempotency_key is None:
            rows = await self._pool.fetch("SELECT * FROM backtape_control.submissions WHERE command_id = $1", command_id)
        else:
            rows = await self._pool.fetch(
                "SELECT * FROM backtape_control.submissions WHERE key_id = $1 AND idempotency_key = $2", key_id, idempotency_key
            )
        return dict(rows[0])

    async def acknowledge(self, command_id: str, *, partition: int, offset: int) -> None:
        """Write down that Kafka has the command."""
        await self._pool.fetch(
            "UPDATE backtape_control.submissions SET log_partition = $2, log_offset = $3 WHERE command_id = $1",
            command_id, partition, offset,
        )  # fmt: skip

    async def newest(self, backtest_id: str) -> dict[str, Any] | None:
        """Return the newest command that was sent to run this backtest."""
        rows = await self._pool.fetch(
            "SELECT * FROM backtape_control.submissions WHERE backtest_id = $1 AND log_offset IS NOT NULL"
            " ORDER BY issued_at DESC LIMIT 1", backtest_id,
        )  # fmt: skip
        return dict(rows[0]) if rows else None

    async def forget_old(self) -> None:
        """Remove what is older than an Idempotency-Key is remembered."""
        await self._pool.fetch(
            "DELETE FROM backtape_control.submissions WHERE issued_at < now() - make_interval(days => $1)", KEPT_DAYS
        )
