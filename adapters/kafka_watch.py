"""This module tells how far topics and consumer groups are: for lag, shown to people. Nothing is read or committed."""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from adapters.kafka import REQUEST_TIMEOUT_MS, translated
from adapters.kafka_address import KafkaAddress
from adapters.ports import TopicPartition


class KafkaWatch:
    """Asks one broker connection after another question; made when it is needed, and anew after an error."""

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._lock = asyncio.Lock()

    async def ends(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the last stable offset of each partition. Raises RetryableError or NotFoundError."""
        wanted = [KafkaTopicPartition(each.topic, each.partition) for each in sources]
        async with self._lock, translated("read the ends of topics"):
            try:
                if self._consumer is None:
                    consumer = AIOKafkaConsumer(
                        bootstrap_servers=self._address.bootstrap, isolation_level="read_committed",
                        enable_auto_commit=False, request_timeout_ms=REQUEST_TIMEOUT_MS,
                    )  # fmt: skip
                    self._consumer = consumer
                    await consumer.start()
                found = await self._consumer.end_offsets(wanted) if wanted else {}
            except BaseException:
                await self._drop()
                raise
        return {TopicPartition(each.topic, each.partition): int(offset) for each, offset in found.items()}

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """Return the offsets that a group has committed."""
        async with self._lock, translated(f"read the offsets of group {group}"):
            try:
                if self._admin is None:
                    admin = AIOKafkaAdminClient(bootstrap_servers=self._address.bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
                    self._admin = admin
                    await admin.start()
                found = await self._admin.list_consumer_group_offsets(group)
            except BaseException:
                await self._drop()
                raise
        return {TopicPartition(each.topic, each.partition): int(told.offset) for each, told in found.items() if told.offset >= 0}

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    async def _drop(self) -> None:
        consumer, admin = self._consumer, self._admin
        self._consumer = self._admin = None
        if consumer is not None:
            await consumer.stop()
        if admin is not None:
            await admin.close()
