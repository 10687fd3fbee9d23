"""Small runs share files; each is as whole, proven and announced as one that has files of its own."""

import asyncio
import contextlib

import pytest

from adapters.memory_blobs import MemoryBlobStore
from adapters.ports import TopicPartition
from consumers.compactor_state import CompactorRules
from consumers.snapshot_once import snapshot_once
from schemas.receipts import Outcome, Receipt, encode_receipt
from snapshots.blobs import BUNDLES, PREFIX, deleted_key, manifest_key
from snapshots.bundle import member_of, write_bundle
from snapshots.deletion import delete_snapshot
from snapshots.errors import ReadBackError
from snapshots.reader import read_snapshots
from snapshots.run_log import Place, facts_of
from snapshots.verify import verify_snapshot
from snapshots.writer import write_snapshot
from tests.factories import LOG_ID, Log, finished_log
from tests.unit.snapshots.test_compactor import ARCHIVE, EVENTS, Died, FastClock, Fuse, FusedStore, Process, World

MIB = 1024 * 1024
RECEIPTS = TopicPartition("backtape.receipts", 0)
PLACE = Place(LOG_ID, 0, 0, 9)


def one_by_one(works):  # type: ignore[no-untyped-def]
    return [work() for work in works]


def bundle(store: MemoryBlobStore, *logs: Log):  # type: ignore[no-untyped-def]
    members = [member_of(log.bodies, PLACE, facts=facts_of(log.bodies)) for log in logs]
    return write_bundle(store, members, together=one_by_one)


def test_a_bundle_is_six_files_and_a_manifest_for_each_run() -> None:
    """Its rows are those that the run would have in files of its own, in any number of row groups."""
    logs = [finished_log(f"bt-{number:03d}", seed=number, steps=40) for number in range(150)]
    shared, alone = MemoryBlobStore(), MemoryBlobStore()
    bundle(shared, *logs)
    for log in logs:
        write_snapshot(alone, log.bodies, PLACE)
    assert len(list(shared.list(BUNDLES))) == 6
    assert len(list(shared.list(PREFIX))) == len(logs)
    for log in logs[::17]:
        assert verify_snapshot(shared, log.backtest_id, log.bodies) is None
    together, apart = read_snapshots(shared), read_snapshots(alone)
    assert max(file.row_groups[0] for file in together.files("events")) > 0  # type: ignore[index]
    for table in ("orders", "fills", "positions", "trades", "equity", "events"):
        assert together.pandas(table).equals(apart.pandas(table))  # type: ignore[arg-type]


def test_the_same_runs_give_the_same_bundle_in_any_order() -> None:
    logs = [finished_log(f"bt-{number}", seed=number) for number in range(5)]
    first, second = MemoryBlobStore(), MemoryBlobStore()
    bundle(first, *logs)
    bundle(second, *reversed(logs))
    assert {blob.key: first.get(blob.key) for blob in first.list("")} == {
        blob.key: second.get(blob.key) for blob in second.list("")
    }


def test_who_loses_takes_the_winners_manifest() -> None:
    """A run that another bundle, or a snapshot of its own, was faster with; the other members are not touched by that."""
    store, logs = MemoryBlobStore(), [finished_log(f"bt-{number}", seed=number) for number in range(3)]
    first = write_snapshot(store, logs[1].bodies, PLACE)
    answers = bundle(store, *logs)
    assert answers[1] == first
    for log in logs:
        assert verify_snapshot(store, log.backtest_id, log.bodies) is None
    assert bundle(store, logs[2], logs[1])[0] == answers[2]


def test_a_file_that_reads_back_otherwise_puts_no_manifest() -> None:
    class Forgetful(MemoryBlobStore):
        def get(self, key: str) -> bytes:
            return super().get(key)[:-1]

    store = Forgetful()
    with pytest.raises(ReadBackError):
        bundle(store, finished_log())
    assert not list(store.list(PREFIX))


