"""This module projects one source: an inbox, and a task that writes batch after batch.

A batch is what has arrived while the one before was written, so batches are small and quick when little happens and grow with
the load. Sources take turns: few batches are under way at a time, and the records of a source that waits for its turn are taken
when it comes. One task per source is its lock: nothing of a source is ever under way twice.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from adapters.errors import ConfigurationError, DeletedError, FatalError, FencedError, IntegrityError, RetryableError
from adapters.ports import Advance, Clock, LogReader, Record, RowStore, SourcePosition, TopicPartition
from consumers.projector.batch import Batch, Counters, EventsProjection, Limits, Projection, check_log
from consumers.projector.messages import message_projection

log = structlog.get_logger()

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
RECORD_BYTES = 200  # what a record takes besides its value
GATHER_SECONDS = 0.2  # longest wait for a whole batch of old records


class GaveUpError(FatalError):
    """The database or the log stayed away for longer than the budget."""


class Budget:
    """Bytes that may wait in all inboxes together, and the turns of their sources: so many batches at a time."""

    def __init__(self, limit: int, batches: int) -> None:
        self.turns = asyncio.Semaphore(batches)
        self._limit = limit
        self._taken = 0
        self._changed = asyncio.Event()

    async def take(self, amount: int) -> None:
        """Wait for room. One batch is always let in, however large it is."""
        while self._taken and self._taken + amount > self._limit:
            self._changed.clear()
            await self._changed.wait()
        self._taken += amount

    def give_back(self, amount: int) -> None:
        self._taken -= amount
        self._changed.set()


class SourceLoop:
    """One source while it is ours."""

    def __init__(
        self,
        source: TopicPartition,
        kind: str,
        *,
        store: RowStore,
        reader: LogReader,
        clock: Clock,
        limits: Limits,
        budget: Budget,
    ) -> None:
        self.source = source
        self.position: SourcePosition | None = None  # None until it was opened
        self.recorded_ms: int | None = None  # time of the newest record in the tables
        self.counters = Counters()
        self._store = store
        self._reader = reader
        self._clock = clock
        self._limits = limits
        self._budget = budget
        self._inbox: deque[Record] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._is_stopping = False
        self._moved = asyncio.Event()
        self._projection: Projection = (
            EventsProjection(store, max_runs=limits.runs) if kind == "events" else message_projection(kind, source)
        )

    @property
    def waiting(self) -> int:
        """Records that have arrived and are not in a batch yet."""
        return len(self._inbox)

    @property
    def oldest_ms(self) -> int | None:
        """Time of the oldest record that is not in a batch yet; None when there is none."""
        return self._inbox[0].timestamp_ms if self._inbox else None

    async def run(self, resume_at: Callable[[int], None]) -> None:
        """Go on from where the tables are, until ``stop``. Raises FencedError, or what no waiting mends."""
        self.position = await self._patiently(self._open)
        if self._is_stopping:
            return
        self._moved.set()
        resume_at(self.position.next_offset)
        began = -self._limits.linger_seconds
        while await self._wait():
            await self._linger(began)
            await self._gather()
            async with self._budget.turns:
                began = self._clock.monotonic()
                records = self._take()
                if records and not self._is_stopping:
                    await self._write(records)

    def stop(self) -> None:
        """End after the transaction that is under way."""
        self._is_stopping = True
        self._arrived.set()

    def discard(self) -> None:
        """Give back the room of what has arrived and will not be written by us."""
        while self._inbox:
            self._pop()

    async def deliver(self, records: Sequence[Record]) -> None:
        """Take records over; wait while too much is waiting."""
        for record in records:
            if self._is_stopping:
                return
            await self._budget.take(_size(record))
            if self._is_stopping:
                self._budget.give_back(_size(record))
                return
            self._inbox.append(record)
            self._waiting_bytes += _size(record)
            self._arrived.set()

    async def reached(self, offset: int) -> None:
        """Return once the tables hold everything before this offset."""
        while self.position is None or self.position.next_offset < offset:
            self._moved.clear()
            await self._moved.wait()

    async def _open(self) -> SourcePosition:
        beginning = await self._reader.beginning(self.source)
        position = await self._store.open(self.source, beginning)
        end = await self._reader.end(self.source)
        held = f"the tables hold {self.source.topic}/{self.source.partition} up to offset {position.next_offset}"
        if position.next_offset > end:
            raise IntegrityError(
                f"{held}, but the log ends at {end}: it has lost records, or was made anew."
                " Restore it, or build the tables again with `backtape rebuild`"
            )
        if position.next_offset < beginning:
            raise IntegrityError(
                f"{held}, but the log begins at {beginning}: what lies between is only in the archive."
                " Build the tables again with `backtape rebuild`"
            )
        log.info("source_opened", topic=self.source.topic, partition=self.source.partition, offset=position.next_offset, end=end)
        return position

    async def _wait(self) -> bool:
        while not self._inbox and not self._is_stopping:
            self._arrived.clear()
            await self._arrived.wait()
        return not self._is_stopping

    async def _linger(self, began: float) -> None:
        rest = began + self._limits.linger_seconds - self._clock.monotonic()
        if rest > 0:
            await self._clock.sleep(rest)

    async def _gather(self) -> None:
        """Wait for a whole batch where old records are coming in; it ends with the first two pauses in which none comes."""
        began = self._clock.monotonic()
        pauses = 0
        while pauses < 2 and self._is_behind() and self._clock.monotonic() - began < GATHER_SECONDS:
            before = self._waiting_bytes
            await self._clock.sleep(self._limits.linger_seconds)
            pauses += self._waiting_bytes == before

    def _is_behind(self) -> bool:
        """Say whether less than a batch waits, of records that were written a while ago."""
        if self._is_stopping or not self._inbox or self._waiting_bytes >= self._limits.batch_bytes:
            return False
        return self._clock.now_ms() - self._inbox[-1].timestamp_ms > 1_000 * self._limits.behind_seconds

    def _pop(self) -> Record:
        record = self._inbox.popleft()
        self._waiting_bytes -= _size(record)
        self._budget.give_back(_size(record))
        return record

    def _take(self) -> list[Record]:
        """Return the next batch: what waits, up to the limit, without what the tables hold already."""
        assert self.position is not None, "records are asked for once the position is known"
        taken: list[Record] = []
        size = 0
        while self._inbox and size < self._limits.batch_bytes:
            record = self._pop()
            if record.offset >= self.position.next_offset:
                taken.append(record)
                size += _size(record)
        return taken

    async def _write(self, records: Sequence[Record], *, refused: str | None = None) -> None:
        before = self.position
        assert before is not None, "records are asked for once the position is known"
        log_id = check_log(records, before.log_id)
        newest = records[-1]
        advance = Advance(before, log_id, next_offset=newest.offset + 1, recorded_ms=newest.timestamp_ms)
        batch = await self._patiently(lambda: self._projection.project(records, refused=refused))
        try:
            await self._store_batch(advance, batch)
        except DeletedError as error:
            # Once more, from what the tables hold now: they say that the backtest is gone, and its commits are left out.
            log.info("batch_made_again", topic=self.source.topic, partition=self.source.partition, reason=str(error))
            self._projection.reset()
            await self._write(records, refused=refused)
            return
        except (FencedError, IntegrityError, ConfigurationError, GaveUpError):
            raise
        except FatalError as error:
            if refused is not None:
                raise
            await self._isolate(records, error)
            return
        self.position = advance.after
        self.recorded_ms = newest.timestamp_ms
        self.counters.add(batch.counts)
        self._moved.set()

    async def _isolate(self, records: Sequence[Record], error: FatalError) -> None:
        """The database refuses rows: a repeated key, a text too long for an index. Find their record, and set it aside."""
        self._projection.reset()
        if len(records) == 1:
            await self._write(records, refused=str(error))
            return
        for record in records:
            await self._write([record])

    async def _store_batch(self, advance: Advance, batch: Batch) -> None:
        """Write the batch once. After an error, the position in the tables says whether it was written."""
        is_repeated = False

        async def attempt() -> None:
            nonlocal is_repeated
            if is_repeated:
                found = await self._store.position(self.source)
                if found == advance.after:
                    return  # it was written, and only the answer was lost
            is_repeated = True
            await self._store.write([advance], batch.writes, batch.effects)

        await self._patiently(attempt)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call while the database or the log is away, within the budget of seconds."""
        began = self._clock.monotonic()
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return await call()
            except FencedError:
                raise
            except RetryableError as error:
                waited = self._clock.monotonic() - began
                if self._is_stopping:
                    raise
                if waited > self._limits.retry_seconds:
                    raise GaveUpError(f"gave up after {waited:.0f} s: {error}") from error
                log.warning("projector_waits", topic=self.source.topic, partition=self.source.partition, error=str(error))
                self.counters.retries += 1
                await self._clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _size(record: Record) -> int:
    return RECORD_BYTES + len(record.value or b"")
