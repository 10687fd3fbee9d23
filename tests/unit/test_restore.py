"""A Kafka that was lost comes back from the archive: the same records, the same run state, under a new log's name."""

from __future__ import annotations

import msgspec
import pytest

from adapters.archive_files import log_id_of
from adapters.archived_log import ArchivedLogReader
from adapters.errors import ConfigurationError, IntegrityError
from adapters.memory_blobs import MemoryBlobStore
from adapters.memory_log import MemoryAppender, MemoryLogReader, MemoryRestorer
from adapters.ports import Record, TopicPartition
from consumers.archiver import Archiver
from consumers.restore import RestoreReport, restore
from engine.lifecycle import DAY_MS
from schemas.manifest import SnapshotAnnouncement
from schemas.run_state import TOPOLOGY_KEY, RunState, RunStatus, decode_topology
from snapshots.imports import Batches, place_manifest, write_batch
from snapshots.run_log import Place
from snapshots.writer import write_snapshot
from tests.factories import LOG_ID, finished_log
from tests.legacy_results import command_of, document_of, event_of
from tests.unit.worker.harness import DEAD, EVENTS, NOW_MS, RECEIPTS, RUNS, System, cancel, delete, submit
from tests.unit.worker.scripted_runner import Script, ScriptedRunner

IDS = tuple(f"bt-{number}" for number in range(6))
BATCH = write_batch(MemoryBlobStore(), "import-1", [document_of(0)])
SCRIPTS = {name: Script(commits=3 + place, padding=place) for place, name in enumerate(IDS)}


async def lost_system() -> System:
    """Return a system with runs of all kinds, one of them open in the middle, one deleted, and what could not be read."""
    system = System()
    runner = ScriptedRunner({**SCRIPTS, "bt-5": Script(commits=8, padding=5, ends="hang")})
    worker = system.worker(runner=runner)
    await worker.assign(0, 1)
    for name in IDS:
        system.send(submit(name))
    system.send(command_of(BATCH, BATCH.waiting[0]))
    system.send_raw(b"x", b"{not json")
    await worker.until(lambda: system.is_finished(*IDS[:5]) and len(system.bodies("bt-5")) >= 3)
    system.send(cancel("bt-0"))
    system.send(delete("bt-1"))
    await worker.until(lambda: len(system.receipts) == len(IDS) + 4)
    await worker.close()
    return system


def archiver(system: System, store: MemoryBlobStore, **changes: int) -> Archiver:
    return Archiver(
        reader=MemoryLogReader(system.log), store=store, announcer=MemoryAppender(system.log), clock=system.clock, prefix="t",
        **{"range_bytes": 2_000, **changes},
    )  # fmt: skip


async def restored(store: MemoryBlobStore, system: System, *, dedup_ms: int = 30 * DAY_MS, now_ms: int = NOW_MS) -> RestoreReport:
    names = iter(f"new-{number}" for number in range(100))
    return await restore(
        store=store, reader=MemoryLogReader(system.log), restorer=MemoryRestorer(system.log), prefix="t",
        partitions=system.log.partitions, dedup_ms=dedup_ms, now_ms=now_ms, new_log_id=lambda: next(names),
    )  # fmt: skip


def plain(records: list[Record]) -> list[tuple[object, ...]]:
    """What must be the same after a restore."""
    return [
        (
            record.partition,
            record.key,
            record.value,
            record.timestamp_ms,
            [each for each in record.headers if each[0] != "log_id"],
        )
        for record in records
    ]


async def test_everything_is_as_it_was_but_the_logs_name() -> None:
    """Records with their times, keys and headers; run state; and the log is a new one."""
    lost, store, new = await lost_system(), MemoryBlobStore(), System()
    write_snapshot(store, finished_log("bt-old").bodies, Place(LOG_ID, 0, 0, 9))
    await archiver(lost, store).archive_all(range(2))
    report = await restored(store, new)
    for topic in (EVENTS, RECEIPTS, DEAD):
        assert plain(new.log.of(topic)) == plain(lost.log.of(topic)) != []
        for record in new.log.of(topic):
            assert log_id_of(record) == f"new-{record.partition}"
    for number in range(2):
        last = new.log.records[TopicPartition(RUNS, number)][-1]
        assert last.key == TOPOLOGY_KEY.encode() and decode_topology(last.value or b"").log_id == f"new-{number}"
    assert {name: essence(state) for name, state in new.states().items()} == {
        name: essence(state) for name, state in lost.states().items()
    }
    assert new.states()["bt-1"].status is RunStatus.DELETED
    assert [each.key for each in new.log.of("t.archive")] == [b"bt-old"] and report.snapshots == 1
    assert [name for each in report.partitions for name in each.open_runs] == ["bt-5"]
    assert sum(each.events for each in report.partitions) == len(lost.log.of(EVENTS))
    assert {each.archived_log for each in report.partitions} == {LOG_ID}


