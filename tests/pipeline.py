"""This module runs Backtape's processes in tests, on the shared stack or on one of the test's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from adapters.clock import SystemClock
from adapters.kafka import KafkaLogReader, read_all
from adapters.ports import Record, TopicPartition
from backtape.local import ConsumerProcess
from consumers.settings import Settings
from schemas.topics import Topic

POLL_SECONDS = 0.1


async def look_again() -> None:
    """Give the machine time between two looks at a condition that something else makes true."""
    await SystemClock().sleep(POLL_SECONDS)


@contextmanager
def processes(folder: Path, environment: Mapping[str, str], roles: Mapping[str, str]) -> Iterator[dict[str, ConsumerProcess]]:
    """Run processes by name, each with its role, and kill them at the end. They start side by side."""
    made = {name: ConsumerProcess(folder / name, role=role, name=name, environment=environment) for name, role in roles.items()}
    try:
        with ThreadPoolExecutor(max_workers=len(made)) as pool:
            for started in [pool.submit(process.start) for process in made.values()]:
                started.result()
        yield made
    finally:
        for process in made.values():
            process.kill()


class TopicTail:
    """Reads a topic, and what has come since at each further look."""

    def __init__(self, settings: Settings, topic: Topic) -> None:
        self._name = settings.kafka.topic(topic)
        self._reader = KafkaLogReader(settings.kafka)
        self._next: dict[int, int] = {}
        self.records: list[Record] = []

    async def look(self) -> list[Record]:
        """Return every record so far; those of one partition are in order."""
        for number in range(await self._reader.partitions(self._name)):
            async for record in read_all(self._reader, TopicPartition(self._name, number), self._next.get(number, 0)):
                self.records.append(record)
                self._next[number] = record.offset + 1
        return self.records

    async def close(self) -> None:
        await self._reader.close()


async def records_of(settings: Settings, topic: Topic) -> list[Record]:
    """Return every record of a topic."""
    tail = TopicTail(settings, topic)
    try:
        return await tail.look()
    finally:
        await tail.close()
