"""This module publishes commands: complete, checked, on their home partition, acknowledged by Kafka."""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.kafka import KafkaAppender
from adapters.kafka_address import KafkaAddress
from schemas.commands import parse_command
from schemas.partitioning import home_partition
from schemas.topics import COMMANDS


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that Kafka has acknowledged, and where it lies."""

    command_id: str
    backtest_id: str
    partition: int
    offset: int


class CommandPublisher:
    """Publishes commands of one installation."""

    def __init__(self, address: KafkaAddress, *, partitions: int) -> None:
        self._topic = address.topic(COMMANDS)
        self._partitions = partitions
        self._appender = KafkaAppender(address)

    async def send(self, command: dict[str, Any]) -> Sent:
        """Complete a command with its id and time, check it, and publish it to its home partition.

        Raises FieldError or TooLargeError when it does not follow its schema: nothing is sent then.
        """
        complete = {"command_id": str(uuid.uuid4()), "issued_at": now(), **command}
        parse_command(complete)
        key = str(complete["backtest_id"]).encode()
        partition = home_partition(key, self._partitions)
        offset = await self._appender.append(self._topic, key, json.dumps(complete).encode(), partition=partition)
        return Sent(str(complete["command_id"]), str(complete["backtest_id"]), partition, offset)

    async def send_bytes(self, key: bytes | None, body: bytes) -> tuple[int, int]:
        """Publish bytes as they are to the key's home partition, and return partition and offset."""
        partition = home_partition(key or b"", self._partitions)
        return partition, await self._appender.append(self._topic, key, body, partition=partition)

    async def close(self) -> None:
        await self._appender.close()


def now() -> str:
    """Return the present time as commands carry it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
