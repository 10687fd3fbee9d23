"""This module truncates the events topic, and only behind what nobody needs it for any more.

A record may go when it is archived, its archived copy was read back just now, it is in the read model, its run's snapshot is
announced, and it is older than the grace time. The newest record of a partition always stays: it tells which log it is.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from adapters.archive_files import Archive, read_range
from adapters.archived_log import current_log
from adapters.errors import IntegrityError
from adapters.ports import BlobStore, Clock, LogReader, TopicPartition

log = structlog.get_logger()

DAY_MS = 86_400_000


class Deleter(Protocol):
    """Deletes the beginning of a partition."""

    async def delete_before(self, source: TopicPartition, offset: int) -> int:
        """Delete the records before an offset and return where the log begins now."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How far the others are with one partition: everything before these offsets is done with. None: nothing is."""

    projected: int | None
    projected_log: str | None  # the log that the read model follows from
    snapshot: int | None


@dataclass(frozen=True, slots=True)
class Truncation:
    """What was decided for one partition."""

    partition: int
    before: int  # where the log began
    beginning: int  # where it begins now
    held_by: str  # what stands at the new beginning: archive, projection, snapshot, grace, newest record

    @property
    def deleted(self) -> int:
        """Offsets that went, transaction markers included."""
        return self.beginning - self.before


async def truncate(
    *, reader: LogReader, store: BlobStore, deleter: Deleter, clock: Clock, source: TopicPartition, limits: Limits, grace_ms: int
) -> Truncation:
    """Truncate one partition of the events topic as far as is safe.

    reader : of the log alone, without the archive
    Raises IntegrityError when an archived range that would be needed does not read back: then nothing is deleted.
    """
    before, end = await reader.beginning(source), await reader.end(source)
    log_id = await current_log(reader, source)
    if log_id is None:
        return Truncation(source.partition, before, before, "newest record")
    if limits.projected is not None and limits.projected_log != log_id:
        raise IntegrityError(f"{source} is log {log_id}, the read model follows from log {limits.projected_log}")
    archive = Archive(store, source, topic="events", log_id=log_id)
    await asyncio.to_thread(archive.refresh)
    bounds = {
        "projection": limits.projected or 0,
        "snapshot": limits.snapshot or 0,
        "newest record": await _newest_record(reader, source, before, end),
    }
    allowed, held_by = min((offset, name) for name, offset in bounds.items())
    target, held_by = await asyncio.to_thread(_allowed_by_archive, archive, before, allowed, held_by, clock.now_ms() - grace_ms)
    if target <= before:
        return Truncation(source.partition, before, before, held_by)
    await asyncio.to_thread(_read_back, archive, before, target)
    beginning = await deleter.delete_before(source, target)
    log.info("log_truncated", partition=source.partition, before=before, beginning=beginning, held_by=held_by)
    return Truncation(source.partition, before, beginning, held_by)


def _allowed_by_archive(archive: Archive, before: int, allowed: int, held_by: str, oldest_ms: int) -> tuple[int, str]:
    """Return where the log may begin, as far as the archive and the grace time go, and what holds the rest."""
    target = before
    for start in archive.starts:
        found, _ = archive.at(start)
        if found.next_offset <= before:
            continue
        if found.first_offset > target:
            raise IntegrityError(f"{archive.source}: the archive has a hole from {target} to {found.first_offset}")
        if found.last_timestamp_ms > oldest_ms:
            return target, "grace"
        if found.next_offset > allowed:  # archive and log may overlap: the log is cut in the middle of the range
            return max(target, allowed), held_by
        target = found.next_offset
    return target, "archive"


def _read_back(archive: Archive, before: int, target: int) -> None:
    """Read every range once more that is about to be the only copy."""
    for start in archive.starts:
        found, _ = archive.at(start)
        if found.next_offset > before and found.first_offset < target:
            read_range(archive.store, found, archive.source.topic)


async def _newest_record(reader: LogReader, source: TopicPartition, before: int, end: int) -> int:
    """Return the offset of the last record. The last offsets of a log are mostly transaction markers."""
    step = 64
    while True:
        position, newest = max(before, end - step), None
        while position < end:
            records = [each for each in await reader.read(source, position) if each.offset < end]
            if not records:
                break
            newest = records[-1].offset
            position = newest + 1
        if newest is not None or end - step <= before:
            return before if newest is None else newest
        step *= 16
