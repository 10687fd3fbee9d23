"""The log's ports keep their contract on the memory twin and on real Kafka."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from adapters.clock import SystemClock
from adapters.errors import ConfigurationError, FencedError, NotFoundError, RetryableError
from adapters.kafka import KafkaAppender, KafkaLogReader, create_topics, describe_settings
from adapters.kafka_address import KafkaAddress
from adapters.kafka_partition import KafkaPartition
from adapters.memory_log import MemoryAppender, MemoryLog, MemoryLogReader, MemoryPartition
from adapters.ports import LogReader, Partition, TopicPartition, Write
from backtape.stack import Endpoints
from schemas.partitioning import home_partition
from schemas.topics import COMMANDS, EVENTS, RUNS, TOPICS
from tests.pipeline import look_again

PARTITIONS = 3
GROUP = "test.worker"


@dataclass
class Log:
    """What the contract is tested on: a reader, an appender, and partitions to own."""

    reader: LogReader
    appender: KafkaAppender | MemoryAppender
    own: Callable[[int], Partition]

    def topic(self, name: str) -> str:
        return self.names[name]

    names: dict[str, str]

    async def visible(self, topic: str, number: int, offset: int) -> None:
        """Wait until a committed record can be read: a transaction's end is acknowledged before its markers are written."""
        while await self.reader.end(TopicPartition(self.names[topic], number)) <= offset:
            await look_again()


@pytest.fixture(params=["memory", "kafka"])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    address = KafkaAddress("", prefix)
    names = {topic.name: address.topic(topic) for topic in TOPICS}
    if request.param == "memory":
        memory = MemoryLog(SystemClock(), PARTITIONS)
        yield Log(
            MemoryLogReader(memory),
            MemoryAppender(memory),
            lambda number: MemoryPartition(
                memory, number, group=GROUP, commands=names["commands"], events=names["events"], runs=names["runs"]
            ),
            names,
        )
        return
    endpoints: Endpoints = request.getfixturevalue("endpoints")
    address = KafkaAddress(endpoints.kafka_bootstrap, prefix)
    await create_topics(address, partitions=PARTITIONS)
    reader, appender = KafkaLogReader(address), KafkaAppender(address)
    made: list[KafkaPartition] = []

    def own(number: int) -> KafkaPartition:
        made.append(KafkaPartition(address, number, group=f"{prefix}.worker", reader=reader, appender=appender))
        return made[-1]

    yield Log(reader, appender, own, names)
    for partition in made:
        await partition.close()
    await appender.close()
    await reader.close()


async def all_of(log: Log, topic: str, number: int) -> list[bytes | None]:
    source = TopicPartition(log.names[topic], number)
    return [record.value for record in await log.reader.read(source, await log.reader.beginning(source))]


async def test_a_transaction_appends_everything_on_its_own_partition(log: Log) -> None:
    """What is written, and what follows from the offsets, lie on the owner's partition in order."""
    partition = log.own(1)
    await partition.fence()
    seen: list[list[int]] = []

    def then(offsets: list[int]) -> list[Write]:
        seen.append(offsets)
        return [Write(log.names["runs"], b"a", str(offsets[1]).encode())]

    writes = [Write(log.names["events"], b"a", b"one"), Write(log.names["events"], b"a", b"two", (("log_id", b"x"),))]
    offsets = await partition.transact(writes, then)
    assert seen == [offsets]
    await log.visible("events", 1, offsets[-1])
    await log.visible("runs", 1, 0)
    records = await log.reader.read(TopicPartition(log.names["events"], 1), 0)
    assert [(record.offset, record.value, record.headers) for record in records] == [
        (offsets[0], b"one", ()),
        (offsets[1], b"two", (("log_id", b"x"),)),
    ]
    assert await all_of(log, "runs", 1) == [str(offsets[1]).encode()]
    assert await all_of(log, "events", 0) == []
    assert (await partition.read_commit(offsets[1])).value == b"two"


async def test_a_later_owner_fences_an_earlier_one(log: Log) -> None:
    """After another has fenced the partition, the earlier owner's transactions fail and leave nothing."""
    first, second = log.own(0), log.own(0)
    await first.fence()
    await first.transact([Write(log.names["events"], b"a", b"first")])
    await second.fence()
    with pytest.raises(FencedError):
        await first.transact([Write(log.names["events"], b"a", b"too late")])
    (offset,) = await second.transact([Write(log.names["events"], b"a", b"second")])
    await log.visible("events", 0, offset)
    assert await all_of(log, "events", 0) == [b"first", b"second"]


