"""This module asks the read model about ids and receipts, and sends the commands that bring results into the log."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.command_publisher import CommandPublisher, Sent
from adapters.errors import RetryableError
from adapters.ports import Clock
from adapters.postgres_reader import PostgresReader
from consumers.settings import Settings
from projections import queries

SENT_TOGETHER = 500  # commands that wait for Kafka at a time
POLL_SECONDS = 0.1
ASKED_TOGETHER = 1_000  # ids or receipts of one question


@dataclass(frozen=True, slots=True)
class Known:
    """What there is of an id: a run, a result that was imported, or the mark of a deletion."""

    origin: str  # run, imported, deleted
    digest: str | None  # of an imported result's original


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receipt says."""

    outcome: str
    reason: str | None = None
    detail: str | None = None


class Registry(Protocol):
    """The log's side of an import."""

    async def known(self, backtest_ids: Sequence[str]) -> dict[str, Known]:
        """Return what there is of these ids, as far as the read model knows."""
        ...

    async def send(self, commands: Sequence[dict[str, Any]]) -> list[Answer]:
        """Publish the commands, and return what became of each."""
        ...


class InstalledRegistry:
    """The registry of an installation: its Kafka and its database."""

    def __init__(self, settings: Settings, *, clock: Clock, patience_seconds: float) -> None:
        self._publisher = CommandPublisher(settings.kafka, partitions=settings.partitions)
        self._reader = PostgresReader(settings.database_url)
        self._clock = clock
        self._patience_seconds = patience_seconds

    async def known(self, backtest_ids: Sequence[str]) -> dict[str, Known]:
        found: dict[str, Known] = {}
        for first in range(0, len(backtest_ids), ASKED_TOGETHER):
            query = queries.import_states(backtest_ids[first : first + ASKED_TOGETHER])
            rows = await self._reader.fetch(query.sql, query.arguments)
            found |= {row["backtest_id"]: Known(row["origin"], row["digest"]) for row in rows}
        return found

    async def send(self, commands: Sequence[dict[str, Any]]) -> list[Answer]:
        """Raises RetryableError when no further receipt was seen for as long as the patience."""
        sent: list[Sent] = []
        for first in range(0, len(commands), SENT_TOGETHER):
            sent += await asyncio.gather(*(self._publisher.send(each) for each in commands[first : first + SENT_TOGETHER]))
        answers: dict[tuple[int, int], Answer] = {}
        moved = self._clock.monotonic()
        while True:
            missing = [place for each in sent if (place := (each.partition, each.offset)) not in answers]
            if not missing:
                return [answers[each.partition, each.offset] for each in sent]
            before = len(answers)
            query = queries.receipts(missing[:ASKED_TOGETHER])
            for row in await self._reader.fetch(query.sql, query.arguments):
                answers[row["partition"], row["command_offset"]] = Answer(row["outcome"], row["reason"], row["detail"])
            if len(answers) > before:
                moved = self._clock.monotonic()
                continue
            if self._clock.monotonic() - moved > self._patience_seconds:
                raise RetryableError(
                    f"{len(missing)} of {len(sent)} commands have no receipt in the read model after {self._patience_seconds:g} s"
                    " without any new one: do a worker and a projector run? `--resume` goes on from here"
                )
            await self._clock.sleep(POLL_SECONDS)

    async def close(self) -> None:
        await self._publisher.close()
        await self._reader.close()
