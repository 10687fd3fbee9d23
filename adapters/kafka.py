"""This module connects to Kafka: topics, and reading the log outside any consumer group.

Ownership and transactions are in kafka_partition.py. Reading is always ``read_committed``: what a transaction has not
committed does not exist. Offsets have holes (transaction markers), so nothing here tests them for contiguity.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, TopicAlreadyExistsError, UnknownTopicOrPartitionError

from adapters.errors import ConfigurationError, NotFoundError, RetryableError
from adapters.kafka_address import KafkaAddress
from adapters.kafka_headers import read_any_header_name
from adapters.ports import LogReader, Record, TopicPartition
from schemas.topics import ARCHIVE, TOPICS, Topic

REQUEST_TIMEOUT_MS = 20_000
VISIBLE_SECONDS = 20.0
VISIBLE_POLL_SECONDS = 0.05
POLL_MS = 200  # longest wait of one poll; a record that arrives ends it at once
FETCH_BYTES = 1024 * 1024  # of one partition at a time; a seek throws away what was fetched ahead
# A broker answers the requests of a connection one after another: who asks for the log's end waits for the fetch before it.
FETCH_WAIT_MS = 20
MAX_SOURCES = 16  # partitions a reader keeps positioned at once

# Wherever this module is imported, consumers run, FastStream's too: none of them may stop at a header's name.
read_any_header_name()


def to_record(message: ConsumerRecord) -> Record:
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=message.timestamp,
        key=message.key,
        value=message.value,
        headers=tuple(message.headers),
    )


@asynccontextmanager
async def translated(doing: str) -> AsyncIterator[None]:
    """Turn Kafka's errors, and time-outs, into the adapters' tree; the text says what was being done."""
    try:
        yield
    except OffsetOutOfRangeError as error:
        raise NotFoundError(f"{doing}: the log does not hold this offset: {error}") from error
    except UnknownTopicOrPartitionError as error:
        raise NotFoundError(f"{doing}: there is no such topic or partition: {error}") from error
    except (KafkaError, TimeoutError) as error:
        raise RetryableError(f"{doing}: {type(error).__name__}: {error}") from error


# --- topics -----------------------------------------------------------------------------------------------------


async def create_topics(address: KafkaAddress, *, partitions: int, replication: int = 1) -> list[str]:
    """Create the topics that are missing, with their settings, and return their names.

    Raises ConfigurationError when an existing topic has another number of partitions: that is fixed when it is made.
    """
    async with translated("create topics"), admin_of(address) as admin:
        existing = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics() if each["error_code"] == 0}
        created = []
        for topic in TOPICS:
            name = address.topic(topic)
            if name in existing:
                _check_partitions(name, existing[name], 1 if topic is ARCHIVE else partitions)
                continue
            count = 1 if topic is ARCHIVE else partitions
            try:
                response = await admin.create_topics([NewTopic(name, count, replication, topic_configs=topic.settings)])
            except TopicAlreadyExistsError:
                continue  # another process was faster; it used the same table
            _check_created(name, response)
            created.append(name)
        await _until_visible(admin, {address.topic(topic) for topic in TOPICS})
        return created


async def _until_visible(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    """Wait until brokers answer for the topics: a creation is acknowledged before that."""
    async with asyncio.timeout(VISIBLE_SECONDS):
        while True:
            described = await admin.describe_topics()
            if names <= {each["topic"] for each in described if each["error_code"] == 0 and each["partitions"]}:
                return
            await asyncio.sleep(VISIBLE_POLL_SECONDS)


def _check_partitions(name: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise ConfigurationError(f"topic {name} has {found} partitions where {wanted} are configured; their number is fixed")


def _check_created(name: str, response: object) -> None:
    for topic, code, *message in response.topic_errors:  # type: ignore[attr-defined]
        if code not in (0, TopicAlreadyExistsError.errno):
            raise ConfigurationError(f"topic {name} could not be created: {topic}: error {code} {message}")


async def describe_settings(address: KafkaAddress, topic: Topic) -> dict[str, str]:
    """Return the settings a topic has on the broker."""
    async with translated(f"describe {topic.name}"), admin_of(address) as admin:
        responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, address.topic(topic))])
        return {entry[0]: entry[1] for response in responses for resource in response.resources for entry in resource[4]}


@asynccontextmanager
async def admin_of(address: KafkaAddress) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address.bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


# --- reading ----------------------------------------------------------------------------------------------------


class KafkaLogReader:
    """LogReader on Kafka. One consumer per source that is read, so that two readers of one never move each other.

    A consumer fetches ahead only while it is known that there is something: one that stands at the end is paused. Its fetch would
    wait there for the next record, for half a second, and hold up the first read elsewhere for as long.
    """

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address
        self._consumers: dict[TopicPartition, AIOKafkaConsumer] = {}
        self._locks: dict[TopicPartition, asyncio.Lock] = {}

    async def beginning(self, source: TopicPartition) -> int:
        async with self._positioned(source) as consumer:
            key = _key(source)
            return int((await consumer.beginning_offsets([key]))[key])

    async def end(self, source: TopicPartition) -> int:
        async with self._positioned(source) as consumer:
            key = _key(source)
            return int((await consumer.end_offsets([key]))[key])

    async def read(self, source: TopicPartition, start: int, *, max_records: int = 500) -> list[Record]:
        async with self._positioned(source) as consumer:
            key = _key(source)
            end = (await consumer.end_offsets([key]))[key]
            if start < 0 or start >= end:
                await self._refuse_before_beginning(consumer, source, start)
                return []
            if await consumer.position(key) != start:
                consumer.seek(key, start)
            consumer.resume(key)
            while True:
                batches = await consumer.getmany(key, timeout_ms=POLL_MS, max_records=max_records)
                messages = batches.get(key, [])
                is_over = await consumer.position(key) >= end
                if is_over:
                    consumer.pause(key)  # nothing is fetched until somebody asks again
                if messages or is_over:  # without messages, only transaction markers were left
                    return [to_record(message) for message in messages]

    async def partitions(self, topic: str) -> int:
        async with translated(f"describe {topic}"), admin_of(self._address) as admin:
            described = await admin.describe_topics([topic])
            if not described or described[0]["error_code"] != 0:
                raise NotFoundError(f"there is no topic {topic} at {self._address.bootstrap}")
            return len(described[0]["partitions"])

    async def close(self) -> None:
        consumers, self._consumers = list(self._consumers.values()), {}
        for consumer in consumers:
            await consumer.stop()

    @staticmethod
    async def _refuse_before_beginning(consumer: AIOKafkaConsumer, source: TopicPartition, start: int) -> None:
        key = _key(source)
        beginning = (await consumer.beginning_offsets([key]))[key]
        if start < beginning:
            raise NotFoundError(f"{source}: offset {start} is before the log's beginning {beginning}")

    @asynccontextmanager
    async def _positioned(self, source: TopicPartition) -> AsyncIterator[AIOKafkaConsumer]:
        """Lend the source's consumer to one caller at a time; after an error it is thrown away."""
        lock = self._locks.setdefault(source, asyncio.Lock())
        async with lock, translated(f"read {source.topic}[{source.partition}]"):
            consumer = self._consumers.get(source) or await self._open(source)
            try:
                yield consumer
            except BaseException:
                self._consumers.pop(source, None)
                await consumer.stop()
                raise

    async def _open(self, source: TopicPartition) -> AIOKafkaConsumer:
        if len(self._consumers) >= MAX_SOURCES:
            await self._close_idle()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._address.bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="none",
            enable_auto_commit=False,
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await consumer.start()
            key = _key(source)
            consumer.assign([key])
            consumer.pause(key)  # until somebody reads: who only asks for offsets fetches nothing
            consumer.seek(key, (await consumer.beginning_offsets([key]))[key])
        except BaseException:
            await consumer.stop()
            raise
        self._consumers[source] = consumer
        return consumer

    async def _close_idle(self) -> None:
        for source in [each for each in self._consumers if not self._locks[each].locked()]:
            await self._consumers.pop(source).stop()
            return


