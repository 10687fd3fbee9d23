"""This module keeps what is no fold over the log: API keys, sessions, submissions, audits. Schema ``backtape_control``.

Secrets are kept as their SHA-256 only. They are random with 256 bits, so that a slow hash would protect nothing more.
"""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from adapters.errors import NotFoundError
from adapters.postgres_session import CONNECT_SECONDS, STATEMENT_SECONDS, mapped

PREFIX = "btk"  # begins every key, so that a scanner for leaked secrets can find it
SECRET_BYTES = 32
CACHE_SECONDS = 5.0  # so long a revoked key may still be answered
CACHED = 10_000
SESSION_SECONDS = 30 * 86_400
LINK_SECONDS = 24 * 3_600
SUBMISSION_DAYS = 30  # so long an Idempotency-Key is remembered
AUDIT_LOCK = 0x6261636B  # of the one process that runs audits


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without its secret."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @property
    def is_active(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Session:
    """A browser's session that has just begun."""

    secret: str
    key_id: str
    name: str
    expires_at: datetime


class ControlStore:
    """The control tables."""

    def __init__(self, database_url: str, *, connections: int = 4) -> None:
        self._url = database_url
        self._limit = connections
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._cache: dict[str, tuple[float, Key | None]] = {}

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()

    # --- keys -----------------------------------------------------------------------------------------------------

    async def create_key(self, name: str, scopes: Sequence[str], expires_at: datetime | None) -> tuple[Key, str]:
        """Make a key, and return it with its text, which is shown once and kept nowhere."""
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES)
        rows = await self._fetch(
            "INSERT INTO backtape_control.api_keys (key_id, name, secret_sha256, scopes, expires_at) VALUES ($1, $2, $3, $4, $5)"
            f" RETURNING {_KEY}",
            key_id, name, _digest(secret), list(scopes), expires_at,
        )  # fmt: skip
        return _key(rows[0]), f"{PREFIX}_{key_id}_{secret}"

    async def keys(self) -> list[Key]:
        """Return all keys, the newest first."""
        return [_key(row) for row in await self._fetch(f"SELECT {_KEY} FROM backtape_control.api_keys ORDER BY created_at DESC")]

    async def revoke_key(self, key_id: str) -> Key:
        """End a key and its sessions. Raises NotFoundError."""
        rows = await self._fetch(
            "UPDATE backtape_control.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = $1"
            f" RETURNING {_KEY}", key_id,
        )  # fmt: skip
        if not rows:
            raise NotFoundError(f"there is no key {key_id!r}")
        self._cache.clear()
        return _key(rows[0])

    async def key(self, text: str) -> Key | None:
        """Return the active key of a text; None where there is none."""
        return await self._cached(f"key {_digest(text).hex()}", lambda: self._key_of(text))

    async def is_active(self, key_id: str) -> bool:
        """Say whether a key may still be used."""
        rows = await self._fetch(f"SELECT {_KEY} FROM backtape_control.api_keys WHERE key_id = $1", key_id)
        return bool(rows) and _key(rows[0]).is_active

    async def _key_of(self, text: str) -> Key | None:
        prefix, _, rest = text.partition("_")
        key_id, _, secret = rest.partition("_")
        if prefix != PREFIX or not key_id.isalnum() or not secret:
            return None
        rows = await self._fetch(f"SELECT {_KEY}, secret_sha256 FROM backtape_control.api_keys WHERE key_id = $1", key_id)
        if not rows or not hmac.compare_digest(rows[0]["secret_sha256"], _digest(secret)):
            return None
        return _key(rows[0])

    async def _cached(self, name: str, read: Any) -> Key | None:
        now = time.monotonic()
        at, found = self._cache.get(name, (0.0, None))
        if name not in self._cache or now - at > CACHE_SECONDS:
            found = await read()
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self._cache[name] = (now, found)
        return found if found is not None and found.is_active else None

    # --- sessions -------------------------------------------------------------------------------------------------

    async def create_login_link(self, key_id: str, *, seconds: int = LINK_SECONDS) -> str:
        """Return the secret of a link that logs one browser in, once."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        await self._fetch(
            "INSERT INTO backtape_control.login_links (secret_sha256, key_id, expires_at) VALUES ($1, $2, $3)",
            _digest(secret), key_id, datetime.now(UTC) + timedelta(seconds=seconds),
        )  # fmt: skip
        return secret

    async def begin_session(self, link: str) -> Session | None:
        """Use a login link up, and begin a session; None where the link is not good, or its key."""
        rows = await self._fetch(
            "UPDATE backtape_control.login_links AS l SET used_at = now() FROM backtape_control.api_keys AS k"
            " WHERE l.secret_sha256 = $1 AND l.used_at IS NULL AND l.expires_at > now() AND k.key_id = l.key_id"
            " AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())"
            " RETURNING k.key_id, k.name, k.expires_at",
            _digest(link),
        )
        if not rows:
            return None
        secret, ends = secrets.token_urlsafe(SECRET_BYTES), datetime.now(UTC) + timedelta(seconds=SESSION_SECONDS)
        expires_at = min(ends, rows[0]["expires_at"] or ends)
        await self._fetch(
            "INSERT INTO backtape_control.web_sessions (secret_sha256, key_id, expires_at) VALUES ($1, $2, $3)",
            _digest(secret), rows[0]["key_id"], expires_at,
        )  # fmt: skip
        return Session(secret, rows[0]["key_id"], rows[0]["name"], expires_at)

    async def session(self, secret: str) -> Key | None:
        """Return the key that answers for a session, with the session's end as its own; None where there is none."""
        return await self._cached(f"session {_digest(secret).hex()}", lambda: self._session_of(secret))

    async def end_session(self, secret: str) -> None:
        await self._fetch("DELETE FROM backtape_control.web_sessions WHERE secret_sha256 = $1", _digest(secret))
        self._cache.pop(f"session {_digest(secret).hex()}", None)

    async def _session_of(self, secret: str) -> Key | None:
        rows = await self._fetch(
            "SELECT k.key_id, k.name, k.scopes, k.created_at, k.revoked_at, s.expires_at"
            " FROM backtape_control.web_sessions AS s JOIN backtape_control.api_keys AS k USING (key_id)"
            " WHERE s.secret_sha256 = $1",
            _digest(secret),
        )
        return _key(rows[0]) if rows else None

    # --- submissions ----------------------------------------------------------------------------------------------

    async def plan_submission(
        self, *, key_id: str, idempotency_key: str | None, request_digest: str, submitter: str, backtest_id: str, command_id: str,
        issued_at: str,
    ) -> dict[str, Any]:  # fmt: skip
        """Write down what is to be sent, and return it; or what was written down for this Idempotency-Key before."""
        await self._fetch(
            "INSERT INTO backtape_control.submissions"
            " (command_id, key_id, idempotency_key, request_digest, submitter, backtest_id, issued_at_text, issued_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (key_id, idempotency_key) DO NOTHING",
            command_id, key_id, idempotency_key, request_digest, submitter, backtest_id, issued_at,
            datetime.fromisoformat(issued_at),
        )  # fmt: skip
        if idempotency_key is None:
            rows = await self._fetch("SELECT * FROM backtape_control.submissions WHERE command_id = $1", command_id)
        else:
            rows = await self._fetch(
                "SELECT * FROM backtape_control.submissions WHERE key_id = $1 AND idempotency_key = $2", key_id, idempotency_key
            )
        return dict(rows[0])

    async def acknowledge_submission(self, command_id: str, *, partition: int, offset: int) -> None:
        """Write down that Kafka has the command."""
        await self._fetch(
            "UPDATE backtape_control.submissions SET log_partition = $2, log_offset = $3 WHERE command_id = $1",
            command_id, partition, offset,
        )  # fmt: skip

    async def submission(self, backtest_id: str) -> dict[str, Any] | None:
        """Return the newest command that was sent to run this backtest."""
        rows = await self._fetch(
            "SELECT * FROM backtape_control.submissions WHERE backtest_id = $1 AND log_offset IS NOT NULL"
            " ORDER BY issued_at DESC LIMIT 1", backtest_id,
        )  # fmt: skip
        return dict(rows[0]) if rows else None

    async def forget_old(self) -> None:
        """Remove what has ended: old submissions, links, sessions."""
        await self._fetch(
            "DELETE FROM backtape_control.submissions WHERE issued_at < now() - make_interval(days => $1)", SUBMISSION_DAYS
        )
        await self._fetch("DELETE FROM backtape_control.login_links WHERE expires_at < now()")
        await self._fetch("DELETE FROM backtape_control.web_sessions WHERE expires_at < now()")

    # --- audits ---------------------------------------------------------------------------------------------------

    async def audit(self, backtest_id: str) -> dict[str, Any] | None:
        """Return the last audit of a backtest."""
        rows = await self._fetch(f"SELECT {_AUDIT} FROM backtape_control.audits WHERE backtest_id = $1", backtest_id)
        return _audit(rows[0]) if rows else None

    async def request_audit(self, backtest_id: str, requested_by: str) -> dict[str, Any]:
        """Queue an audit, unless one of this backtest waits or runs, and return it."""
        await self._fetch(
            "INSERT INTO backtape_control.audits AS a (backtest_id, requested_by, state) VALUES ($1, $2, 'queued')"
            " ON CONFLICT (backtest_id) DO UPDATE SET requested_by = $2, state = 'queued', requested_at = now(),"
            " started_at = NULL, finished_at = NULL, verdict = NULL, findings = '[]', detail = ''"
            " WHERE a.state NOT IN ('queued', 'running')",
            backtest_id, requested_by,
        )  # fmt: skip
        found = await self.audit(backtest_id)
        assert found is not None, "it was just put there, and nobody removes it"
        return found

    async def next_audit(self) -> str | None:
        """Take the oldest audit that waits, and return its backtest."""
        rows = await self._fetch(
            "UPDATE backtape_control.audits SET state = 'running', started_at = now() WHERE backtest_id = (SELECT backtest_id"
            " FROM backtape_control.audits WHERE state = 'queued' ORDER BY requested_at, backtest_id LIMIT 1)"
            " RETURNING backtest_id"
        )
        return str(rows[0]["backtest_id"]) if rows else None

    async def finish_audit(
        self, backtest_id: str, *, state: str, verdict: str | None, findings: list[dict[str, Any]], detail: str
    ) -> None:
        await self._fetch(
            "UPDATE backtape_control.audits SET state = $2, verdict = $3, findings = $4::jsonb, detail = $5, finished_at = now()"
            " WHERE backtest_id = $1",
            backtest_id, state, verdict, json.dumps(findings), detail,
        )  # fmt: skip

    async def count_of_audits(self) -> int:
        """Return how many audits wait or run."""
        rows = await self._fetch("SELECT count(*) AS count FROM backtape_control.audits WHERE state IN ('queued', 'running')")
        return int(rows[0]["count"])

    @asynccontextmanager
    async def leading_audits(self) -> AsyncIterator[bool]:
        """Be the one process that runs audits, or not (False), inside the block. Audits that a dead one ran wait again."""
        connection = await mapped(asyncpg.connect(self._url, timeout=CONNECT_SECONDS, command_timeout=STATEMENT_SECONDS))
        try:
            is_leader = bool(await mapped(connection.fetchval("SELECT pg_try_advisory_lock($1)", AUDIT_LOCK)))
            if is_leader:
                await mapped(connection.execute("UPDATE backtape_control.audits SET state = 'queued' WHERE state = 'running'"))
            yield is_leader
        finally:
            connection.terminate()

    async def _fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._opening:
            if self._pool is None:
                self._pool = await mapped(
                    asyncpg.create_pool(
                        self._url, min_size=0, max_size=self._limit, command_timeout=STATEMENT_SECONDS, timeout=CONNECT_SECONDS,
                        server_settings={"application_name": "backtape control", "timezone": "UTC"},
                    )
                )  # fmt: skip
        assert self._pool is not None, "create_pool returns a pool"
        rows: list[asyncpg.Record] = await mapped(self._pool.fetch(sql, *arguments))
        return rows


_KEY = "key_id, name, scopes, created_at, expires_at, revoked_at"
_AUDIT = "backtest_id, state, verdict, findings, detail, requested_by, requested_at, started_at, finished_at"


def _key(row: asyncpg.Record) -> Key:
    return Key(row["key_id"], row["name"], tuple(row["scopes"]), row["created_at"], row["expires_at"], row["revoked_at"])


def _audit(row: asyncpg.Record) -> dict[str, Any]:
    return {**dict(row), "findings": json.loads(row["findings"])}


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
