"""This module keeps API keys, and browsers' sessions under them.

Secrets are kept as their SHA-256 only. They are random with 256 bits, so that a slow hash would protect nothing more.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from adapters.control.pool import ControlPool
from adapters.errors import NotFoundError

PREFIX = "btk"  # begins every key, so that a scanner for leaked secrets can find it
SECRET_BYTES = 32
CACHE_SECONDS = 5.0  # so long a revoked key may still be answered
CACHED = 10_000
SESSION_SECONDS = 30 * 86_400
LINK_SECONDS = 24 * 3_600


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


class Keys:
    """The keys and their sessions."""

    def __init__(self, pool: ControlPool) -> None:
        self._pool = pool
        self._cache: dict[str, tuple[float, Key | None]] = {}

    async def create_key(self, name: str, scopes: Sequence[str], expires_at: datetime | None) -> tuple[Key, str]:
        """Make a key, and return it with its text, which is shown once and kept nowhere."""
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES)
        rows = await self._pool.fetch(
            "INSERT INTO backtape_control.api_keys (key_id, name, secret_sha256, scopes, expires_at) VALUES ($1, $2, $3, $4, $5)"
            f" RETURNING {_KEY}",
            key_id, name, _digest(secret), list(scopes), expires_at,
        )  # fmt: skip
        return _key(rows[0]), f"{PREFIX}_{key_id}_{secret}"

    async def keys(self) -> list[Key]:
        """Return all keys, the newest first."""
        return [
            _key(row) for row in await self._pool.fetch(f"SELECT {_KEY} FROM backtape_control.api_keys ORDER BY created_at DESC")
        ]

    async def revoke_key(self, key_id: str) -> Key:
        """End a key and its sessions. Raises NotFoundError."""
        rows = await self._pool.fetch(
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
        rows = await self._pool.fetch(f"SELECT {_KEY} FROM backtape_control.api_keys WHERE key_id = $1", key_id)
        return bool(rows) and _key(rows[0]).is_active

    async def _key_of(self, text: str) -> Key | None:
        prefix, _, rest = text.partition("_")
        key_id, _, secret = rest.partition("_")
        if prefix != PREFIX or not key_id.isalnum() or not secret:
            return None
        rows = await self._pool.fetch(f"SELECT {_KEY}, secret_sha256 FROM backtape_control.api_keys WHERE key_id = $1", key_id)
        if not rows or not hmac.compare_digest(rows[0]["secret_sha256"], _digest(secret)):
            return None
        return _key(rows[0])

    async def _cached(self, name: str, read: Callable[[], Awaitable[Key | None]]) -> Key | None:
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
        await self._pool.fetch(
            "INSERT INTO backtape_control.login_links (secret_sha256, key_id, expires_at) VALUES ($1, $2, $3)",
            _digest(secret), key_id, datetime.now(UTC) + timedelta(seconds=seconds),
        )  # fmt: skip
        return secret

    async def begin_session(self, link: str) -> Session | None:
        """Use a login link up, and begin a session; None where the link is not good, or its key."""
        rows = await self._pool.fetch(
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
        await self._pool.fetch(
            "INSERT INTO backtape_control.web_sessions (secret_sha256, key_id, expires_at) VALUES ($1, $2, $3)",
            _digest(secret), rows[0]["key_id"], expires_at,
        )  # fmt: skip
        return Session(secret, rows[0]["key_id"], rows[0]["name"], expires_at)

    async def session(self, secret: str) -> Key | None:
        """Return the key that answers for a session, with the session's end as its own; None where there is none."""
        return await self._cached(f"session {_digest(secret).hex()}", lambda: self._session_of(secret))

    async def end_session(self, secret: str) -> None:
        await self._pool.fetch("DELETE FROM backtape_control.web_sessions WHERE secret_sha256 = $1", _digest(secret))
        self._cache.pop(f"session {_digest(secret).hex()}", None)

    async def _session_of(self, secret: str) -> Key | None:
        rows = await self._pool.fetch(
            "SELECT k.key_id, k.name, k.scopes, k.created_at, k.revoked_at, s.expires_at"
            " FROM backtape_control.web_sessions AS s JOIN backtape_control.api_keys AS k USING (key_id)"
            " WHERE s.secret_sha256 = $1",
            _digest(secret),
        )
        return _key(rows[0]) if rows else None

    async def forget_old(self) -> None:
        """Remove links and sessions that have ended."""
        await self._pool.fetch("DELETE FROM backtape_control.login_links WHERE expires_at < now()")
        await self._pool.fetch("DELETE FROM backtape_control.web_sessions WHERE expires_at < now()")


_KEY = "key_id, name, scopes, created_at, expires_at, revoked_at"


def _key(row: asyncpg.Record) -> Key:
    return Key(row["key_id"], row["name"], tuple(row["scopes"]), row["created_at"], row["expires_at"], row["revoked_at"])


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
