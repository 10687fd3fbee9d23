"""The shell hands records to the loop raw, in order, and never those that were fetched before a seek."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import IllegalStateError

from adapters.ports import Record, TopicPartition
from consumers.feed import Feed, Reading, WaitingConsumer
from consumers.settings import Settings
from consumers.shell import Role, Shell


class FakeConsumer:
    """What the shell asks a consumer."""

    def __init__(self, positions: dict[int, int]) -> None:
        self.positions = positions

    async def position(self, source: Any) -> int:
        if source.partition not in self.positions:
            raise IllegalStateError(f"{source} is not assigned")
        return self.positions[source.partition]


class CollectingLoop:
    """A loop that keeps what it is given."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, list[int]]] = []

    async def on_records(self, source: TopicPartition, records: Sequence[Record]) -> None:
        self.taken.append((source.partition, [record.offset for record in records]))


def message(partition: int, offset: int) -> Any:
    return SimpleNamespace(
        topic="backtape.commands",
        partition=partition,
        offset=offset,
        timestamp=0,
        key=b"k",
        value=b"v",
        headers=(("h", b"\xff"),),
    )


def feed_with(positions: dict[int, int]) -> tuple[Shell, Feed, CollectingLoop]:
    async def never(_: object) -> Any:
        raise AssertionError("the loop is given")

    async def none() -> Sequence[Reading]:
        return []

    shell = Shell(Settings(), Role("test", none))
    feed = Feed(shell.broker, Reading("g", ("backtape.commands",), never), Settings(), shell.failing)
    loop = CollectingLoop()
    feed.loop = loop  # type: ignore[assignment]
    feed.subscriber.consumer = FakeConsumer(positions)
    return shell, feed, loop


async def test_records_reach_the_loop_by_partition_and_in_order() -> None:
    """One call a partition, whatever order the poll gave them in."""
    _, feed, loop = feed_with({0: 12, 1: 6})
    await feed.deliver([message(0, 10), message(1, 5), message(0, 11)])
    assert loop.taken == [(0, [10, 11]), (1, [5])]


async def test_a_batch_from_before_a_seek_is_dropped() -> None:
    """The position went back to 7: taken now, records 10 and 11 would hide 7 to 9 for ever."""
    _, feed, loop = feed_with({0: 7})
    await feed.deliver([message(0, 10), message(0, 11)])
    assert loop.taken == []


async def test_records_of_a_lost_partition_are_dropped() -> None:
    """Another member reads them."""
    _, feed, loop = feed_with({1: 6})
    await feed.deliver([message(0, 10), message(1, 5)])
    assert loop.taken == [(1, [5])]


async def test_an_error_of_the_loop_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """FastStream would log it and go on with the next batch: a hole in what was read."""
    shell, feed, loop = feed_with({0: 12})

    async def broken(source: TopicPartition, records: Sequence[Record]) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(loop, "on_records", broken)
    with pytest.raises(ValueError, match="a defect"), feed.failing():
        await feed.deliver([message(0, 10)])
    assert isinstance(shell.failure, ValueError)


async def test_an_empty_poll_is_polled_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """FastStream sleeps after an empty poll: a record would wait for the end of that sleep."""
    answers = [{}, {}, {"source": ["record"]}]

    async def poll(self: object, *partitions: object, timeout_ms: int, max_records: int | None) -> Any:
        return answers.pop(0)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", poll)
    consumer = WaitingConsumer.__new__(WaitingConsumer)
    assert await consumer.getmany(timeout_ms=5, max_records=1) == {"source": ["record"]}
    assert answers == []
