"""This module copies closed ranges of the log into the archive, and says how far the archive reaches.

Any number of archivers may run at once: a range's manifest is a conditional PUT under the offset at which it begins. Who loses
goes on behind the winner's range. Files are written and read back before their manifest; what dies in between leaves a file that
nobody refers to.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import structlog

from adapters.archive_files import (
    Archive,
    announcement_key,
    encode_records,
    log_id_of,
    manifest_bytes,
    manifest_key,
    range_file_key,
    read_range,
)
from adapters.archived_log import log_of
from adapters.errors import IntegrityError
from adapters.ports import BlobStore, Clock, LogReader, Record, TopicPartition
from schemas.ids import Digest, sha256
from schemas.manifest import ArchivedRange
from schemas.topics import ARCHIVE, ARCHIVED, EVENTS, topic_name

log = structlog.get_logger()

MIB = 1024 * 1024
RANGE_BYTES = 8 * MIB  # of keys and values: about 1 MB compressed; a reader holds two decoded ranges of a partition


class Announcer(Protocol):
    async def append(self, topic: str, key: bytes | None, value: bytes | None) -> int: ...


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one partition's archive reaches."""

    topic: str
    partition: int
    log_id: str
    next_offset: int  # everything before it is archived
    end: int  # of the log
    oldest_unarchived_ms: int | None  # time of the first record that is not archived; None: there is none
    ranges: int  # written just now
    records: int
    bytes: int


@dataclass(slots=True)
class _Done:
    """What was written of one partition."""

    ranges: int = 0
    records: int = 0
    bytes: int = 0

    def add(self, made: ArchivedRange) -> None:
        self.ranges += 1
        self.records += made.records
        self.bytes += made.bytes

    def reach(self, topic: str, partition: int, log_id: str, next_offset: int, end: int, oldest_ms: int | None) -> Reach:
        return Reach(topic, partition, log_id, next_offset, end, oldest_ms, self.ranges, self.records, self.bytes)


