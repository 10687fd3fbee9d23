"""This module keeps an answer for some seconds: many ask, the database is asked once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from projections import run_queries
from web.stream.feed import Ask

T = TypeVar("T")

COUNT_SECONDS = 2.0
STATES = ("queued", "running", "completed", "cancelled", "failed")


class Kept(Generic[T]):
    """A value that is read anew when it is older than so many seconds."""

    def __init__(self, read: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._value: tuple[float, T] | None = None

    async def value(self) -> T:
        async with self._lock:
            if self._value is None or time.monotonic() - self._value[0] > self._seconds:
                began = time.monotonic()
                value = await self._read()
                # What takes long to count is counted less often: the database has other work.
                self._value = (time.monotonic() + 4.0 * (time.monotonic() - began), value)
            return self._value[1]


class Counts:
    """How many backtests are in each state, by who asks."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._kept: dict[str | None, Kept[dict[str, Any]]] = {}

    async def of(self, submitter: str | None) -> dict[str, Any]:
        """Return the answer ``BacktestCounts``."""

        async def read() -> dict[str, Any]:
            found = {row["status"]: row["count"] for row in await self._ask(run_queries.counts(submitter))}
            return {"total": sum(found.values()), **{state: found.get(state, 0) for state in STATES}}

        return await self._kept.setdefault(submitter, Kept(read, COUNT_SECONDS)).value()
