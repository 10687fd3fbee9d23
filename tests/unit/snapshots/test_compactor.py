"""This module tells how the compactor's loop keeps its promise: every finished run has one whole snapshot, announced."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.errors import RetryableError
from adapters.memory_blobs import MemoryBlobStore
from adapters.memory_log import MemoryAppender, MemoryLog, MemoryLogReader, MemoryMembership
from adapters.ports import TopicPartition
from consumers.compactor import Compactor
from consumers.compactor_state import CompactorRules
from consumers.snapshot_once import snapshot_once
from schemas.commit import Author, Head
from schemas.ids import Digest
from snapshots.blobs import manifest_key
from snapshots.imports import Batch, Waiting, write_batch
from snapshots.reader import read_snapshots
from snapshots.verify import verify_snapshot
from snapshots.verify_import import verify_import
from tests.factories import LOG_ID, Log, finished_log
from tests.legacy_results import document_of, event_of

EVENTS, ARCHIVE = "backtape.events", "backtape.archive"
SOURCES = {TopicPartition(EVENTS, number) for number in range(2)}


class FastClock:
    """Time that passes when somebody waits for it."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1_000)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


class Died(Exception):
    """The process is dead: nothing that it does from here on reaches the outside."""


@dataclass
class Fuse:
    """Counts calls to the outside; at one of them the process dies, before the call's effect or after it."""

    at: int = 10**9
    after: bool = False
    calls: int = 0

    def call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        self.calls += 1
        if self.calls > self.at or (self.calls == self.at and not self.after):
            raise Died
        result = work(*arguments)
        if self.calls == self.at:
            raise Died
        return result


class FusedStore(MemoryBlobStore):
    """A process's way to the store that outlives it."""

    def __init__(self, store: MemoryBlobStore, fuse: Fuse) -> None:
        super().__init__()
        self.put = lambda key, data: fuse.call(store.put, key, data)  # type: ignore[method-assign]
        self.put_if_absent = lambda key, data: fuse.call(store.put_if_absent, key, data)  # type: ignore[method-assign]
        self.put_file = lambda key, file: fuse.call(store.put_file, key, file)  # type: ignore[method-assign]
        self.pieces = lambda key: iter(fuse.call(lambda: list(store.pieces(key))))  # type: ignore[method-assign]
        self.get = lambda key: fuse.call(store.get, key)  # type: ignore[method-assign]
        self.head = lambda key: fuse.call(store.head, key)  # type: ignore[method-assign]
        self.delete = lambda key: fuse.call(store.delete, key)  # type: ignore[method-assign]
        self.list = lambda prefix: iter(fuse.call(lambda: list(store.list(prefix))))  # type: ignore[method-assign]


