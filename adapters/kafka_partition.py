"""This module owns one partition number on Kafka: the fence, the restore and the transactions of a worker.

aiokafka speaks the transaction protocol without group fencing, so each input partition has a transactional producer of its
own, with an id made of the partition's number: starting it (InitProducerId) is the fence. After any doubt about a
transaction the producer is thrown away; a new one with the same id settles what happened, and run state tells.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, OffsetAndMetadata
from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.structs import RecordMetadata

from adapters.errors import FencedError, NotFoundError, OutcomeUnknownError, RetryableError
from adapters.kafka import KafkaAppender, read_all, translated
from adapters.kafka_address import KafkaAddress
from adapters.ports import LogReader, Record, TopicPartition, Write
from schemas.topics import COMMANDS, EVENTS, RUNS

TRANSACTION_TIMEOUT_MS = 30_000  # the broker aborts after this
TRANSACTION_BUDGET_SECONDS = 20.0  # our own deadline: transactional batches never expire by themselves
START_BUDGET_SECONDS = 60.0
STOP_BUDGET_SECONDS = 5.0  # producer.stop() flushes first and can hang without a broker
MAX_BATCH_BYTES = 1024 * 1024

assert TRANSACTION_BUDGET_SECONDS * 1000 < TRANSACTION_TIMEOUT_MS, "our deadline must come before the broker's"


class KafkaPartition:
    """Partition on Kafka."""

    def __init__(self, address: KafkaAddress, number: int, *, group: str, reader: LogReader, appender: KafkaAppender) -> None:
        self.number = number
        self._address = address
        self._group = group
        self._reader = reader
        self._appender = appender
        self._producer: AIOKafkaProducer | None = None
        self._commands = address.topic(COMMANDS)
        self._events = TopicPartition(address.topic(EVENTS), number)
        self._runs = TopicPartition(address.topic(RUNS), number)

    async def fence(self) -> None:
        await self._stop_producer()
        producer = AIOKafkaProducer(
            bootstrap_servers=self._address.bootstrap,
            acks="all",
            enable_idempotence=True,
            transactional_id=f"{self._group}.{self.number}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=2 * MAX_BATCH_BYTES,
            compression_type="lz4",
        )
        async with translated(f"fence partition {self.number}"):
            try:
                await asyncio.wait_for(producer.start(), START_BUDGET_SECONDS)
            except BaseException:
                await _stop(producer)
                raise
        self._producer = producer

    async def restore(self) -> list[Record]:
        """The end is read after the fence, when no transaction is open: it is the true end of what was committed."""
        beginning = await self._reader.beginning(self._runs)
        newest: dict[bytes, Record] = {}
        async for record in read_all(self._reader, self._runs, beginning):
            assert record.key is not None, "run state is keyed"
            if record.value is None:
                newest.pop(record.key, None)
            else:
                newest[record.key] = record
        return list(newest.values())

    async def bounds_of_commands(self) -> tuple[int, int]:
        source = TopicPartition(self._commands, self.number)
        return await self._reader.beginning(source), await self._reader.end(source)

    async def read_commit(self, offset: int) -> Record:
        records = await self._reader.read(self._events, offset, max_records=1)
        if not records:
            # A transaction's end is acknowledged before its markers are written: it is visible a moment later.
            raise RetryableError(f"{self._events}: offset {offset} is not below the last stable offset yet")
        if records[0].offset != offset:
            raise NotFoundError(f"{self._events}: there is no record at offset {offset}")
        return records[0]

    async def transact(
        self, writes: Sequence[Write], then: Callable[[list[int]], Sequence[Write]] | None = None, *, intake: int | None = None
    ) -> list[int]:
        producer = self._producer
        if producer is None:
            raise RetryableError(f"partition {self.number} is not fenced")
        try:
            async with asyncio.timeout(TRANSACTION_BUDGET_SECONDS):
                await producer.begin_transaction()
                offsets = await self._send(producer, writes)
                rest = then(offsets) if then is not None else ()
                # The broker asks the transaction's coordinator about the first record of each partition, the group's offset
                # included. Of two such questions at a time it refuses one, and aiokafka waits 0.1 s before it sends again.
                if {write.topic for write in rest} <= {write.topic for write in writes}:
                    await _together(self._send(producer, rest), self._commit_intake(producer, intake))
                else:
                    await self._send(producer, rest)
                    await self._commit_intake(producer, intake)
                await producer.commit_transaction()
                return offsets
        except (ProducerFenced, InvalidProducerEpoch) as error:
            # Nobody's turn but the rightful owner's: no abort, no new producer here.
            raise FencedError(f"partition {self.number}: {error}") from error
        except (KafkaError, TimeoutError, AssertionError) as error:
            # aiokafka asserts its transaction state; an assertion here means its state is not what we think: start anew.
            await self._stop_producer()
            raise OutcomeUnknownError(f"transaction on partition {self.number}: {type(error).__name__}: {error}") from error

    async def _commit_intake(self, producer: AIOKafkaProducer, intake: int | None) -> None:
        if intake is not None:
            commands = KafkaTopicPartition(self._commands, self.number)
            await producer.send_offsets_to_transaction({commands: OffsetAndMetadata(intake, "")}, self._group)

    async def _send(self, producer: AIOKafkaProducer, writes: Sequence[Write]) -> list[int]:
        # A commit succeeds although a send failed: every future is awaited first, also when a later send is refused at once.
        sent: list[asyncio.Future[RecordMetadata]] = []
        try:
            for write in writes:
                sent.append(
                    await producer.send(
                        write.topic, key=write.key, value=write.value, partition=self.number, headers=list(write.headers)
                    )
                )
        finally:
            results = await asyncio.gather(*sent, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result.offset for result in results if not isinstance(result, BaseException)]

    async def forward(self, partition: int, records: Sequence[Record]) -> None:
        for record in records:
            await self._appender.append(record.topic, record.key, record.value, partition=partition, headers=record.headers)

    async def close(self) -> None:
        await self._stop_producer()

    async def _stop_producer(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await _stop(producer)


async def _together(*work: Coroutine[Any, Any, object]) -> None:
    """Return when all of it is done; when one part fails, the others end as well."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _stop(producer: AIOKafkaProducer) -> None:
    # What was left open is aborted by the next owner's fence.
    with contextlib.suppress(TimeoutError, KafkaError, AssertionError):
        await asyncio.wait_for(producer.stop(), STOP_BUDGET_SECONDS)