def essence(state: RunState) -> RunState:
    """Leave out what no event says: offsets of the lost log, attempts, the moment of its end."""
    is_finished = state.status.is_finished
    return msgspec.structs.replace(
        state, accepted_offset=None, attempts=0, finished_at_ms=0 if is_finished else None,
        code_digest=None, submitted_digest="" if state.status is RunStatus.DELETED else state.submitted_digest,
    )  # fmt: skip


async def test_workers_go_on_where_the_archive_ends() -> None:
    """Repeats are recognised, and the open run ends with the very bytes that a quiet run gives."""
    lost, store, new = await lost_system(), MemoryBlobStore(), System()
    await archiver(lost, store).archive_all(range(2))
    await restored(store, new)
    quiet = System()
    for system in (quiet, new):
        worker = system.worker(runner=ScriptedRunner({**SCRIPTS, "bt-5": Script(commits=8, padding=5)}))
        await worker.assign(0, 1)
        before = len(system.receipts)
        for name in IDS:
            system.send(submit(name))
        await worker.until(lambda system=system, before=before: len(system.receipts) >= before + 6 and system.is_finished(*IDS))
        await worker.close()
    for name in IDS:
        assert new.bodies(name) == quiet.bodies(name)
    assert new.outcomes("bt-2")[-1] == "duplicate: already_finished"
    assert new.outcomes("bt-5")[-1] == "duplicate: already_submitted"
    assert new.outcomes("bt-1")[-1] == "rejected: deleted"


async def test_imported_results_are_remembered_by_their_originals() -> None:
    """And their snapshots are announced again, without a chain head."""
    lost, store, new = await lost_system(), MemoryBlobStore(), System()
    waiting = write_batch(store, "import-1", [document_of(0)]).waiting[0]
    place_manifest(store, Batches(store), "old-0", event_of(BATCH, waiting))
    await archiver(lost, store).archive_all(range(2))
    assert (await restored(store, new)).snapshots == 1
    (told,) = [SnapshotAnnouncement.model_validate_json(each.value or b"") for each in new.log.of("t.archive")]
    assert (told.backtest_id, told.chain_head, told.manifest_sha256) == ("old-0", None, waiting.digest)
    worker = new.worker()
    await worker.assign(0, 1)
    new.send(command_of(BATCH, BATCH.waiting[0]))
    new.send(command_of(BATCH, BATCH.waiting[0], content_sha256="0" * 64))
    await worker.until(lambda: len(new.outcomes("old-0")) == 3)
    await worker.close()
    assert new.outcomes("old-0") == ["accepted", "duplicate: already_imported", "rejected: id_taken"]


