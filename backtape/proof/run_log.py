"""This module reads one run's commits from the log, in order."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from adapters.errors import NotFoundError
from adapters.kafka import KafkaAddress, KafkaLogReader, read_all
from adapters.ports import LogReader, Record, TopicPartition
from schemas.commit import Commit, decode_commit
from schemas.partitioning import home_partition
from schemas.topics import EVENTS


@dataclass(frozen=True, slots=True)
class StoredCommit:
    """A commit as it lies on the log."""

    commit: Commit
    body: bytes
    record: Record

    def header(self, name: str) -> str | None:
        return next((value.decode("utf-8", "replace") for key, value in self.record.headers if key == name), None)


class RunLogs:
    """Finds runs on the events topic."""

    def __init__(self, address: KafkaAddress, reader: LogReader | None = None) -> None:
        self._topic = address.topic(EVENTS)
        self._reader = reader or KafkaLogReader(address)

    async def read(self, backtest_id: str, *, start: int | None = None) -> list[StoredCommit]:
        """Return a run's commits up to its end, or up to the log's end as it is now.

        start : an offset at or before its first commit, where it is known; else the partition is read from its beginning
        Raises NotFoundError when there is none.
        """
        commits = [stored async for stored in self.follow(backtest_id, start=start)]
        if not commits:
            raise NotFoundError(f"the log holds no backtest {backtest_id!r}")
        return commits

    async def follow(self, backtest_id: str, *, start: int | None = None) -> AsyncIterator[StoredCommit]:
        key = backtest_id.encode()
        source = TopicPartition(self._topic, home_partition(key, await self._reader.partitions(self._topic)))
        beginning = await self._reader.beginning(source)
        async for record in read_all(self._reader, source, beginning if start is None else max(start, beginning)):
            if record.key != key or record.value is None:
                continue
            stored = StoredCommit(decode_commit(record.value), record.value, record)
            yield stored
            if stored.commit.is_terminal:
                return

    async def close(self) -> None:
        await self._reader.close()
