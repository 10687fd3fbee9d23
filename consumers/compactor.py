"""This module is the compactor's loop: it turns finished runs of the events topic into snapshots and announces them.

Commits are spooled run by run. At a run's terminal event its snapshot is written in a thread, then announced on the archive
topic, then forgotten; only after that may the committed position pass the run's first record. So the position is the first
offset of the oldest run that is open or not yet announced, a restart reads again whatever it needs, and a run that was done
already costs one look at its manifest. Everything may be repeated: files are named by their bytes, the manifest is a conditional
PUT, announcements are keyed by the run.

What can't be snapshotted (a broken chain, a manifest of another log) is reported and passed over. What fails from outside is
tried again within a budget; when that is spent, the loop's ``fatal`` future ends the process and nothing is lost.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec
import structlog

from adapters.errors import AdapterError, NotFoundError, RetryableError
from adapters.ports import BlobStore, Clock, LogReader, Membership, Record, TopicPartition
from consumers.archive_keeper import ArchiveKeeper
from consumers.bundler import Bundler
from consumers.compactor_state import CompactorRules, Counts, Run, Source
from schemas.canonical import canonical_json
from schemas.commit import decode_commit
from schemas.events import BacktestImported
from schemas.ids import ID_PATTERN
from schemas.manifest import SnapshotAnnouncement
from schemas.receipts import Outcome, decode_receipt
from snapshots.blobs import manifest_key
from snapshots.bundle import Answer, Member, Work, member_of, write_bundle
from snapshots.deletion import delete_snapshot, is_deleted
from snapshots.errors import LogError, ReadBackError, SnapshotError
from snapshots.imports import Batches, place_manifest
from snapshots.run_log import Place, peek
from snapshots.spool import Spool, Spools
from snapshots.writer import find_snapshot, write_snapshot

log = structlog.get_logger()

T = TypeVar("T")

_ID = re.compile(ID_PATTERN)

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 15.0
PUTS_AT_ONCE = 4  # manifests of a bundle; each waits for the store most of its time


class Positions(Protocol):
    """The group's committed positions."""

    async def committed(self, source: TopicPartition) -> int | None: ...

    async def commit(self, source: TopicPartition, offset: int) -> None: ...


class Announcer(Protocol):
    """Appends to a topic at least once, as adapters.kafka.KafkaAppender does."""

    async def append(self, topic: str, key: bytes | None, value: bytes | None) -> int: ...


