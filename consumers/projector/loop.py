"""This module is the projector: it reads events, receipts, dead letters and announcements, and keeps the read model's tables.

A plain class over ports. How far each source has been read stands in the database, moved in the transactions that write the
rows; the consumer group only says who reads what. The shell calls on_assigned, on_revoked and on_records.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import fields

import structlog

from adapters.errors import FencedError, RetryableError
from adapters.ports import Clock, LogReader, Membership, Record, RowStore, TopicPartition
from consumers.projector.batch import Counters, Limits
from consumers.projector.health import HealthWatch
from consumers.projector.source import Budget, SourceLoop
from schemas.topics import ARCHIVE, DEAD_LETTERS, EVENTS, RECEIPTS, Topic, topic_name

log = structlog.get_logger()

PROJECTED: tuple[Topic, ...] = (EVENTS, RECEIPTS, DEAD_LETTERS, ARCHIVE)
STOP_BUDGET_SECONDS = 10.0  # for the transaction under way; beyond, it is dropped, and the fence decides


class Projector:
    """Loop of the projector process.

    ``fatal`` holds the error that should end the process: rebalance callbacks swallow what they raise.
    ``sources`` is what is ours now, each with its position and counters, for metrics.
    """

    def __init__(
        self,
        *,
        store: RowStore,
        reader: LogReader,
        membership: Membership,
        clock: Clock,
        topic_prefix: str,
        limits: Limits | None = None,
    ) -> None:
        self.fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.sources: dict[TopicPartition, SourceLoop] = {}
        self.fenced = 0
        self._past = Counters()  # of sources that are no longer ours
        self._store = store
        self._reader = reader
        self._membership = membership
        self._clock = clock
        self._limits = limits or Limits()
        self._budget = Budget(self._limits.waiting_bytes, self._limits.batches)
        self._kinds: Mapping[str, str] = {topic_name(topic_prefix, topic): topic.name for topic in PROJECTED}
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self._rejoining: asyncio.Task[None] | None = None
        self._health = HealthWatch(self.sources, store=store, reader=reader, clock=clock)
        self._watching: asyncio.Task[None] | None = None

    @property
    def topics(self) -> list[str]:
        """Names of the topics to subscribe to."""
        return list(self._kinds)

    def counters(self) -> Counters:
        """Return what happened since the start, over all sources."""
        total = Counters(fenced=self.fenced)
        for counters in [self._past, *(each.counters for each in self.sources.values())]:
            total.add(counters)
        return total

    def measures(self) -> dict[str, float]:
        """Return what the shell exports."""
        total = self.counters()
        oldest = [each.oldest_ms for each in self.sources.values() if each.oldest_ms is not None]
        return {
            **{f"projector_{field.name}": getattr(total, field.name) for field in fields(total)},
            "projector_sources": len(self.sources),
            "projector_waiting_records": sum(each.waiting for each in self.sources.values()),
            "projector_lag_seconds": max(0.0, (self._clock.now_ms() - min(oldest)) / 1_000) if oldest else 0.0,
        }

    # --- the Loop port ------------------------------------------------------------------------------------------

    async def on_assigned(self, sources: set[TopicPartition]) -> None:
        await asyncio.gather(*(self._drop(source) for source in sources))
        for source in sorted(sources):
            loop = SourceLoop(
                source,
                self._kinds[source.topic],
                store=self._store,
                reader=self._reader,
                clock=self._clock,
                limits=self._limits,
                budget=self._budget,
            )
            self.sources[source] = loop
            self._tasks[source] = asyncio.create_task(self._run(loop), name=f"{source.topic}/{source.partition}")
        if self._watching is None and self.sources:
            self._watching = asyncio.create_task(self._health.run(), name="projector's health")
        log.info("sources_assigned", sources=len(sources))

    async def on_revoked(self, sources: set[TopicPartition]) -> None:
        await asyncio.gather(*(self._drop(source) for source in sources))
        if not self.sources:
            await self._stop_watching()
        log.info("sources_revoked", sources=len(sources))

    async def on_records(self, source: TopicPartition, records: Sequence[Record]) -> None:
        loop = self.sources.get(source)
        if loop is not None:
            await loop.deliver(records)

    async def close(self) -> None:
        if self._rejoining is not None:
            self._rejoining.cancel()
        await self._stop_watching()
        await asyncio.gather(*(self._drop(source) for source in list(self.sources)))
        await self._store.close()

    async def _stop_watching(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])

    # --- ownership ----------------------------------------------------------------------------------------------

    async def _run(self, loop: SourceLoop) -> None:
        """Run a source; what ends it otherwise than by ``stop`` is either the fence, or the end of this process."""
        source = loop.source

        def resume_at(offset: int) -> None:
            self._membership.seek(source, offset)
            self._membership.resume(source)

        try:
            await loop.run(resume_at)
        except FencedError as error:
            log.warning("source_fenced", topic=source.topic, partition=source.partition, error=str(error))
            self.fenced += 1
            if self._rejoining is None or self._rejoining.done():
                self._rejoining = asyncio.create_task(self._rejoin())
        except asyncio.CancelledError:
            raise
        except RetryableError as error:
            log.warning("source_given_up", topic=source.topic, partition=source.partition, error=str(error))
        except BaseException as error:
            log.exception("source_failed", topic=source.topic, partition=source.partition, error=str(error))
            if not self.fatal.done():
                self.fatal.set_result(error)

    async def _rejoin(self) -> None:
        """Somebody else moved a source: give up all of them, and ask the group who reads what."""
        await asyncio.gather(*(self._drop(source) for source in list(self.sources)))
        await self._membership.rejoin()

    async def _drop(self, source: TopicPartition) -> None:
        loop = self.sources.pop(source, None)
        if loop is None:
            return
        loop.stop()
        loop.discard()
        task = self._tasks.pop(source)
        _, pending = await asyncio.wait([task], timeout=STOP_BUDGET_SECONDS)
        if pending:
            task.cancel()
            await asyncio.wait([task])
        loop.discard()
        self._past.add(loop.counters)