async def test_the_compactor_bundles_what_is_small() -> None:
    """Twelve small runs are three bundles, by their number; the large one has files of its own."""
    world = World()
    names = [f"run-{number:02d}" for number in range(12)]
    world.append(*[finished_log(name, seed=number, steps=8) for number, name in enumerate(names)])
    world.append(finished_log("large", seed=99, steps=200), partition=1)
    process = Process(world, small_bytes=40_000, bundle_runs=4)
    process.loop._bundler._clock = StandingClock()
    await process.run()
    await process.loop.close()
    world.check(*names, "large")
    assert len(list(world.store.list(BUNDLES))) == 3 * 6
    assert len(list(world.store.list(f"{PREFIX}large/"))) == 7
    assert process.loop.measures()["compactor_bundles"] == 3
    assert all(len(told) == 1 for told in world.announced().values())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_at_any_step_loses_nothing(after: bool) -> None:
    """Every call to the outside is the last one once; the next process completes the rest, in a bundle of its own."""
    at, calls = 0, 10**9
    while at < calls:
        at += 1
        world = World()
        world.append(finished_log("a", seed=1, steps=6), finished_log("b", seed=2, steps=6))
        dying = Process(world, fuse=(fuse := Fuse(at, after)), slots=1, small_bytes=MIB)
        await dying.run()
        if fuse.calls < at:
            calls = fuse.calls
        for manifest in read_snapshots(world.store).manifests:
            assert verify_snapshot(world.store, manifest.backtest_id, world.logs[manifest.backtest_id].bodies) is None
        with contextlib.suppress(Died):
            await dying.loop.close()
        heir = Process(world, small_bytes=MIB)
        await heir.run()
        await heir.loop.close()
        world.check("a", "b")
    assert at > 12 + 2 + 2


async def test_two_compactors_on_one_partition_make_one_snapshot_each() -> None:
    """Their bundles differ; for each run one manifest wins, and both announce it."""
    world = World()
    names = [f"run-{number}" for number in range(9)]
    world.append(*[finished_log(name, seed=number) for number, name in enumerate(names)])
    processes = [Process(world, small_bytes=MIB, bundle_runs=runs) for runs in (2, 5)]
    await asyncio.gather(*(process.run() for process in processes))
    for process in processes:
        await process.loop.close()
    world.check(*names)


class StandingClock(FastClock):
    """No time passes: a bundle is full, or it waits."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


def delete_receipt(backtest_id: str, outcome: Outcome = Outcome.ACCEPTED) -> bytes:
    return encode_receipt(
        Receipt(outcome=outcome, partition=0, offset=1, command_type="DeleteBacktest", command_id="c", backtest_id=backtest_id)
    )


async def test_a_deleted_runs_snapshot_goes_and_stays_away() -> None:
    """Bundled or not, before its snapshot or after it, also when the log is read again; the archive topic has a tombstone."""
    world = World()
    world.append(finished_log("kept", seed=1), finished_log("gone", seed=2))
    world.append(finished_log("alone", seed=3, steps=100))
    sources = {TopicPartition(EVENTS, 0), RECEIPTS}
    rules = {"small_bytes": 40_000, "receipts_topic": RECEIPTS.topic}
    process = Process(world, **rules)
    await process.run(sources)
    for name in ("gone", "alone"):
        world.log.append(RECEIPTS.topic, 0, name.encode(), delete_receipt(name))
    world.log.append(RECEIPTS.topic, 0, b"kept", delete_receipt("kept", Outcome.REJECTED))
    await process.read(sources)
    await process.loop.close()
    assert [each.backtest_id for each in read_snapshots(world.store).manifests] == ["kept"]
    assert not list(world.store.list(f"{PREFIX}alone/"))
    last = {record.key: record.value for record in world.log.of(ARCHIVE)}
    assert last[b"gone"] is None and last[b"alone"] is None and last[b"kept"] is not None

    report = await snapshot_once(
        reader=process.loop._reader, store=world.store, announcer=process.loop._announcer, clock=world.clock,
        events_topic=EVENTS, rules=CompactorRules(archive_topic=ARCHIVE, receipts_topic=RECEIPTS.topic),
    )  # fmt: skip
    assert report.refused_count == 0
    assert [each.backtest_id for each in read_snapshots(world.store).manifests] == ["kept"]


@pytest.mark.parametrize("at", range(1, 5))
def test_a_deletion_that_dies_is_completed_when_it_is_repeated(at: int) -> None:
    """Mark first: from then on the run has no snapshot for anybody who writes one."""

    store, log = MemoryBlobStore(), finished_log()
    write_snapshot(store, log.bodies, PLACE)
    with pytest.raises(Died):
        delete_snapshot(FusedStore(store, Fuse(at)), log.backtest_id)
    assert (store.head(deleted_key(log.backtest_id)) is None) == (at == 1)
    assert (store.head(manifest_key(log.backtest_id)) is None) == (at > 2)
    delete_snapshot(store, log.backtest_id)
    assert [blob.key for blob in store.list("")] == [deleted_key(log.backtest_id)]