class Compactor:
    """The loop (port ``Loop``). ``fatal`` is resolved with what ends the process."""

    def __init__(
        self,
        *,
        store: BlobStore,
        membership: Membership,
        positions: Positions,
        announcer: Announcer,
        reader: LogReader,
        clock: Clock,
        rules: CompactorRules,
        keeper: ArchiveKeeper | None = None,
    ) -> None:
        self.fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.counts = Counts()
        self._store = store
        self._membership = membership
        self._positions = positions
        self._announcer = announcer
        self._reader = reader
        self._clock = clock
        self._rules = rules
        self._keeper = keeper
        self._spools = Spools(memory_bytes=rules.memory_bytes, disk_bytes=rules.disk_bytes, folder=rules.folder)
        self._sources: dict[TopicPartition, Source] = {}
        self._slots = asyncio.Semaphore(rules.slots)
        self._bundler = Bundler(
            self._write_bundle,
            clock=clock,
            full_bytes=rules.bundle_bytes,
            full_runs=rules.bundle_runs,
            seconds=rules.bundle_seconds,
        )
        self._batches = Batches(store)
        self._threads = ThreadPoolExecutor(rules.slots, thread_name_prefix="snapshot")
        self._putters = ThreadPoolExecutor(PUTS_AT_ONCE, thread_name_prefix="manifest")
        self._is_paused = False
        self._drained = asyncio.Event()

    # --- the loop -------------------------------------------------------------------------------------------------

    async def on_assigned(self, sources: set[TopicPartition]) -> None:
        for source in sorted(sources):
            start, committed, end = await self._patiently("read the position", partial(self._start, source))
            self._sources[source] = Source(source, start, committed, end)
            self._membership.seek(source, start)
            if not self._is_paused:
                self._membership.resume(source)
            log.info("compactor_assigned", partition=source.partition, offset=start)
        if self._keeper is not None:
            self._keeper.own({source.partition for source in self._sources})

    async def on_revoked(self, sources: set[TopicPartition]) -> None:
        """Give partitions up. A thread may still be writing: whatever it writes, the next owner would write as well."""
        gone = [self._sources.pop(source) for source in sources if source in self._sources]
        if self._keeper is not None:
            self._keeper.own({source.partition for source in self._sources})
        tasks = [task for state in gone for task in (*state.tasks, state.committing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for state in gone:
            for run in state.runs.values():
                self._spools.release(run.spool)
            await self._commit(state)
        self._let_read()

    async def on_records(self, source: TopicPartition, records: Sequence[Record]) -> None:
        state = self._sources.get(source)
        if state is None:
            return
        for record in records:
            if record.offset >= state.next_offset:
                if source.topic == self._rules.receipts_topic:
                    await self._take_receipt(record)
                else:
                    self._take(state, record)
                state.next_offset = record.offset + 1
        if self._unbundled >= self._rules.max_waiting:
            self._stop_reading()
        self._commit_soon(state)

    async def close(self) -> None:
        await self.on_revoked(set(self._sources))
        await self._bundler.close()
        if self._keeper is not None:
            await self._keeper.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._putters.shutdown(wait=False, cancel_futures=True)

    @property
    def waiting(self) -> int:
        """Finished runs that are not announced yet."""
        return sum(len(state.tasks) for state in self._sources.values())

    @property
    def _unbundled(self) -> int:
        """Those of them that do not just wait for others to be bundled with."""
        return self.waiting - self._bundler.waiting

    async def ready(self) -> None:
        """Wait until more may be read, or the loop has failed. Runs in an open bundle go on waiting for others."""
        while self._unbundled >= self._rules.max_waiting and not self.fatal.done():
            self._drained.clear()
            await self._drained.wait()

    async def drained(self) -> None:
        """Wait until no finished run is waiting, or the loop has failed. Open bundles do not wait for others."""
        while self.waiting and not self.fatal.done():
            if self._unbundled == 0:
                self._bundler.flush()
            self._drained.clear()
            await self._drained.wait()

    def measures(self) -> dict[str, float]:
        """Return what the shell exports."""
        runs = [run for state in self._sources.values() for run in state.runs.values()]
        finished = [run.finished_ms for run in runs if run.finished_ms is not None]
        return {
            "compactor_open_runs": len(runs) - len(finished),
            "compactor_waiting_runs": len(finished),
            "compactor_spooled_memory_bytes": self._spools.in_memory,
            "compactor_spooled_disk_bytes": self._spools.on_disk,
            "compactor_bundled_runs": self._bundler.waiting,
            "compactor_bundled_bytes": self._bundler.bytes,
            "compactor_bundles": self._bundler.bundles,
            "compactor_snapshots": self.counts.snapshots,
            "compactor_deleted_snapshots": self.counts.deleted,
            "compactor_refused_runs": self.counts.refused,
            "compactor_retries": self.counts.retries,
            "snapshot_lag_seconds": max(0.0, (self._clock.now_ms() - min(finished)) / 1_000) if finished else 0.0,
            **(self._keeper.measures() if self._keeper is not None else {}),
        }

    # --- reading --------------------------------------------------------------------------------------------------

    async def _start(self, source: TopicPartition) -> tuple[int, int | None, int]:
        """Return where to read from, what is committed, and where the log ends."""
        committed = await self._positions.committed(source)
        beginning, end = await self._reader.beginning(source), await self._reader.end(source)
        if committed is None:
            return beginning, None, end
        if committed > end:  # another log under the same name: whatever of it is done shows in its manifests
            log.warning("compactor_position_beyond_log", partition=source.partition, committed=committed, end=end)
            return beginning, None, end
        return max(committed, beginning), committed, end

    def _take(self, state: Source, record: Record) -> None:
        """Spool one commit, and begin the snapshot when it is the run's last."""
        backtest_id = (record.key or b"").decode(errors="replace")
        if backtest_id in state.refused:
            return
        try:
            run = self._run_of(state, backtest_id, record)
            if run is None:
                return
            if run.chain.add(record.value or b"").backtest_id != backtest_id:
                raise LogError(f"the record's key is {backtest_id}, its commit is of another backtest")
        except LogError as error:
            self._refuse(state, backtest_id, f"offset {record.offset}: {error}")
            return
        run.last_offset = record.offset
        self._spools.append(run.spool, record.value or b"")
        if run.chain.is_finished:
            run.finished_ms = record.timestamp_ms
            run.spool.is_sealed = True
            self._begin(state, backtest_id, partial(self._finish, state, run))

    def _run_of(self, state: Source, backtest_id: str, record: Record) -> Run | None:
        """Return the run that the commit belongs to; None for one of a run whose beginning lies before our position.

        Such a run is done: the position passes a run only when it is announced or refused. Its end is the occasion to check.
        """
        run = state.runs.get(backtest_id)
        if run is not None:
            return run
        if not _ID.match(backtest_id):
            raise LogError(f"the record's key {backtest_id[:80]!r} is no backtest's id")
        seen = peek(record.value or b"")
        if seen.number > 1:
            if seen.is_terminal:
                self._begin(state, backtest_id, partial(self._check_done, backtest_id, record.offset))
            return None
        log_id = next((value.decode(errors="replace") for name, value in record.headers if name == "log_id"), "")
        run = Run(backtest_id, record.offset, log_id, self._spools.open())
        state.runs[backtest_id] = run
        return run

    def _stop_reading(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            for source in self._sources:
                self._membership.pause(source)

    def _let_read(self) -> None:
        self._drained.set()
        if self._is_paused and self._unbundled <= self._rules.max_waiting // 2:
            self._is_paused = False
            for source in self._sources:
                self._membership.resume(source)

    # --- finishing ------------------------------------------------------------------------------------------------

    def _begin(self, state: Source, backtest_id: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work beside the reading."""
        task = asyncio.create_task(self._guarded(state, backtest_id, work))
        state.tasks.add(task)
        task.add_done_callback(lambda done: self._ended(state, done))

    def _ended(self, state: Source, task: "asyncio.Task[None]") -> None:
        state.tasks.discard(task)
        self._let_read()

    async def _guarded(self, state: Source, backtest_id: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
            self._commit_soon(state)
        except SnapshotError as error:
            self._refuse(state, backtest_id, str(error))
        except Exception as error:
            self._fail(error, backtest_id=backtest_id)

    async def _finish(self, state: Source, run: Run) -> None:
        """Write the snapshot, announce it, and forget the run: in this order."""
        facts = run.chain.facts()
        if facts.is_imported:  # the files of another system's result are there, and its manifest waits
            await self._announce(await self._placed(run))
        else:
            place = Place(run.log_id, state.source.partition, run.first_offset, run.last_offset)
            is_small = run.spool.bytes <= self._rules.small_bytes and not run.spool.is_dropped
            told = await (self._bundled(state, run, place) if is_small else self._alone(state, run, place))
            await self._announce(told)
        self._forget(state, run.backtest_id)

    async def _placed(self, run: Run) -> SnapshotAnnouncement:
        """Put the manifest of an imported result in its place."""
        event = decode_commit(next(iter(run.spool))).events[-1]
        assert isinstance(event, BacktestImported), "the log of an imported result is this one event"
        put = partial(place_manifest, self._store, self._batches, run.backtest_id, event)
        return await self._patiently(
            "put the manifest of an import", lambda: asyncio.get_running_loop().run_in_executor(self._putters, put)
        )

    async def _alone(self, state: Source, run: Run, place: Place) -> SnapshotAnnouncement:
        """Write a run's snapshot in files of its own."""
        async with self._slots:
            spool = run.spool
            if spool.is_dropped:
                spool = await self._patiently("read a run again", lambda: self._read_again(state, run))
            write = partial(write_snapshot, self._store, spool, place, facts=run.chain.facts(), folder=self._rules.folder)
            return await self._patiently("write a snapshot", lambda: self._in_thread(write))

    async def _bundled(self, state: Source, run: Run, place: Place) -> SnapshotAnnouncement:
        """Write a run's snapshot together with others'; one that may be there since before our start is looked for first."""
        facts = run.chain.facts()
        async with self._slots:
            if run.last_offset < state.end:
                look = partial(find_snapshot, self._store, facts)
                found = await self._patiently("look for a snapshot", lambda: self._in_thread(look))
                if found is not None:
                    return found
            member = await self._in_thread(partial(member_of, run.spool, place, facts=facts))
            self._spools.release(run.spool)
            run.spool = Spool()
        self._drained.set()
        try:
            return await self._bundler.add(member)
        finally:
            self._drained.set()

    async def _write_bundle(self, members: list[Member]) -> list[Answer]:
        write = partial(write_bundle, self._store, members, together=self._together)
        return await self._patiently("write a bundle", lambda: self._in_thread(write))

    def _together(self, works: list[Work]) -> list[Any]:
        """Do works by threads. Called in a thread of the other pool, so that none waits for its own."""
        return list(self._putters.map(lambda work: work(), works))

    async def _announce(self, told: SnapshotAnnouncement) -> None:
        """Announce a snapshot, unless its run was deleted meanwhile: then it goes."""
        deleted = partial(is_deleted, self._store, told.backtest_id)
        if await self._patiently("look for a deletion", lambda: self._in_thread(deleted)):
            await self._delete(told.backtest_id)
            return
        key, value = told.backtest_id.encode(), canonical_json(told.model_dump(mode="json"))
        await self._patiently("announce a snapshot", lambda: self._announcer.append(self._rules.archive_topic, key, value))
        self.counts.snapshots += 1
        self.counts.bytes += told.bytes
        log.info("snapshot_announced", backtest_id=told.backtest_id, bytes=told.bytes, rows=told.rows)

    async def _take_receipt(self, record: Record) -> None:
        """Delete the snapshot of a run whose deletion was accepted."""
        if b"DeleteBacktest" not in (record.value or b""):  # cheaper than reading every receipt
            return
        try:
            receipt = decode_receipt(record.value or b"")
        except msgspec.DecodeError as error:
            log.error("receipt_unreadable", partition=record.partition, offset=record.offset, error=str(error))
            return
        if receipt.command_type == "DeleteBacktest" and receipt.outcome is Outcome.ACCEPTED and receipt.backtest_id is not None:
            await self._delete(receipt.backtest_id)

    async def _delete(self, backtest_id: str) -> None:
        """Delete a snapshot and announce that it is gone. What still waits to be written finds the mark afterwards."""
        remove = partial(delete_snapshot, self._store, backtest_id)
        await self._patiently("delete a snapshot", lambda: self._in_thread(remove))
        key = backtest_id.encode()
        await self._patiently("announce a deletion", lambda: self._announcer.append(self._rules.archive_topic, key, None))
        self.counts.deleted += 1
        log.info("snapshot_deleted", backtest_id=backtest_id)

    async def _read_again(self, state: Source, run: Run) -> Spool:
        """Read a run from the log that was too large to keep."""
        spool = Spool(self._rules.folder)
        spool.spill()
        key, offset = run.backtest_id.encode(), run.first_offset
        while offset <= run.last_offset:
            try:
                records = await self._reader.read(state.source, offset)
            except NotFoundError as error:
                raise LogError(f"the run's beginning is no longer in the log: {error}") from error
            if not records:
                raise LogError(f"the log ends at offset {offset}, before the run's end at {run.last_offset}")
            for record in records:
                if record.key == key and record.offset <= run.last_offset:
                    spool.append(record.value or b"")
            offset = records[-1].offset + 1
        return spool

    async def _check_done(self, backtest_id: str, offset: int) -> None:
        """Report a run that ends here, began before our position, and has no snapshot."""
        key = manifest_key(backtest_id)
        found = await self._patiently("look for a manifest", lambda: self._in_thread(lambda: self._store.head(key)))
        gone = partial(is_deleted, self._store, backtest_id)
        if found is None and not await self._patiently("look for a deletion", lambda: self._in_thread(gone)):
            raise LogError(f"offset {offset}: the run ends here, its beginning was not read and it has no snapshot")

    def _fail(self, error: Exception, **where: object) -> None:
        """End the process: the outside has failed for too long, or we are wrong. Nothing is lost."""
        log.error("compactor_failed", error=str(error), kind=type(error).__name__, **where)
        if not self.fatal.done():
            self.fatal.set_result(error)
        self._drained.set()

    def _refuse(self, state: Source, backtest_id: str, why: str) -> None:
        self._forget(state, backtest_id)
        state.refused.add(backtest_id)
        self.counts.refuse(backtest_id, why)
        log.error("snapshot_refused", backtest_id=backtest_id, partition=state.source.partition, error=why)

    def _forget(self, state: Source, backtest_id: str) -> None:
        """Let the position pass this run."""
        run = state.runs.pop(backtest_id, None)
        if run is not None:
            self._spools.release(run.spool)

    # --- positions ------------------------------------------------------------------------------------------------

    def _commit_soon(self, state: Source) -> None:
        """Commit the position a moment later: many runs finish in that time, and one commit serves them all."""
        if state.committing is None or state.committing.done():
            state.committing = asyncio.create_task(self._commit_later(state))

    async def _commit_later(self, state: Source) -> None:
        await self._clock.sleep(self._rules.commit_seconds)
        try:
            await self._commit(state)
        except Exception as error:
            self._fail(error, partition=state.source.partition)

    async def _commit(self, state: Source) -> None:
        """Commit the position. A failure is no harm: more is read again after a restart."""
        position = state.position
        if position == state.committed:
            return
        try:
            await self._positions.commit(state.source, position)
            state.committed = position
        except AdapterError as error:
            log.warning("compactor_commit_failed", partition=state.source.partition, offset=position, error=str(error))

    # --- the outside ----------------------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _patiently(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work; try again what may succeed later, for a bounded time."""
        started, delay = self._clock.monotonic(), FIRST_DELAY_SECONDS
        while True:
            try:
                return await work()
            except (RetryableError, ReadBackError) as error:
                self.counts.retries += 1
                if self._clock.monotonic() - started + delay > self._rules.retry_seconds:
                    raise AdapterError(f"could not {what} in {self._rules.retry_seconds:g} s: {error}") from error
                log.warning("compactor_retries", doing=what, delay_seconds=round(delay, 1), error=str(error))
                await self._clock.sleep(delay * random.uniform(0.5, 1.0))
                delay = min(LONGEST_DELAY_SECONDS, delay * 2)
