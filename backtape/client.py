"""This module sends commands: what the command line's submit and cancel do, for programs that have Backtape at hand.

Other systems need nothing of ours to do the same: docs/producers.md.
"""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.kafka import KafkaAppender
from consumers.settings import Settings
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


class Client:
    """Publishes commands. Use as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._appender = KafkaAppender(settings.kafka)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._appender.close()

    async def submit(
        self, spec: dict[str, Any], *, backtest_id: str | None = None, submitter: str | None = None, priority: int = 0
    ) -> Sent:
        """Ask for a backtest. Without an id a new one is made.

        Raises FieldError or TooLargeError when the spec does not follow its schema: nothing is sent then.
        """
        command: dict[str, Any] = {"type": "SubmitBacktest", "backtest_id": backtest_id or str(uuid.uuid4()), "spec": spec}
        if submitter is not None:
            command["submitter"] = submitter
        if priority:
            command["priority"] = priority
        return await self.send(command)

    async def cancel(self, backtest_id: str, *, reason: str = "") -> Sent:
        """Ask for a backtest's end."""
        return await self.send({"type": "CancelBacktest", "backtest_id": backtest_id, "reason": reason})

    async def send(self, command: dict[str, Any]) -> Sent:
        """Complete a command with its id and time, check it, and publish it to its home partition."""
        complete = {"command_id": str(uuid.uuid4()), "issued_at": now(), **command}
        parse_command(complete)
        key = str(complete["backtest_id"]).encode()
        partition = home_partition(key, self._settings.partitions)
        body = json.dumps(complete).encode()
        offset = await self._appender.append(self._settings.kafka.topic(COMMANDS), key, body, partition=partition)
        return Sent(str(complete["command_id"]), str(complete["backtest_id"]), partition, offset)


def now() -> str:
    """Return the present time as commands carry it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
