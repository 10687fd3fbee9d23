"""This module reads the log as one consumer group, for one loop: FastStream's subscriber, and what lies between it and the loop.

Delivery is ours: offsets are committed by the loops and nowhere else, records reach them raw, and a batch that was fetched
before a seek is dropped (its records are read again from where the loop stands).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER

from adapters.kafka import to_record, translated
from adapters.ports import Loop, TopicPartition
from consumers.settings import Settings

log = structlog.get_logger()

POLL_MS = 500  # longest wait of one poll; a record that arrives ends it at once
REBALANCE_TIMEOUT_MS = 40_000  # must exceed the worker's budget for its last transaction and its producer's stop
CONNECT_RETRY_SECONDS = 0.5
FETCH_BYTES = 2 * 1024 * 1024  # of one partition at a time: what is fetched ahead is memory


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read as one group, and the loop that it is read for."""

    group: str
    topics: tuple[str, ...]
    make_loop: "Callable[[KafkaMembership], Awaitable[Loop]]"
    max_records: int = 500


class WaitingConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """A consumer whose poll ends with records, never without.

    FastStream sleeps after an empty poll for as long as the poll took: with 10 ms of each a record waits 5 ms on average where
    nothing happens, and the process wakes a hundred times a second. This one wakes twice a second, and at once for a record.
    """

    async def getmany(self, *partitions: Any, timeout_ms: int = 0, max_records: int | None = None) -> Any:
        while True:
            found = await super().getmany(*partitions, timeout_ms=timeout_ms, max_records=max_records)
            if found:
                return found


class KafkaMembership:
    """Membership on the subscriber's consumer, and the group's committed positions for those who keep them there."""

    def __init__(self, subscriber: Any) -> None:
        self._subscriber = subscriber

    def pause(self, source: TopicPartition) -> None:
        with contextlib.suppress(IllegalStateError):  # lost meanwhile; a revocation follows
            self._subscriber.consumer.pause(KafkaTopicPartition(source.topic, source.partition))

    def resume(self, source: TopicPartition) -> None:
        with contextlib.suppress(IllegalStateError):
            self._subscriber.consumer.resume(KafkaTopicPartition(source.topic, source.partition))

    def seek(self, source: TopicPartition, offset: int) -> None:
        with contextlib.suppress(IllegalStateError):
            self._subscriber.consumer.seek(KafkaTopicPartition(source.topic, source.partition), offset)

    async def rejoin(self) -> None:
        while True:
            await self._subscriber.stop()
            try:
                await self._subscriber.start()
                return
            except KafkaError as error:  # no broker just now; a member that gave up here would own nothing for ever
                log.warning("rejoin_waits", error=str(error))
                await asyncio.sleep(CONNECT_RETRY_SECONDS)

    async def committed(self, source: TopicPartition) -> int | None:
        async with translated(f"read the committed offset of {source}"):
            offset: int | None = await self._subscriber.consumer.committed(KafkaTopicPartition(source.topic, source.partition))
            return offset

    async def commit(self, source: TopicPartition, offset: int) -> None:
        async with translated(f"commit an offset of {source}"):
            with contextlib.suppress(IllegalStateError):
                await self._subscriber.consumer.commit({KafkaTopicPartition(source.topic, source.partition): offset})


class Feed:
    """One group of this process.

    failing : a context in which whatever is raised ends the process: FastStream and aiokafka log errors and go on
    """

    def __init__(
        self,
        broker: KafkaBroker,
        reading: Reading,
        settings: Settings,
        failing: Callable[[], contextlib.AbstractContextManager[Any]],
    ) -> None:
        self.loop: Loop
        self.reading = reading
        self.has_joined = False  # the group has told once which partitions are ours; they may be none
        self.failing = failing
        self._next_offsets: dict[KafkaTopicPartition, int] = {}
        self.subscriber = self._subscribe(broker, settings)

    @property
    def is_ready(self) -> bool:
        return bool(self.subscriber.running) and self.has_joined

    async def open(self) -> None:
        """Make the loop. Raises what a server raises that is not there yet."""
        self.loop = await self.reading.make_loop(KafkaMembership(self.subscriber))

    async def close(self) -> None:
        """Stop reading, and let the loop end what it has under way."""
        # The rebalance listener is not called when the consumer stops: the loop gives its partitions up here.
        if hasattr(self, "loop"):
            await self.loop.close()

    def _subscribe(self, broker: KafkaBroker, settings: Settings) -> Any:
        subscriber = broker.subscriber(
            *self.reading.topics,
            batch=True,
            group_id=self.reading.group,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            listener=Listener(self),
            parser=_raw_batch,
            decoder=_raw_records,
            max_records=self.reading.max_records,
            batch_timeout_ms=POLL_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=max(300, settings.session_timeout_ms // 6),
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
        )

        @subscriber
        async def handle(messages: Sequence[Any]) -> None:
            with self.failing():
                await self.deliver(messages)

        return subscriber

    async def deliver(self, messages: Sequence[Any]) -> None:
        """Hand what was polled to the loop, by partition and in order."""
        by_source: dict[KafkaTopicPartition, list[Any]] = {}
        for message in messages:
            by_source.setdefault(KafkaTopicPartition(message.topic, message.partition), []).append(message)
        for source, batch in by_source.items():
            try:
                position = await self.subscriber.consumer.position(source)
            except IllegalStateError:
                continue  # revoked since the fetch
            if position <= batch[-1].offset:
                continue  # fetched before a seek: taken as it is, it would hide the records between
            self._next_offsets[source] = batch[-1].offset + 1
            await self.loop.on_records(TopicPartition(source.topic, source.partition), [to_record(each) for each in batch])

    def lag(self) -> dict[KafkaTopicPartition, int]:
        """Return, per partition that is ours, how many offsets the last stable one is ahead of what the loop was given."""
        consumer = self.subscriber.consumer
        if consumer is None:
            return {}
        ends = {source: consumer.last_stable_offset(source) for source in consumer.assignment()}
        return {
            source: max(0, end - self._next_offsets[source])
            for source, end in ends.items()
            if end is not None and source in self._next_offsets
        }


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands rebalances to the loop. aiokafka logs and swallows what these raise, so a failure ends the process."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def on_partitions_revoked(self, revoked: set[KafkaTopicPartition]) -> None:
        with self._feed.failing():
            await self._feed.loop.on_revoked({TopicPartition(each.topic, each.partition) for each in revoked})

    async def on_partitions_assigned(self, assigned: set[KafkaTopicPartition]) -> None:
        with self._feed.failing():
            # Nothing is read until the loop has found out where to begin.
            self._feed.subscriber.consumer.pause(*assigned)
            await self._feed.loop.on_assigned({TopicPartition(each.topic, each.partition) for each in assigned})
            self._feed.has_joined = True


async def _raw_batch(messages: Any) -> Any:
    """Keep records as they are: a header that is not UTF-8 must not make a record unreadable."""
    return KafkaMessage(
        body=[message.value or b"" for message in messages],
        headers={},
        raw_message=messages,
        consumer=FAKE_CONSUMER,
        batch_headers=[],
        message_id=f"{messages[0].offset}",
        correlation_id="",
    )


async def _raw_records(message: KafkaMessage) -> Any:
    return message.raw_message
