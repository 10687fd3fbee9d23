"""This module tells the consumer group how far the commands were answered: for people and tools that look at its lag.

Nothing of ours goes by it. Where a partition is read on is in its run state, moved in the transaction that answers the commands;
the group's offsets in the same transaction would cost each command two round trips (docs/performance.md).
"""

from collections.abc import Mapping
from typing import Protocol

import structlog

from adapters.errors import AdapterError
from adapters.ports import Clock, TopicPartition

log = structlog.get_logger()

TELL_SECONDS = 1.0


class Group(Protocol):
    """The consumer group's committed offsets."""

    async def commit(self, source: TopicPartition, offset: int) -> None: ...


class Answering(Protocol):
    """A partition: ``answered`` is the offset after the last command that was answered, None before it is known."""

    answered: int | None


class PositionNotes:
    """Tells the group what has changed, now and then. What fails is told the next time."""

    def __init__(self, partitions: Mapping[int, Answering], *, topic: str, group: Group, clock: Clock) -> None:
        self._partitions = partitions
        self._topic = topic
        self._group = group
        self._clock = clock
        self._told: dict[int, int] = {}

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            await self._clock.sleep(TELL_SECONDS)
            await self.tell()

    async def tell(self) -> None:
        for number, partition in list(self._partitions.items()):
            answered = partition.answered
            if answered is None or self._told.get(number) == answered:
                continue
            try:
                await self._group.commit(TopicPartition(self._topic, number), answered)
            except AdapterError as error:
                log.debug("position_not_told", partition=number, error=str(error))
                return
            self._told[number] = answered