class Archiver:
    """Archives partitions. ``age_ms``: a range that is not full is closed when its first record is older than this."""

    def __init__(
        self, *, reader: LogReader, store: BlobStore, announcer: Announcer, clock: Clock, prefix: str, age_ms: int = 0,
        range_bytes: int = RANGE_BYTES,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._store = store
        self._announcer = announcer
        self._clock = clock
        self._prefix = prefix
        self._age_ms = age_ms
        self._range_bytes = range_bytes

    async def archive_all(self, partitions: range, *, report: Callable[[Reach], None] = lambda reach: None) -> list[Reach]:
        """Archive every topic's partitions up to where they end now."""
        reaches = []
        for partition in partitions:
            for topic in ARCHIVED:
                reach = await self.archive(topic.name, partition)
                if reach is not None:
                    report(reach)
                    reaches.append(reach)
        return reaches

    async def archive(self, topic: str, partition: int) -> Reach | None:
        """Archive one partition of a topic; None where no worker has written to it yet."""
        source = TopicPartition(f"{self._prefix}.{topic}", partition)
        log_id = await log_of(self._reader, TopicPartition(topic_name(self._prefix, EVENTS), partition), source)
        if log_id is None:
            return None
        archive = Archive(self._store, source, topic=topic, log_id=log_id)
        await asyncio.to_thread(archive.refresh)
        last = await asyncio.to_thread(archive.last)
        position = await self._start(source, None if last is None else last[0].next_offset)
        end, parent = await self._reader.end(source), None if last is None else last[1]
        done = _Done()
        while True:
            async for records, next_offset, is_full in self._ranges(source, position, end):
                if not is_full and records[0].timestamp_ms > self._clock.now_ms() - self._age_ms:
                    return done.reach(topic, partition, log_id, position, end, records[0].timestamp_ms)
                made, parent = await self._write(archive, records, position, next_offset, parent)
                done.add(made)
                position = made.next_offset
                if position != next_offset:
                    break  # another archiver's range ends elsewhere: read again from there
            else:
                return done.reach(topic, partition, log_id, position, end, None)

    async def _start(self, source: TopicPartition, archived: int | None) -> int:
        """Return where to go on. Raises IntegrityError when events are gone that were never archived."""
        beginning = await self._reader.beginning(source)
        if archived is not None and archived >= beginning:
            return archived
        is_lost = beginning > (archived or 0)
        if is_lost and source.topic == topic_name(self._prefix, EVENTS):
            raise IntegrityError(
                f"{source}: the log begins at {beginning}, the archive ends at {archived or 0}: what lies between is lost"
            )
        if is_lost:
            log.warning("archive_gap", topic=source.topic, partition=source.partition, archived=archived, beginning=beginning)
        return beginning

    async def _ranges(self, source: TopicPartition, start: int, end: int) -> AsyncIterator[tuple[list[Record], int, bool]]:
        """Yield records from ``start`` on in portions, the offset behind each, and whether it fills a range."""
        records: list[Record] = []
        size, position = 0, start
        while position < end:
            batch = [each for each in await self._reader.read(source, position) if each.offset < end]
            if not batch:
                break  # only transaction markers were left
            position = batch[-1].offset + 1
            for record in batch:
                records.append(record)
                size += len(record.key or b"") + len(record.value or b"")
                if size >= self._range_bytes:
                    yield records, record.offset + 1, True
                    records, size = [], 0
        if records:
            yield records, position, False

    async def _write(
        self, archive: Archive, records: list[Record], start: int, next_offset: int, parent: Digest | None
    ) -> tuple[ArchivedRange, Digest]:
        """Write one range: file, read back, manifest, announcement. Returns the winner's where another was faster."""
        self._check_log(archive, records)
        made, body = await asyncio.to_thread(self._encoded, archive, records, start, next_offset, parent)
        await asyncio.to_thread(self._store.put, made.key, body)
        if await asyncio.to_thread(read_range, self._store, made, archive.source.topic) != records:
            raise IntegrityError(f"{self._store.url}/{made.key} reads back with other records than were written")
        key = manifest_key(made.topic, made.partition, made.log_id, start)
        is_ours = await asyncio.to_thread(self._store.put_if_absent, key, manifest_bytes(made))
        found, digest = await asyncio.to_thread(archive.at, start)
        if not is_ours and found.next_offset <= start:
            raise IntegrityError(f"{self._store.url}/{key} ends at {found.next_offset}, before it begins")
        await self._announcer.append(f"{self._prefix}.{ARCHIVE.name}", announcement_key(found), manifest_bytes(found))
        log.info("range_archived", topic=made.topic, partition=made.partition, first=start, next=found.next_offset)
        return found, digest

    def _encoded(
        self, archive: Archive, records: list[Record], start: int, next_offset: int, parent: Digest | None
    ) -> tuple[ArchivedRange, bytes]:
        body, raw_digest, raw_bytes = encode_records(records)
        digest = sha256(body)
        partition = archive.source.partition
        made = ArchivedRange(
            topic=cast("Any", archive.topic),
            partition=partition,
            log_id=archive.log_id,
            first_offset=start,
            next_offset=next_offset,
            records=len(records),
            first_timestamp_ms=max(0, min(record.timestamp_ms for record in records)),
            last_timestamp_ms=max(0, max(record.timestamp_ms for record in records)),
            key=range_file_key(archive.topic, partition, archive.log_id, start, digest),
            sha256=digest,
            bytes=len(body),
            raw_sha256=raw_digest,
            raw_bytes=raw_bytes,
            parent=parent,
        )
        return made, body

    @staticmethod
    def _check_log(archive: Archive, records: list[Record]) -> None:
        for record in records:
            found = log_id_of(record)
            if found not in (None, archive.log_id):
                raise IntegrityError(
                    f"{archive.source} is log {archive.log_id}, but its record at offset {record.offset} is of log {found}"
                )
