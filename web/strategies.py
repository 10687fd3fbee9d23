"""This module knows the strategies that there are, as a process of its own exports them: user code is never imported here."""

import asyncio
import json
import time
from typing import Any

import msgspec

from schemas.strategies import Catalogue, StrategyCard
from web.config import WebConfig
from web.problems import ProblemError
from web.processes import run_cli

KEPT_SECONDS = 300.0
EXPORT_SECONDS = 60.0


class Strategies:
    """The catalogue, made anew when it is old."""

    def __init__(self, config: WebConfig) -> None:
        self._config = config
        self._lock = asyncio.Lock()
        self._catalogue: Catalogue = {}
        self._made_at: float | None = None

    async def catalogue(self) -> Catalogue:
        """Return the strategies by name. Raises ProblemError 503 when they can't be exported."""
        async with self._lock:
            if self._made_at is None or time.monotonic() - self._made_at > KEPT_SECONDS:
                self._catalogue = await self._exported()
                self._made_at = time.monotonic()
            return self._catalogue

    async def _exported(self) -> Catalogue:
        try:
            finished = await run_cli(["strategies", "--json"], self._config.environment, seconds=EXPORT_SECONDS)
        except TimeoutError:
            raise ProblemError(503, "no_strategies", f"the strategies were not exported within {EXPORT_SECONDS:g} s") from None
        if finished.code != 0:
            raise ProblemError(503, "no_strategies", f"the strategies can't be exported: {finished.reason}")
        cards: list[Any] = json.loads(finished.stdout)
        return {card.name: card for card in (msgspec.convert(each, StrategyCard) for each in cards)}
