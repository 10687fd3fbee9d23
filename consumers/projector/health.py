"""This module notes how far the log is ahead of the tables, for the view ``projection_health``.

It writes beside the batches, into rows of its own: it neither moves a source nor waits for one. Where no projector looks any
more, the last observation grows old, and that shows.
"""

from collections.abc import Mapping

import structlog

from adapters.errors import AdapterError
from adapters.ports import Clock, LogEnd, LogReader, RowStore, TopicPartition
from consumers.projector.source import SourceLoop

log = structlog.get_logger()

LOOK_SECONDS = 5.0


class HealthWatch:
    """Looks at the sources that are ours, now and then."""

    def __init__(self, sources: Mapping[TopicPartition, SourceLoop], *, store: RowStore, reader: LogReader, clock: Clock) -> None:
        self._sources = sources
        self._store = store
        self._reader = reader
        self._clock = clock

    async def run(self) -> None:
        """Look until cancelled. What fails is tried again the next time: nothing depends on it."""
        while True:
            try:
                await self.look()
            except AdapterError as error:
                log.warning("health_not_noted", error=str(error))
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Note where the logs of all opened sources end now."""
        ends = [await self._end(source, loop) for source, loop in list(self._sources.items()) if loop.position is not None]
        if ends:
            await self._store.observe(ends)

    async def _end(self, source: TopicPartition, loop: SourceLoop) -> LogEnd:
        observed_ms = self._clock.now_ms()
        end = await self._reader.end(source)
        assert loop.position is not None, "it was opened"
        # Mostly one has arrived already; reading it once more would fetch megabytes for a time stamp.
        oldest = loop.oldest_ms if loop.oldest_ms is not None else await self._oldest(source, loop.position.next_offset, end)
        return LogEnd(source, end, oldest, observed_ms)

    async def _oldest(self, source: TopicPartition, next_offset: int, end: int) -> int | None:
        """Return the time of the first record that is not in the tables; None without any (markers are no records)."""
        if next_offset >= end:
            return None
        records = await self._reader.read(source, next_offset, max_records=1)
        return records[0].timestamp_ms if records else None
