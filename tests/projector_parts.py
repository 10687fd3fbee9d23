"""This module holds what a projector needs besides its store, as plain objects that a test looks into."""

import asyncio
import time
from collections.abc import Iterable

from adapters.errors import NotFoundError
from adapters.ports import Record, RowStore, TopicPartition
from consumers.projector import Limits, Projector
from tests.factories import LOG_ID, WRITTEN_MS, Log

EVENTS = TopicPartition("backtape.events", 0)


class FakeLog:
    """The LogReader port on lists of records."""

    def __init__(self) -> None:
        self.records: dict[TopicPartition, list[Record]] = {}
        self.beginnings: dict[TopicPartition, int] = {}

    def append(
        self, source: TopicPartition, key: bytes | None, value: bytes | None, *, log_id: str | None = LOG_ID, headers: tuple = ()
    ) -> None:
        records = self.records.setdefault(source, [])
        offset = records[-1].offset + 2 if records else 0  # offsets have holes
        marks = ((("log_id", log_id.encode()),) if log_id is not None else ()) + headers
        records.append(Record(source.topic, source.partition, offset, WRITTEN_MS + offset, key, value, marks))

    def append_logs(self, logs: Iterable[Log], source: TopicPartition = EVENTS) -> None:
        """Append the commits of several runs, in turns."""
        queues = [(log, iter(log.bodies)) for log in logs]
        while queues:
            for log, bodies in list(queues):
                body = next(bodies, None)
                if body is None:
                    queues.remove((log, bodies))
                else:
                    self.append(source, log.backtest_id.encode(), body)

    async def beginning(self, source: TopicPartition) -> int:
        return self.beginnings.get(source, 0)

    async def end(self, source: TopicPartition) -> int:
        records = self.records.get(source)
        return records[-1].offset + 2 if records else 0

    async def read(self, source: TopicPartition, start: int, *, max_records: int = 500) -> list[Record]:
        if start < self.beginnings.get(source, 0):
            raise NotFoundError(f"{start} is before the beginning")
        return [record for record in self.records.get(source, []) if record.offset >= start][:max_records]

    async def partitions(self, topic: str) -> int:
        return len({source.partition for source in self.records if source.topic == topic})

    async def close(self) -> None:
        pass


class FakeGroup:
    """The Membership port: remembers where each source was positioned."""

    def __init__(self) -> None:
        self.seeks: dict[TopicPartition, int] = {}
        self.positioned = asyncio.Event()
        self.rejoined = asyncio.Event()

    def pause(self, source: TopicPartition) -> None:
        pass

    def seek(self, source: TopicPartition, offset: int) -> None:
        self.seeks[source] = offset

    def resume(self, source: TopicPartition) -> None:
        self.positioned.set()

    async def rejoin(self) -> None:
        self.rejoined.set()


class QuickClock:
    """Real time, but waiting takes a hundredth of it."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic() * 100

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)


class Bench:
    """A projector on a store, fed from a fake log as a consumer would: from where the projector seeks to."""

    def __init__(self, store: RowStore, log: FakeLog, limits: Limits | None = None) -> None:
        self.store = store
        self.log = log
        self.group = FakeGroup()
        self.projector = Projector(
            store=store, reader=log, membership=self.group, clock=QuickClock(), topic_prefix="backtape", limits=limits
        )

    async def run(self, *sources: TopicPartition, chunk: int = 3) -> None:
        """Project the sources to their ends, and give them back. Raises what the projector died of."""
        wanted = set(sources or (EVENTS,))
        await self.projector.on_assigned(wanted)
        try:
            await asyncio.wait_for(self._until_done(wanted, chunk), timeout=30)
        finally:
            await self.projector.on_revoked(wanted)

    async def _until_done(self, sources: set[TopicPartition], chunk: int) -> None:
        await self._first(self.group.positioned.wait(), self.group.rejoined.wait())
        while not sources <= self.group.seeks.keys() and not self._is_over():  # noqa: ASYNC110 -- there is no event for it
            await asyncio.sleep(0)
        for source in sources & self.group.seeks.keys():
            rest = [record for record in self.log.records.get(source, []) if record.offset >= self.group.seeks[source]]
            for start in range(0, len(rest), chunk):
                await self.projector.on_records(source, rest[start : start + chunk])
        while not self._is_over() and not await self._all_written(sources):  # noqa: ASYNC110 -- there is no event for it
            await asyncio.sleep(0.001)
        if self.projector.fatal.done():
            raise self.projector.fatal.result()

    async def _all_written(self, sources: set[TopicPartition]) -> bool:
        for source in sources:
            loop = self.projector.sources.get(source)
            records = self.log.records.get(source)
            if records and (loop is None or loop.position is None or loop.position.next_offset <= records[-1].offset):
                return False
        return True

    async def _first(self, *waits: object) -> None:
        tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[arg-type]
        await asyncio.wait([*tasks, self.projector.fatal], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    def _is_over(self) -> bool:
        return self.projector.fatal.done() or self.group.rejoined.is_set()
