"""This module holds what a projector needs besides its store, as plain objects that a test looks into."""

import asyncio
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from adapters.errors import NotFoundError
from adapters.ports import Clock, Record, RowStore, TopicPartition
from backtape.stack import LocalStack
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
        self.rejoined = asyncio.Event()
        self._positioned: dict[TopicPartition, asyncio.Event] = {}

    def pause(self, source: TopicPartition) -> None:
        pass

    def seek(self, source: TopicPartition, offset: int) -> None:
        self.seeks[source] = offset

    def resume(self, source: TopicPartition) -> None:
        self._positioned.setdefault(source, asyncio.Event()).set()

    async def wait_for(self, source: TopicPartition) -> None:
        """Return once the source was positioned and resumed."""
        await self._positioned.setdefault(source, asyncio.Event()).wait()

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

    def __init__(self, store: RowStore, log: FakeLog, limits: Limits | None = None, clock: Clock | None = None) -> None:
        self.store = store
        self.log = log
        self.group = FakeGroup()
        self.projector = Projector(
            store=store, reader=log, membership=self.group, clock=clock or QuickClock(), topic_prefix="backtape", limits=limits
        )

    async def run(self, *sources: TopicPartition, chunk: int = 3) -> None:
        """Project the sources to their ends, and give them back. Raises what the projector died of."""
        wanted = set(sources or (EVENTS,))
        await self.projector.on_assigned(wanted)
        work = [asyncio.create_task(self._project(source, chunk)) for source in wanted]
        over = [self.projector.fatal, asyncio.ensure_future(self.group.rejoined.wait())]
        try:
            everything = asyncio.gather(*work)
            await asyncio.wait([everything, *over], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        finally:
            everything.cancel()
            await asyncio.gather(everything, *work, return_exceptions=True)
            over[1].cancel()
            await self.projector.on_revoked(wanted)
        if self.projector.fatal.done():
            raise self.projector.fatal.result()

    async def _project(self, source: TopicPartition, chunk: int) -> None:
        loop = self.projector.sources[source]
        await self.group.wait_for(source)
        rest = [record for record in self.log.records.get(source, []) if record.offset >= self.group.seeks[source]]
        for start in range(0, len(rest), chunk):
            await self.projector.on_records(source, rest[start : start + chunk])
        if rest:
            await loop.reached(rest[-1].offset + 1)


@contextmanager
def new_database(stack: LocalStack) -> Iterator[str]:
    """Yield the URL of an empty database, for fixtures that several tests share; dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    created = stack.postgres.execute(f"CREATE DATABASE {name}", database="postgres")
    assert created.returncode == 0, created.stderr
    yield stack.postgres.url.rpartition("/")[0] + f"/{name}"
    stack.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)", database="postgres")
