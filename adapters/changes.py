"""This module is what both adapters of the Changes port share: how changes are written down, and how they wait to be asked for.

A payload is the backtests' ids joined by commas, or ``*`` where they are too many for one.
"""

import asyncio
from collections.abc import Iterable

from adapters.ports import Changed

MAX_PAYLOAD_BYTES = 7_000  # PostgreSQL takes less than 8,000
EVERYTHING = "*"


def payload_of(backtest_ids: Iterable[str]) -> str:
    """Return what is sent for these backtests. Ids are ASCII without commas (schemas/ids.py)."""
    joined = ",".join(sorted(backtest_ids))
    return joined if len(joined) <= MAX_PAYLOAD_BYTES else EVERYTHING


def changed_of(payload: str) -> Changed:
    """Return what a payload says."""
    if payload == EVERYTHING:
        return Changed(everything=True)
    return Changed(frozenset(payload.split(","))) if payload else Changed()


class Gathered:
    """What has changed since somebody asked."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._everything = False
        self._arrived = asyncio.Event()

    def add(self, changed: Changed) -> None:
        if changed:
            self._ids |= changed.ids
            self._everything |= changed.everything
            self._arrived.set()

    async def take(self, seconds: float) -> Changed:
        """Return it as soon as there is something; nothing after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return Changed()
        found = Changed(everything=True) if self._everything else Changed(frozenset(self._ids))
        self._ids.clear()
        self._everything = False
        self._arrived.clear()
        return found