async def test_restore_gives_the_newest_record_of_each_key(log: Log) -> None:
    """A new owner sees each key's last state, and nothing of a tombstoned one."""
    partition = log.own(2)
    await partition.fence()
    for key, value in ((b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"c", b"1"), (b"c", None)):
        await partition.transact([Write(log.names["runs"], key, value)])
    await partition.close()
    successor = log.own(2)
    await successor.fence()
    assert {record.key: record.value for record in await successor.restore()} == {b"a": b"2", b"b": b"1"}


async def test_a_partition_that_is_not_fenced_refuses_to_write(log: Log) -> None:
    """Without the fence there is no ownership, and nothing is appended."""
    with pytest.raises(RetryableError):
        await log.own(0).transact([Write(log.names["events"], b"a", b"x")])
    assert await all_of(log, "events", 0) == []


async def test_reading_beyond_the_end_gives_nothing_and_before_the_beginning_is_an_error(log: Log) -> None:
    """The end is not an error; what is gone is."""
    source = TopicPartition(log.names["commands"], 0)
    await log.appender.append(source.topic, b"k", b"v", partition=0)
    assert await log.reader.end(source) == 1
    assert await log.reader.read(source, 1) == []
    with pytest.raises(NotFoundError):
        await log.reader.read(source, -1)


async def test_reads_can_go_back(log: Log) -> None:
    """A reader that has read on can be asked for what came before."""
    source = TopicPartition(log.names["commands"], 0)
    for value in (b"1", b"2", b"3"):
        await log.appender.append(source.topic, b"k", value, partition=0)
    assert [record.value for record in await log.reader.read(source, 2)] == [b"3"]
    assert [record.value for record in await log.reader.read(source, 0)] == [b"1", b"2", b"3"]


async def test_a_key_without_a_partition_goes_home(log: Log) -> None:
    """The appender's own choice of a partition is the home partition."""
    for key in (b"alpha", b"beta", b"gamma", b"delta"):
        await log.appender.append(log.names["commands"], key, key)
        assert key in await all_of(log, "commands", home_partition(key, PARTITIONS))


async def test_forwarding_appends_unchanged_to_the_other_partition(log: Log) -> None:
    """A forwarded record keeps key, value and headers."""
    commands = log.names["commands"]
    await log.appender.append(commands, b"k", b"v", partition=0, headers=(("h", b"\xff"),))
    (record,) = await log.reader.read(TopicPartition(commands, 0), 0)
    await log.own(0).forward(2, [record])
    (moved,) = await log.reader.read(TopicPartition(commands, 2), 0)
    assert (moved.key, moved.value, moved.headers) == (b"k", b"v", (("h", b"\xff"),))


async def test_a_reader_at_the_end_fetches_nothing_until_it_is_asked(log: Log) -> None:
    """Its fetch would wait there for the next record and hold up a read elsewhere."""
    commands = TopicPartition(log.names["commands"], 0)
    await log.appender.append(commands.topic, b"k", b"1", partition=0)
    await log.appender.append(commands.topic, b"k", b"2", partition=0)
    for start in (0, 1, 0):
        records = await log.reader.read(commands, start)
        assert [record.value for record in records] == [b"1", b"2"][start:]
        if isinstance(log.reader, KafkaLogReader):
            (consumer,) = log.reader._consumers.values()
            assert len(consumer.paused()) == 1


async def test_a_missing_topic_is_named(log: Log) -> None:
    """Asking for a topic that is not there says which."""
    assert await log.reader.partitions(log.names["events"]) == PARTITIONS
    if isinstance(log.reader, KafkaLogReader):
        with pytest.raises(NotFoundError, match="nowhere"):
            await log.reader.partitions("nowhere")


async def test_topics_have_their_settings_and_their_number_is_fixed(endpoints: Endpoints, topic_prefix: str) -> None:
    """Topics are made as schemas/topics.py lists them; another number of partitions is refused."""
    address = KafkaAddress(endpoints.kafka_bootstrap, topic_prefix)
    assert set(await create_topics(address, partitions=2)) == {address.topic(topic) for topic in TOPICS}
    assert await create_topics(address, partitions=2) == []
    for topic in (COMMANDS, EVENTS, RUNS):
        settings = await describe_settings(address, topic)
        assert {name: settings[name] for name in topic.settings} == topic.settings
    with pytest.raises(ConfigurationError, match="has 2 partitions where 3"):
        await create_topics(address, partitions=3)
