"""This module is the memory twin of Kafka: topics, partitions, transactions, fencing and reading, without a server.

It keeps what the loops rely on and nothing else: a fence raises the epoch of a partition's owner, a transaction appears
whole or not at all and leaves a hole (its marker) behind, compaction is what ``restore`` does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from adapters.errors import FencedError, NotFoundError, RetryableError
from adapters.ports import Clock, Headers, Record, TopicPartition, Write
from schemas.partitioning import home_partition


@dataclass(slots=True)
class MemoryLog:
    """All topics of a broker. ``partitions`` is the number that each topic has."""

    clock: Clock
    partitions: int
    records: dict[TopicPartition, list[Record]] = field(default_factory=dict)
    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    beginnings: dict[TopicPartition, int] = field(default_factory=dict)
    epochs: dict[tuple[str, int], int] = field(default_factory=dict)
    committed: dict[TopicPartition, int] = field(default_factory=dict)

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> int:
        """Append one record and return its offset."""
        source = TopicPartition(topic, partition)
        offset = self.next_offsets.get(source, 0)
        self.records.setdefault(source, []).append(Record(topic, partition, offset, self.clock.now_ms(), key, value, headers))
        self.next_offsets[source] = offset + 1
        return offset

    def mark(self, source: TopicPartition) -> None:
        """Take up one offset, as a transaction's marker does."""
        self.next_offsets[source] = self.next_offsets.get(source, 0) + 1

    def truncate(self, source: TopicPartition, beginning: int) -> None:
        """Delete the records below an offset."""
        self.beginnings[source] = beginning
        self.records[source] = [record for record in self.records.get(source, []) if record.offset >= beginning]

    def of(self, topic: str) -> list[Record]:
        """Return every record of a topic, partition by partition."""
        return [
            record for partition in range(self.partitions) for record in self.records.get(TopicPartition(topic, partition), [])
        ]


class MemoryLogReader:
    """LogReader on a MemoryLog."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def beginning(self, source: TopicPartition) -> int:
        return self._log.beginnings.get(source, 0)

    async def end(self, source: TopicPartition) -> int:
        return self._log.next_offsets.get(source, 0)

    async def read(self, source: TopicPartition, start: int, *, max_records: int = 500) -> list[Record]:
        beginning = await self.beginning(source)
        if start < beginning:
            raise NotFoundError(f"{source}: offset {start} is before the log's beginning {beginning}")
        return [record for record in self._log.records.get(source, []) if record.offset >= start][:max_records]

    async def partitions(self, topic: str) -> int:
        return self._log.partitions

    async def close(self) -> None:
        pass


class MemoryDeleter:
    """Deletes the beginnings of a MemoryLog's partitions, as KafkaDeleter does."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def delete_before(self, source: TopicPartition, offset: int) -> int:
        self._log.truncate(source, max(offset, self._log.beginnings.get(source, 0)))
        return self._log.beginnings[source]


class MemoryRestorer:
    """Appends restored records to a MemoryLog with the times that they had, as KafkaRestorer does."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def append(self, topic: str, partition: int, records: list[Record]) -> list[int]:
        source, offsets = TopicPartition(topic, partition), []
        for record in records:
            offset = self._log.append(topic, partition, record.key, record.value, record.headers)
            if record.timestamp_ms:
                self._log.records[source][-1] = replace(self._log.records[source][-1], timestamp_ms=record.timestamp_ms)
            offsets.append(offset)
        return offsets


class MemoryPartition:
    """Partition on a MemoryLog. ``fail_next`` makes the next transaction fail: before it is committed, or after."""

    def __init__(self, log: MemoryLog, number: int, *, group: str, commands: str, events: str, runs: str) -> None:
        self.number = number
        self.fail_next: str | None = None  # "before" or "after"
        self._log = log
        self._group = group
        self._commands = TopicPartition(commands, number)
        self._events = TopicPartition(events, number)
        self._runs = TopicPartition(runs, number)
        self._epoch: int | None = None
        self._reader = MemoryLogReader(log)

    async def fence(self) -> None:
        self._epoch = self._log.epochs.get((self._group, self.number), 0) + 1
        self._log.epochs[self._group, self.number] = self._epoch

    async def restore(self) -> list[Record]:
        newest: dict[bytes | None, Record] = {}
        for record in await self._reader.read(self._runs, await self._reader.beginning(self._runs), max_records=2**31):
            if record.value is None:
                newest.pop(record.key, None)
            else:
                newest[record.key] = record
        return list(newest.values())

    async def bounds_of_commands(self) -> tuple[int, int]:
        return await self._reader.beginning(self._commands), await self._reader.end(self._commands)

    async def read_commit(self, offset: int) -> Record:
        found = [record for record in self._log.records.get(self._events, []) if record.offset == offset]
        if not found:
            raise NotFoundError(f"{self._events}: there is no record at offset {offset}")
        return found[0]

    async def transact(self, writes: Sequence[Write], then: Callable[[list[int]], Sequence[Write]] | None = None) -> list[int]:
        if self._epoch is None:
            raise RetryableError(f"partition {self.number} is not fenced")
        if self._epoch != self._log.epochs[self._group, self.number]:
            raise FencedError(f"partition {self.number}: another owner has taken over")
        if self.fail_next == "before":
            self._fail()
        offsets = [self._append(write) for write in writes]
        further = then(offsets) if then is not None else ()
        for write in further:
            self._append(write)
        for topic in {write.topic for write in (*writes, *further)}:
            self._log.mark(TopicPartition(topic, self.number))
        if self.fail_next == "after":
            self._fail()
        return offsets

    def _append(self, write: Write) -> int:
        return self._log.append(write.topic, self.number, write.key, write.value, write.headers)

    def _fail(self) -> None:
        when, self.fail_next, self._epoch = self.fail_next, None, None
        raise RetryableError(f"transaction on partition {self.number}: injected, {when} the commit")

    async def forward(self, partition: int, records: Sequence[Record]) -> None:
        for record in records:
            self._log.append(record.topic, partition, record.key, record.value, record.headers)

    async def close(self) -> None:
        self._epoch = None


class MemoryAppender:
    """Appends outside transactions, as KafkaAppender does."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def append(
        self, topic: str, key: bytes | None, value: bytes | None, *, partition: int | None = None, headers: Headers = ()
    ) -> int:
        number = home_partition(key or b"", self._log.partitions) if partition is None else partition
        return self._log.append(topic, number, key, value, headers)

    async def close(self) -> None:
        pass


class MemoryMembership:
    """Membership that delivers a MemoryLog's records to a loop, one call of ``deliver`` at a time."""

    def __init__(self, log: MemoryLog) -> None:
        self.rejoins = 0
        self._log = log
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    def pause(self, source: TopicPartition) -> None:
        self._paused.add(source)

    def resume(self, source: TopicPartition) -> None:
        self._paused.discard(source)

    def seek(self, source: TopicPartition, offset: int) -> None:
        self._positions[source] = offset

    async def commit(self, source: TopicPartition, offset: int) -> None:
        self._log.committed[source] = offset

    async def rejoin(self) -> None:
        self.rejoins += 1

    def fetch(self, source: TopicPartition) -> list[Record]:
        """Return what a consumer would be given next."""
        position = self._positions.get(source)
        if source in self._paused or position is None:
            return []
        records = [record for record in self._log.records.get(source, []) if record.offset >= position]
        if records:
            self._positions[source] = records[-1].offset + 1
        return records