def _key(source: TopicPartition) -> KafkaTopicPartition:
    return KafkaTopicPartition(source.topic, source.partition)


async def read_all(reader: LogReader, source: TopicPartition, start: int, end: int | None = None) -> AsyncIterator[Record]:
    """Yield committed records from ``start`` up to ``end`` (default: the end of the log as it is now)."""
    stop = await reader.end(source) if end is None else end
    position = start
    while position < stop:
        records = await reader.read(source, position)
        if not records:
            return
        for record in records:
            if record.offset >= stop:
                return
            yield record
        position = records[-1].offset + 1


# --- appending outside transactions -------------------------------------------------------------------------------


class KafkaAppender:
    """Appends records at least once, with an idempotent producer: forwarded commands, announcements, clients' commands."""

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int | None = None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> int:
        """Append one record, wait until Kafka has it, and return its offset. Without a partition the key's home is taken."""
        async with translated(f"append to {topic}"):
            producer = await self._started()
            try:
                sent = await producer.send_and_wait(topic, key=key, value=value, partition=partition, headers=list(headers))
            except KafkaError:
                await self._drop(producer)
                raise
            return int(sent.offset)

    async def _drop(self, producer: AIOKafkaProducer) -> None:
        """Begin anew after an error: the lost record leaves a gap in the sequence, and Kafka refuses all that follows it."""
        is_current = self._producer is producer
        if is_current:
            self._producer = None
            await producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._address.bootstrap,
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=REQUEST_TIMEOUT_MS,
                    max_request_size=2 * 1024 * 1024,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()
