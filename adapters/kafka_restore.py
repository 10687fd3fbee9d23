"""This module appends restored records to Kafka: in order, with the times that they had, to the partition that they had."""

import asyncio

from aiokafka import AIOKafkaProducer

from adapters.kafka import REQUEST_TIMEOUT_MS, translated
from adapters.kafka_address import KafkaAddress
from adapters.ports import Record

MAX_BATCH_BYTES = 1024 * 1024


class KafkaRestorer:
    """An idempotent producer without transactions: a partition that is restored has no owner, and no marker takes an offset."""

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address
        self._producer: AIOKafkaProducer | None = None

    async def append(self, topic: str, partition: int, records: list[Record]) -> list[int]:
        """Append the records in their order and return their offsets. A time of 0 becomes the present one."""
        async with translated(f"restore {topic}[{partition}]"):
            producer = await self._started()
            sent = [
                await producer.send(
                    topic,
                    key=record.key,
                    value=record.value,
                    partition=partition,
                    timestamp_ms=record.timestamp_ms or None,
                    headers=list(record.headers),
                )
                for record in records
            ]
            return [found.offset for found in await asyncio.gather(*sent)]

    async def close(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._address.bootstrap,
                acks="all",
                enable_idempotence=True,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                max_batch_size=MAX_BATCH_BYTES,
                max_request_size=2 * MAX_BATCH_BYTES,
                compression_type="lz4",
                linger_ms=5,
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer
