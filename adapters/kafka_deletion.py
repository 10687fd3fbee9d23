"""This module deletes the beginnings of partitions on Kafka, and reads how far consumer groups are with them."""

import asyncio

from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import GroupCoordinatorNotAvailableError

from adapters.kafka import admin_of, translated
from adapters.kafka_address import KafkaAddress
from adapters.ports import TopicPartition

COORDINATOR_SECONDS = 30.0
POLL_SECONDS = 0.2


class KafkaDeleter:
    """Deletes by DeleteRecords: the log's beginning moves at once, the segments go when the broker cleans up."""

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address

    async def delete_before(self, source: TopicPartition, offset: int) -> int:
        """Delete the records before an offset and return where the log begins now."""
        key = KafkaTopicPartition(source.topic, source.partition)
        async with translated(f"delete records of {source} before {offset}"), admin_of(self._address) as admin:
            return int((await admin.delete_records({key: RecordsToDelete(before_offset=offset)}))[key])


async def group_members(address: KafkaAddress, group: str) -> int:
    """Return how many consumers are in a group now; one that died counts until its session ends."""
    async with translated(f"describe group {group}"), admin_of(address) as admin, asyncio.timeout(COORDINATOR_SECONDS):
        while True:
            try:
                [described] = await admin.describe_consumer_groups([group])
            except GroupCoordinatorNotAvailableError:
                await asyncio.sleep(POLL_SECONDS)
                continue
            return sum(len(each[5]) for each in described.groups)


async def group_positions(address: KafkaAddress, group: str) -> dict[TopicPartition, int]:
    """Return the offsets that a group has committed; none where it has no such group."""
    async with (
        translated(f"read the positions of group {group}"),
        admin_of(address) as admin,
        asyncio.timeout(COORDINATOR_SECONDS),
    ):
        while True:
            try:
                found = await admin.list_consumer_group_offsets(group)
                break
            except GroupCoordinatorNotAvailableError:  # no group was ever used: asking makes the broker prepare for groups
                await asyncio.sleep(POLL_SECONDS)
    return {TopicPartition(key.topic, key.partition): value.offset for key, value in found.items() if value.offset >= 0}
