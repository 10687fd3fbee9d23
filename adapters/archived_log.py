"""This module joins the archive and the log: a LogReader that reads on in the archive where Kafka's log is truncated.

Nobody who reads notices the border. What Kafka still holds is read from Kafka; offsets, times, keys and headers are the same in
both. Which log a partition is, is told by the header ``log_id`` of the oldest event that Kafka holds: all topics of one partition
number have the same one, and a truncation of the events always leaves the newest. Without any event, receipts say it.
"""

import asyncio
from collections.abc import Callable
from functools import cache

from adapters.archive_files import Archive, log_id_of
from adapters.errors import NotFoundError
from adapters.ports import BlobStore, LogReader, Record, TopicPartition
from schemas.topics import ARCHIVED, EVENTS, topic_name

KEPT_RANGES = 2  # of each source, decoded: a reader goes through them in order


class ArchivedLogReader:
    """LogReader over the log and its archive.

    open_store : called when the archive is needed first: most readers never do, and a client of S3 costs 40 MB
    prefix : of the topics' names
    """

    def __init__(self, log: LogReader, open_store: Callable[[], BlobStore], prefix: str) -> None:
        self._log = log
        self._open_store = cache(open_store)
        self._events = topic_name(prefix, EVENTS)
        self._archived = {topic_name(prefix, topic): topic.name for topic in ARCHIVED}  # others are read from the log alone
        self._truncated: dict[TopicPartition, int] = {}  # where Kafka's log begins, as far as is known
        self._archives: dict[TopicPartition, Archive] = {}
        self._decoded: dict[TopicPartition, dict[int, list[Record]]] = {}

    async def beginning(self, source: TopicPartition) -> int:
        """Return the first offset that the log or its archive holds, without a hole between them."""
        beginning = self._truncated[source] = await self._log.beginning(source)
        archive = await self._archive(source) if beginning > 0 else None
        if archive is None or not archive.starts or await asyncio.to_thread(archive.holding, beginning - 1) is None:
            return beginning
        return await asyncio.to_thread(_first_without_hole, archive)

    async def end(self, source: TopicPartition) -> int:
        return await self._log.end(source)

    async def read(self, source: TopicPartition, start: int, *, max_records: int = 500) -> list[Record]:
        if start >= self._truncated.get(source, 0):
            try:
                return await self._log.read(source, start, max_records=max_records)
            except NotFoundError:
                if start < 0 or source.topic not in self._archived:
                    raise
                self._truncated[source] = await self._log.beginning(source)
        return await self._read_archived(source, start, max_records)

    async def partitions(self, topic: str) -> int:
        return await self._log.partitions(topic)

    async def close(self) -> None:
        await self._log.close()

    async def _read_archived(self, source: TopicPartition, start: int, max_records: int) -> list[Record]:
        archive, position, beginning = self._archives.get(source), start, self._truncated[source]
        if archive is None:
            archive = await self._archive(source)
        while position < beginning:
            records, position = await self._range(archive, source, position, beginning)
            found = [record for record in records if record.offset >= start][:max_records]
            if found:
                return found
        return await self._log.read(source, beginning, max_records=max_records)

    async def _range(
        self, archive: Archive | None, source: TopicPartition, offset: int, beginning: int
    ) -> tuple[list[Record], int]:
        """Return the records of the range that holds an offset, and where the next one begins."""
        missing = f"{source}: offset {offset} is before the log's beginning {beginning}, and not in the archive"
        if archive is None:
            raise NotFoundError(missing)
        found = await asyncio.to_thread(archive.holding, offset)
        if found is None:
            await asyncio.to_thread(archive.refresh)
            found = await asyncio.to_thread(archive.holding, offset)
        if found is None:
            raise NotFoundError(missing)
        kept = self._decoded.setdefault(source, {})
        if found.first_offset not in kept:
            while len(kept) >= KEPT_RANGES:
                del kept[next(iter(kept))]
            kept[found.first_offset] = await asyncio.to_thread(archive.records, found)
        return kept[found.first_offset], found.next_offset

    async def _archive(self, source: TopicPartition) -> Archive | None:
        """Return the archive of the log that the partition is; None where that can't be told."""
        topic = self._archived.get(source.topic)
        if topic is None:
            return None
        log_id = await log_of(self._log, TopicPartition(self._events, source.partition), source)
        if log_id is None:
            return None
        archive = self._archives.get(source)
        if archive is None or archive.log_id != log_id:
            archive = self._archives[source] = Archive(self._open_store(), source, topic=topic, log_id=log_id)
            self._decoded.pop(source, None)
        await asyncio.to_thread(archive.refresh)
        return archive


async def log_of(log: LogReader, events: TopicPartition, source: TopicPartition) -> str | None:
    """Return the log that a partition of any topic is; None where neither events nor its own records say so."""
    return await current_log(log, events) or (None if source == events else await current_log(log, source))


async def current_log(log: LogReader, source: TopicPartition) -> str | None:
    """Return the log that a partition is, by the oldest records that it holds; None where it holds none that says so."""
    position, end = await log.beginning(source), await log.end(source)
    while position < end:
        records = await log.read(source, position, max_records=100)
        if not records:
            return None
        for record in records:
            found = log_id_of(record)
            if found is not None:
                return found
        position = records[-1].offset + 1
    return None


def _first_without_hole(archive: Archive) -> int:
    """Return where the newest unbroken chain of ranges begins."""
    first = archive.starts[-1]
    for start in reversed(archive.starts[:-1]):
        if archive.at(start)[0].next_offset != first:
            break
        first = start
    return first
