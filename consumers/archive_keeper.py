"""This module archives a compactor's partitions beside its snapshots, again and again, and measures how far that is behind."""

import asyncio

import structlog

from adapters.errors import AdapterError
from adapters.ports import Clock
from consumers.archiver import Archiver, Reach
from schemas.topics import ARCHIVED

log = structlog.get_logger()


class ArchiveKeeper:
    """Archives what it owns. A failure is told and tried again: snapshots do not wait for it, and nothing is truncated here."""

    def __init__(self, archiver: Archiver, *, clock: Clock, every_seconds: float) -> None:
        self._archiver = archiver
        self._clock = clock
        self._every_seconds = every_seconds
        self._partitions: set[int] = set()
        self._reaches: dict[tuple[str, int], Reach] = {}
        self._task: asyncio.Task[None] | None = None
        self._ranges = 0
        self._bytes = 0
        self._failures = 0

    def own(self, partitions: set[int]) -> None:
        """Archive these partitions from now on, and no others."""
        self._partitions = set(partitions)
        self._reaches = {key: reach for key, reach in self._reaches.items() if key[1] in partitions}
        if self._task is None and partitions:
            self._task = asyncio.create_task(self._keep())

    def measures(self) -> dict[str, float]:
        """Return what the shell exports: most of all how old the oldest record is that only Kafka has."""
        times = [each.oldest_unarchived_ms for each in self._reaches.values() if each.oldest_unarchived_ms is not None]
        return {
            "archive_oldest_unarchived_seconds": max(0.0, (self._clock.now_ms() - min(times)) / 1_000) if times else 0.0,
            "archive_unarchived_offsets": sum(each.end - each.next_offset for each in self._reaches.values()),
            "archive_ranges": self._ranges,
            "archive_bytes": self._bytes,
            "archive_failures": self._failures,
        }

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            for partition in sorted(self._partitions):
                for topic in ARCHIVED:
                    await self._archive(topic.name, partition)
            await self._clock.sleep(self._every_seconds)

    async def _archive(self, topic: str, partition: int) -> None:
        if partition not in self._partitions:
            return  # revoked meanwhile
        try:
            reach = await self._archiver.archive(topic, partition)
        except AdapterError as error:
            self._failures += 1
            log.error("archive_failed", topic=topic, partition=partition, error=str(error))
            return
        if reach is not None and partition in self._partitions:
            self._reaches[topic, partition] = reach
            self._ranges += reach.ranges
            self._bytes += reach.bytes