@dataclass
class World:
    """A broker, a store, and what processes leave behind in them."""

    clock: FastClock = field(default_factory=FastClock)
    store: MemoryBlobStore = field(default_factory=MemoryBlobStore)
    committed_positions: dict[TopicPartition, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = MemoryLog(self.clock, partitions=2)
        self.logs: dict[str, Log] = {}

    def append(self, *logs: Log, partition: int = 0, upto: int | None = None) -> None:
        """Append the runs' commits, one of each in turn, with a transaction's marker now and then."""
        self.logs.update({log.backtest_id: log for log in logs})
        queues = [list(log.bodies[:upto]) for log in logs]
        while any(queues):
            for log, queue in zip(logs, queues, strict=True):
                if queue:
                    self.put(log.backtest_id, queue.pop(0), partition=partition)
            self.log.mark(TopicPartition(EVENTS, partition))

    def put(self, key: str, body: bytes, *, partition: int = 0) -> int:
        return self.log.append(EVENTS, partition, key.encode(), body, (("log_id", LOG_ID.encode()),))

    # port Positions

    async def committed(self, source: TopicPartition) -> int | None:
        return self.committed_positions.get(source)

    async def commit(self, source: TopicPartition, offset: int) -> None:
        self.committed_positions[source] = offset

    def announced(self) -> dict[str, list[dict[str, Any]]]:
        told: dict[str, list[dict[str, Any]]] = {}
        for record in self.log.of(ARCHIVE):
            assert record.key is not None and record.value is not None
            told.setdefault(record.key.decode(), []).append(json.loads(record.value))
        return told

    def check(self, *backtest_ids: str) -> None:
        """Exactly these runs have a snapshot; each is whole, proven, and announced as it is."""
        assert sorted(read.backtest_id for read in read_snapshots(self.store).manifests) == sorted(backtest_ids)
        for backtest_id in backtest_ids:
            assert verify_snapshot(self.store, backtest_id, self.logs[backtest_id].bodies) is None
        announced = self.announced()
        assert sorted(announced) == sorted(backtest_ids)
        assert all(len({str(each) for each in told}) == 1 for told in announced.values())


class Process:
    """One compactor process with its own membership."""

    def __init__(self, world: World, *, fuse: Fuse | None = None, store: MemoryBlobStore | None = None, **rules: Any) -> None:
        self.world = world
        fuse = fuse or Fuse()
        self.membership = MemoryMembership(world.log)
        appender = MemoryAppender(world.log)

        class Announces:
            async def append(self, topic: str, key: bytes | None, value: bytes | None) -> int:
                fuse.call(lambda: None)
                return await appender.append(topic, key, value)

        class Remembers:
            async def committed(self, source: TopicPartition) -> int | None:
                return await world.committed(source)

            async def commit(self, source: TopicPartition, offset: int) -> None:
                fuse.call(lambda: None)
                await world.commit(source, offset)

        self.loop = Compactor(
            store=store or FusedStore(world.store, fuse),
            membership=self.membership,
            positions=Remembers(),
            announcer=Announces(),
            reader=MemoryLogReader(world.log),
            clock=world.clock,
            rules=CompactorRules(archive_topic=ARCHIVE, **{"small_bytes": 0, **rules}),
        )

    async def read(self, sources: set[TopicPartition] = SOURCES) -> None:
        """Deliver until nothing is left to read and nothing is waiting, or the process has failed."""
        while not self.loop.fatal.done():
            was_paused = bool(self.membership._paused)
            batches = [(source, self.membership.fetch(source)) for source in sorted(sources)]
            for source, records in batches:
                for start in range(0, len(records), 7):
                    await self.loop.on_records(source, records[start : start + 7])
            if not any(batch for _, batch in batches):
                await self.loop.drained()
            await asyncio.sleep(0)
            if not any(batch for _, batch in batches) and not self.loop.waiting and not was_paused:
                return

    async def run(self, sources: set[TopicPartition] = SOURCES) -> None:
        await self.loop.on_assigned(sources)
        await self.read(sources)


async def test_finished_runs_become_snapshots_and_are_announced() -> None:
    """Interleaved runs of all ends on two partitions; the open one waits."""
    world = World()
    ends = {"a": "completed", "b": "cancelled", "c": "failed", "open": "open"}
    world.append(*[finished_log(name, seed=seed, end=end) for seed, (name, end) in enumerate(ends.items())])
    world.append(finished_log("d", seed=9), partition=1)
    process = Process(world)
    await process.run()
    await process.loop.close()
    world.check("a", "b", "c", "d")
    assert all(len(told) == 1 for told in world.announced().values())
    assert process.loop.counts.snapshots == 4
    manifest = read_snapshots(world.store, ["d"]).manifests[0]
    assert (manifest.log_id, manifest.partition, manifest.first_offset) == (LOG_ID, 1, 0)


async def test_the_position_is_the_first_offset_of_the_oldest_open_run() -> None:
    """What a restart needs is read again; what was done costs a look at its manifest."""
    world = World()
    world.append(finished_log("early", seed=1))
    log = finished_log("open", seed=2)
    at = world.log.next_offsets[TopicPartition(EVENTS, 0)]
    world.append(log, upto=5)
    world.append(finished_log("late", seed=3))
    process = Process(world)
    await process.run()
    await process.loop.close()
    assert world.committed_positions[TopicPartition(EVENTS, 0)] == at
    world.check("early", "late")

    puts: list[str] = []
    world.store.put, kept = lambda key, data: (puts.append(key), kept(key, data))[1], world.store.put  # type: ignore[method-assign]
    for body in log.bodies[5:]:
        world.put("open", body)
    world.logs["open"] = log
    process = Process(world)
    await process.run()
    await process.loop.close()
    world.check("early", "late", "open")
    assert len(puts) == 6 and all("/open/" in key for key in puts)
    assert [len(world.announced()[name]) for name in ("early", "late", "open")] == [1, 2, 1]
    end = world.log.next_offsets[TopicPartition(EVENTS, 0)]
    assert world.committed_positions[TopicPartition(EVENTS, 0)] == end


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_at_any_step_loses_nothing(after: bool) -> None:
    """Every call to the outside is the last one once. What is there then is whole; the next process completes the rest."""
    at, calls = 0, 10**9
    while at < calls:
        at += 1
        world = World()
        world.append(finished_log("a", seed=1, steps=6), finished_log("b", seed=2, steps=6))
        dying = Process(world, fuse=(fuse := Fuse(at, after)), slots=1)
        await dying.run()
        if fuse.calls < at:
            calls = fuse.calls
        for manifest in read_snapshots(world.store).manifests:
            assert verify_snapshot(world.store, manifest.backtest_id, world.logs[manifest.backtest_id].bodies) is None
        assert set(world.announced()) <= {each.backtest_id for each in read_snapshots(world.store).manifests}
        with contextlib.suppress(Died):
            await dying.loop.close()
        heir = Process(world)
        await heir.run()
        await heir.loop.close()
        world.check("a", "b")
    assert at > 2 * 14


async def test_two_compactors_on_one_partition_make_one_snapshot_each() -> None:
    """A member that was thought dead goes on: one manifest a run, and equal announcements."""
    world = World()
    names = [f"run-{number}" for number in range(6)]
    world.append(*[finished_log(name, seed=number) for number, name in enumerate(names)])
    processes = [Process(world), Process(world)]
    await asyncio.gather(*(process.run() for process in processes))
    for process in processes:
        await process.loop.close()
    world.check(*names)


class Unreachable(MemoryBlobStore):
    """A store that answers nothing for a number of calls, then works."""

    def __init__(self, store: MemoryBlobStore, failures: int) -> None:
        super().__init__()
        self.store, self.failures = store, failures

    def _tried(self, call: str, *arguments: Any) -> Any:
        if self.failures > 0:
            self.failures -= 1
            raise RetryableError("connection refused")
        return getattr(self.store, call)(*arguments)

    def put(self, key: str, data: bytes) -> None:
        self._tried("put", key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return bool(self._tried("put_if_absent", key, data))

    def get(self, key: str) -> Any:
        return self._tried("get", key)

    def head(self, key: str) -> Any:
        return self._tried("head", key)


async def test_an_unreachable_store_is_waited_for_and_nothing_is_lost() -> None:
    """While it is away reading stops (back-pressure), and the position stays."""
    world = World()
    names = [f"run-{number}" for number in range(20)]
    for number, name in enumerate(names):
        world.append(finished_log(name, seed=number, steps=5))
    process = Process(world, store=Unreachable(world.store, failures=30), max_waiting=3, slots=2)
    await process.loop.on_assigned(SOURCES)
    source = TopicPartition(EVENTS, 0)
    taken = 0
    for record in process.membership.fetch(source):  # a consumer gives no more once it is paused
        if source in process.membership._paused:
            break
        await process.loop.on_records(source, [record])
        taken += 1
    assert process.loop.waiting == 3
    assert taken < len(world.log.of(EVENTS))
    assert world.committed_positions.get(source, 0) == 0
    process.membership.seek(source, taken)
    await process.read()
    await process.loop.close()
    world.check(*names)
    assert process.loop.counts.retries == 30
    assert source not in process.membership._paused


async def test_a_store_that_stays_away_ends_the_process_and_loses_nothing() -> None:
    """The budget is in seconds; the position stays before the run, so that the next process does it."""
    world = World()
    world.append(finished_log("a"))
    process = Process(world, store=Unreachable(world.store, failures=10**9), retry_seconds=60.0)
    began = world.clock.seconds
    await process.run()
    assert "could not write a snapshot in 60 s: connection refused" in str(process.loop.fatal.result())
    assert 30 < world.clock.seconds - began < 90
    await process.loop.close()
    assert world.committed_positions.get(TopicPartition(EVENTS, 0), 0) == 0
    heir = Process(world)
    await heir.run()
    await heir.loop.close()
    world.check("a")


def spoil(bodies: list[bytes], how: str) -> list[bytes]:
    if how == "gap":
        return bodies[:3] + bodies[4:]
    if how == "changed":
        return [*bodies[:2], bodies[2].replace(b"AAPL", b"AAPX", 1), *bodies[3:]]
    if how == "garbage":
        return [*bodies[:2], b"{", *bodies[2:]]
    return [bodies[0], bodies[0], *bodies[1:]]


@pytest.mark.parametrize("how", ["gap", "changed", "garbage", "repeated"])
async def test_a_broken_chain_is_reported_and_the_rest_goes_on(how: str) -> None:
    """No snapshot of it, one of the others; the position passes it."""
    world = World()
    for body in spoil(finished_log("bad").bodies, how):
        world.put("bad", body)
    world.append(finished_log("good", seed=2))
    process = Process(world)
    await process.run()
    await process.loop.close()
    world.check("good")
    assert process.loop.counts.refused == 1
    assert process.loop.counts.refusals[0].startswith("bad: offset")
    assert world.committed_positions[TopicPartition(EVENTS, 0)] > 10


@pytest.mark.parametrize("key, body", [("", b"{}"), ("../x", b"{}"), ("x", b""), ("x", b"[]"), ("a b", b"\xff")])
async def test_a_record_that_is_no_commit_stops_nothing(key: str, body: bytes) -> None:
    """It is refused by name."""
    world = World()
    world.put(key, body)
    world.append(finished_log("good"))
    process = Process(world)
    await process.run()
    await process.loop.close()
    world.check("good")
    assert process.loop.counts.refused == 1


async def test_a_commit_under_another_run_s_key_is_refused() -> None:
    """The key is what partitions and compaction go by."""
    world = World()
    world.put("other", finished_log("a").bodies[0])
    process = Process(world)
    await process.run()
    await process.loop.close()
    assert "its commit is of another backtest" in process.loop.counts.refusals[0]


BOUNDS = [{"memory_bytes": 2_000}, {"memory_bytes": 500, "disk_bytes": 3_000}, {"memory_bytes": 0, "disk_bytes": 0}]


@pytest.mark.parametrize("bounds", BOUNDS)
async def test_runs_too_large_to_keep_are_spilled_or_read_again(bounds: dict[str, int]) -> None:
    """The snapshots are the same."""
    world = World()
    names = [f"run-{number}" for number in range(4)]
    world.append(*[finished_log(name, seed=number, steps=40) for number, name in enumerate(names)])
    process = Process(world, **bounds)
    await process.run()
    await process.loop.close()
    world.check(*names)
    measures = process.loop.measures()
    assert measures["compactor_spooled_memory_bytes"] == measures["compactor_spooled_disk_bytes"] == 0


def imported_log(batch: Batch, waiting: Waiting) -> Log:
    """Return the log of an imported result."""
    event = event_of(batch, waiting)
    log = Log(waiting.manifest.backtest_id)
    log.head = Head.start(Digest(event.manifest_digest))
    log.append(event, author=Author.OWNER)
    return log


@pytest.mark.parametrize("at", [*range(1, 16), 10**9])
async def test_imported_results_get_their_manifests(at: int) -> None:
    """Whatever the first compactor dies at: each manifest is put in its place and announced, without a chain head of its own."""
    world = World()
    batch = write_batch(world.store, "import-1", [document_of(number) for number in range(3)])
    for waiting in batch.waiting:
        world.put(waiting.manifest.backtest_id, imported_log(batch, waiting).bodies[0])
    for fuse in (Fuse(at), Fuse()):
        process = Process(world, fuse=fuse)
        with contextlib.suppress(Died):
            await process.run()
            await process.loop.close()
    assert process.loop.counts.refused == 0
    for waiting in batch.waiting:
        backtest_id = waiting.manifest.backtest_id
        assert verify_import(world.store, backtest_id, event_of(batch, waiting)) is None
        (told, *_) = world.announced()[backtest_id]
        assert (told["manifest_sha256"], told["chain_head"], told["rows"]) == (waiting.digest, None, 10)
    assert world.committed_positions[TopicPartition(EVENTS, 0)] == 3


async def test_an_import_whose_files_are_gone_is_refused() -> None:
    """It is reported and passed over, as a broken run is."""
    world = World()
    batch = write_batch(world.store, "import-1", [document_of(0)])
    world.store.delete(batch.key)
    world.put("old-0", imported_log(batch, batch.waiting[0]).bodies[0])
    process = Process(world)
    await process.run()
    await process.loop.close()
    assert "does not hold the manifest" in process.loop.counts.refusals[0]
    assert world.committed_positions[TopicPartition(EVENTS, 0)] == 1


async def test_a_manifest_of_another_log_is_reported() -> None:
    """An id that was used twice: the first snapshot stays, the second is refused."""
    world = World()
    world.append(finished_log("a", seed=1))
    first = Process(world)
    await first.run()
    await first.loop.close()
    other = World(store=world.store)
    other.append(finished_log("a", seed=2))
    process = Process(other)
    await process.run()
    await process.loop.close()
    assert "says chain_head" in process.loop.counts.refusals[0]
    assert other.announced() == {}
    assert verify_snapshot(world.store, "a", world.logs["a"].bodies) is None


async def test_a_run_whose_beginning_was_passed_without_a_snapshot_is_reported() -> None:
    """A position that somebody moved by hand does not hide a run."""
    world = World()
    world.append(finished_log("a"))
    world.committed_positions[TopicPartition(EVENTS, 0)] = 3
    process = Process(world)
    await process.run()
    await process.loop.close()
    assert "its beginning was not read and it has no snapshot" in process.loop.counts.refusals[0]


async def test_a_position_beyond_the_log_begins_again() -> None:
    """The topic was made anew: what is done shows in its manifests."""
    world = World()
    world.append(finished_log("a"))
    world.committed_positions[TopicPartition(EVENTS, 0)] = 10_000
    process = Process(world)
    await process.run()
    await process.loop.close()
    world.check("a")


async def test_partitions_move_in_the_middle() -> None:
    """One process gives a partition up with runs half read; the other begins where it must."""
    world = World()
    names = [f"run-{number}" for number in range(5)]
    world.append(*[finished_log(name, seed=number) for number, name in enumerate(names)])
    source = TopicPartition(EVENTS, 0)
    first, second = Process(world), Process(world)
    await first.loop.on_assigned({source})
    await first.loop.on_records(source, first.membership.fetch(source)[:60])
    await first.loop.on_revoked({source})
    await first.loop.on_records(source, world.log.of(EVENTS)[60:])  # delivered late: no longer ours
    await second.run({source})
    for process in (first, second):
        await process.loop.close()
    world.check(*names)


async def test_the_job_ends_with_a_snapshot_of_every_finished_run() -> None:
    """The same loop, from the beginning to the end of every partition; twice is as good as once."""
    world = World()
    world.append(*[finished_log(name, seed=number) for number, name in enumerate("abc")])
    world.append(finished_log("open", seed=8, end="open"), finished_log("d", seed=9), partition=1)
    for body in spoil(finished_log("bad").bodies, "gap"):
        world.put("bad", body)
    progress: list[tuple[int, int]] = []
    for _ in range(2):
        report = await snapshot_once(
            reader=MemoryLogReader(world.log),
            store=world.store,
            announcer=MemoryAppender(world.log),
            clock=world.clock,
            events_topic=EVENTS,
            rules=CompactorRules(archive_topic=ARCHIVE, max_waiting=2),
            on_progress=lambda done, total: progress.append((done, total)),
        )
        world.check("a", "b", "c", "d")
        assert (report.snapshots, report.refused_count, report.open_runs) == (4, 1, 1)
        assert report.refused[0].startswith("bad: offset")
    assert progress[-1][0] <= progress[-1][1]


async def test_the_job_fails_when_the_store_stays_away() -> None:
    """It says why, instead of ending as if all were done."""
    world = World()
    world.append(finished_log("a"))
    with pytest.raises(Exception, match="could not look for a snapshot in 10 s"):
        await snapshot_once(
            reader=MemoryLogReader(world.log),
            store=Unreachable(world.store, failures=10**9),
            announcer=MemoryAppender(world.log),
            clock=world.clock,
            events_topic=EVENTS,
            rules=CompactorRules(archive_topic=ARCHIVE, retry_seconds=10.0),
        )


async def test_lag_and_spools_are_measured() -> None:
    """What the metrics show while runs are open."""
    world = World()
    world.append(finished_log("open", end="open"))
    process = Process(world)
    await process.run()
    measures = process.loop.measures()
    assert measures["compactor_open_runs"] == 1
    assert measures["compactor_spooled_memory_bytes"] == sum(map(len, world.logs["open"].bodies))
    assert measures["snapshot_lag_seconds"] == 0.0
    await process.loop.close()
    assert world.store.head(manifest_key("open")) is None


async def test_the_lag_grows_until_the_snapshot_is_announced() -> None:
    """From the record of the run's end on, by wall clock."""
    world = World()
    world.append(finished_log("done"))
    process = Process(world)
    await process.loop.on_assigned({TopicPartition(EVENTS, 0)})
    await process.loop.on_records(TopicPartition(EVENTS, 0), process.membership.fetch(TopicPartition(EVENTS, 0)))
    world.clock.seconds += 40.0
    assert process.loop.measures()["snapshot_lag_seconds"] >= 40.0
    await process.loop.drained()
    assert process.loop.measures()["snapshot_lag_seconds"] == 0.0
    await process.loop.close()
