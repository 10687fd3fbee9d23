"""This module tells how far the read model is behind the log: what is shown may be as old as that.

Offsets have holes: behind the last record there may be only the markers of transactions. Where the end is beyond what was read,
the next record is looked for, and its age is the lag in seconds.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from adapters.errors import AdapterError, NotFoundError
from adapters.kafka_watch import KafkaWatch
from adapters.ports import LogReader, TopicPartition
from projections import queries
from web.stream.feed import Ask

log = structlog.get_logger()

KEPT_SECONDS = 2.0
STALE_SECONDS = 10.0  # the projector writes several times a second: more than that is no batch under way
BEAT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Lag:
    """How far behind, by source and in all. None where it can't be told."""

    sources: tuple[dict[str, Any], ...] = ()
    records: int | None = None
    seconds: float | None = None
    database: str = "unknown"
    kafka: str = "unknown"
    at: float = -1e9

    @property
    def is_stale(self) -> bool:
        return self.seconds is None or self.seconds > STALE_SECONDS


class LagWatch:
    """Looks at most every two seconds, for all who ask."""

    def __init__(self, ask: Ask, watch: KafkaWatch, reader: LogReader) -> None:
        self._ask = ask
        self._watch = watch
        self._reader = reader
        self._lag = Lag()
        self._lock = asyncio.Lock()
        self._caught_up: dict[TopicPartition, tuple[int, int]] = {}  # next and end offsets between which there is no record

    async def now(self) -> Lag:
        async with self._lock:
            if time.monotonic() - self._lag.at > KEPT_SECONDS:
                self._lag = await self._look()
            return self._lag

    def brief(self) -> dict[str, Any]:
        """Return what was last seen, for event streams."""
        lag = self._lag
        return {"lag_records": lag.records, "lag_seconds": lag.seconds, "is_stale": lag.is_stale}

    @property
    def last_seconds(self) -> float:
        """The lag as last seen; NaN while it can't be told."""
        return math.nan if self._lag.seconds is None else self._lag.seconds

    async def run(self, has_streams: Callable[[], bool]) -> None:
        """Look every few seconds while there are streams to tell, until cancelled."""
        while True:
            if has_streams():
                await self.now()
            await asyncio.sleep(BEAT_SECONDS)

    async def readiness(self) -> dict[str, Any]:
        """Return the answer ``Ready``."""
        lag = await self.now()
        checks = {"database": lag.database, "kafka": lag.kafka}
        is_ready = all(state == "ok" for state in checks.values())
        return {
            "status": "ready" if is_ready else "not_ready",
            "checks": checks,
            "lag_records": lag.records,
            "lag_seconds": lag.seconds,
        }

    async def _look(self) -> Lag:
        at = time.monotonic()
        try:
            rows = await self._ask(queries.positions_of_sources())
        except AdapterError as error:
            return Lag(database=str(error), kafka=self._lag.kafka, at=at)
        try:
            ends = await self._watch.ends(TopicPartition(row["topic"], row["partition"]) for row in rows)
            told = [await self._source(row, ends) for row in rows]
        except AdapterError as error:
            return Lag(tuple(_unknown(row) for row in rows), database="ok", kafka=str(error), at=at)
        return Lag(
            sources=tuple(source for source, _ in told),
            records=sum(source["lag_records"] for source, _ in told),
            seconds=max((seconds for _, seconds in told), default=0.0),
            database="ok",
            kafka="ok",
            at=at,
        )

    async def unread(self, source: TopicPartition, start: int, end: int) -> int:
        """Return how many offsets from ``start`` to ``end`` are not read yet; 0 where only markers are left."""
        if end <= start or self._caught_up.get(source) == (start, end):
            return 0
        if await self._age_of_next(source, start) is None:
            self._caught_up[source] = (start, end)
            return 0
        return end - start

    async def _source(self, row: dict[str, Any], ends: dict[TopicPartition, int]) -> tuple[dict[str, Any], float]:
        source, start = TopicPartition(row["topic"], row["partition"]), row["next_offset"]
        end = ends.get(source, start)
        records, seconds = max(0, end - start), 0.0
        if records and self._caught_up.get(source) != (start, end):
            age = await self._age_of_next(source, start)
            if age is None:
                self._caught_up[source] = (start, end)
            else:
                seconds = age
        if self._caught_up.get(source) == (start, end):
            records = 0
        return {**_unknown(row), "end_offset": end, "lag_records": records}, seconds

    async def _age_of_next(self, source: TopicPartition, start: int) -> float | None:
        """Return how old the next record is, in seconds; None when only markers are left."""
        try:
            records = await self._reader.read(source, start, max_records=1)
        except NotFoundError:
            return None  # the log was truncated behind the archive
        if not records:
            return None
        return max(0.0, datetime.now(UTC).timestamp() - records[0].timestamp_ms / 1_000)


def _unknown(row: dict[str, Any]) -> dict[str, Any]:
    names = ("topic", "partition", "log_id", "next_offset", "recorded_at", "updated_at")
    return {**{name: row[name] for name in names}, "end_offset": None, "lag_records": None}