@pytest.mark.parametrize("calls", range(8))
async def test_a_restore_that_died_goes_on(calls: int) -> None:
    """After any number of appends, whole or not: nothing is twice, and a partition keeps the name that it was given."""
    lost, store, new = await lost_system(), MemoryBlobStore(), System()
    await archiver(lost, store).archive_all(range(2))
    dying = MemoryRestorer(new.log)
    left = [calls]

    async def append(topic: str, partition: int, records: list[Record]) -> list[int]:
        if left[0] == 0:
            await MemoryRestorer.append(dying, topic, partition, records[: len(records) // 2])
            raise ConnectionError("died")
        left[0] -= 1
        return await MemoryRestorer.append(dying, topic, partition, records)

    dying.append = append  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await restore(
            store=store, reader=MemoryLogReader(new.log), restorer=dying, prefix="t", partitions=2, dedup_ms=30 * DAY_MS,
            now_ms=NOW_MS, new_log_id=lambda: "first",
        )  # fmt: skip
    await restored(store, new)
    for topic in (EVENTS, RECEIPTS, DEAD):
        assert plain(new.log.of(topic)) == plain(lost.log.of(topic))
        for number in range(2):
            assert len({log_id_of(record) for record in new.log.records.get(TopicPartition(topic, number), [])}) <= 1
    assert {name: essence(state) for name, state in new.states().items()} == {
        name: essence(state) for name, state in lost.states().items()
    }


async def test_what_was_archived_last_is_the_end() -> None:
    """A restored log that has grown is restored from its own archive, not from the one before it."""
    lost, store, new = await lost_system(), MemoryBlobStore(), System()
    await archiver(lost, store).archive_all(range(2))
    await restored(store, new)
    worker = new.worker(runner=ScriptedRunner({"bt-5": Script(commits=8, padding=5)}))
    await worker.assign(0, 1)
    await worker.until(lambda: new.is_finished("bt-5"))
    await worker.close()
    await archiver(new, store).archive_all(range(2))
    third = System()
    report = await restored(store, third)
    assert third.bodies("bt-5") == new.bodies("bt-5")
    assert not [name for each in report.partitions for name in each.open_runs]
    assert any(each.archived_log.startswith("new-") for each in report.partitions)


async def test_runs_that_ended_before_the_window_are_not_remembered() -> None:
    lost, store, new = await lost_system(), MemoryBlobStore(), System()
    await archiver(lost, store).archive_all(range(2))
    await restored(store, new, now_ms=NOW_MS + 31 * DAY_MS)
    assert set(new.states()) == {"bt-5"}


async def test_a_topic_that_holds_something_else_is_refused() -> None:
    """Nothing is mixed; the message says where."""
    lost, store, new = await lost_system(), MemoryBlobStore(), System()
    await archiver(lost, store).archive_all(range(2))
    number = next(record.partition for record in lost.log.of(EVENTS))
    new.log.append(EVENTS, number, b"bt-0", b"other", (("log_id", b"x"),))
    with pytest.raises(ConfigurationError, match="holds at offset 0 what the archive does not"):
        await restored(store, new)


async def test_another_number_of_partitions_is_refused() -> None:
    lost, store, new = await lost_system(), MemoryBlobStore(), System(partitions=3)
    await archiver(lost, store).archive_all(range(2))
    with pytest.raises(ConfigurationError, match="set BACKTAPE_PARTITIONS to the number that the archive was made with"):
        await restored(store, new)


async def test_a_broken_range_is_said() -> None:
    """One byte of one file."""
    lost, store, new = await lost_system(), MemoryBlobStore(), System()
    await archiver(lost, store).archive_all(range(2))
    key = next(blob.key for blob in store.list("archive/events/") if blob.key.endswith(".zst"))
    store.put(key, store.get(key) + b"!")
    with pytest.raises(IntegrityError, match="SHA-256"):
        await restored(store, new)


async def test_a_partition_that_never_had_an_event_keeps_its_receipts() -> None:
    """Commands that were refused, and nothing else: they are archived by the log that the receipts name, and come back."""
    lost, store, new = System(), MemoryBlobStore(), System()
    worker = lost.worker()
    await worker.assign(0, 1)
    lost.send({**submit("bt-1"), "spec": {}})
    lost.send_raw(b"x", b"{not json")
    await worker.until(lambda: len(lost.receipts) == 2)
    await worker.close()
    assert lost.log.of(EVENTS) == []
    await archiver(lost, store).archive_all(range(2))
    joined = ArchivedLogReader(MemoryLogReader(lost.log), lambda: store, "t")
    for number in range(2):
        receipts = TopicPartition(RECEIPTS, number)
        records = lost.log.records.get(receipts, [])
        for record in records[:-1]:
            lost.log.truncate(receipts, record.offset + 1)
        if records:
            assert await joined.read(receipts, await joined.beginning(receipts)) == records
    report = await restored(store, new)
    assert sum(each.receipts for each in report.partitions) == 2
    assert sum(each.dead_letters for each in report.partitions) == 1
    again = await restored(store, new)  # compares what is there
    assert [each.log_id for each in again.partitions] == [each.log_id for each in report.partitions]
    assert len(new.log.of(RECEIPTS)) == 2
