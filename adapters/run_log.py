"""This module reads one run's commits from the log, in order: whoever audits, replays or shows a run reads it here."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from adapters.errors import NotFoundError
from adapters.ports import LogReader, Record, TopicPartition
from schemas.commit import Commit, decode_commit
from schemas.partitioning import home_partition

POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class StoredCommit:
    """A commit as it lies on the log."""

    commit: Commit
    body: bytes
    record: Record

    def header(self, name: str) -> str | None:
        return next((value.decode("utf-8", "replace") for key, value in self.record.headers if key == name), None)


class RunLogs:
    """Finds runs on the events topic.

    reader : what it reads by; one that joins the archive (adapters/archived_log.py) finds truncated runs as well
    """

    def __init__(self, reader: LogReader, topic: str) -> None:
        self._topic = topic
        self._reader = reader

    async def read(self, backtest_id: str, *, start: int | None = None) -> list[StoredCommit]:
        """Return a run's commits up to its end, or up to the log's end as it is now.

        start : an offset at or before its first commit, where it is known; else the partition is read from its beginning
        Raises NotFoundError when there is none.
        """
        commits = [stored async for stored in self.follow(backtest_id, start=start)]
        if not commits:
            raise NotFoundError(f"the log holds no backtest {backtest_id!r}")
        return commits

    async def follow(self, backtest_id: str, *, start: int | None = None, waits: bool = False) -> AsyncIterator[StoredCommit]:
        """Yield a run's commits up to its end, or up to the log's end; with ``waits``: wait there for more."""
        key = backtest_id.encode()
        source = TopicPartition(self._topic, home_partition(key, await self._reader.partitions(self._topic)))
        position = await self._start(source, start)
        end = await self._reader.end(source)
        while True:
            records = await self._reader.read(source, position) if position < end else []
            for record in records:
                if record.key == key and record.value is not None:
                    stored = StoredCommit(decode_commit(record.value), record.value, record)
                    yield stored
                    if stored.commit.is_terminal:
                        return
            if records:
                position = records[-1].offset + 1
            elif not waits:
                return  # what is left are transaction markers
            else:
                await asyncio.sleep(POLL_SECONDS)
            if waits:
                end = await self._reader.end(source)

    async def _start(self, source: TopicPartition, start: int | None) -> int:
        beginning = await self._reader.beginning(source)
        return beginning if start is None else max(start, beginning)

    async def close(self) -> None:
        await self._reader.close()
