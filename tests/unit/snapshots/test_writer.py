"""This module tells what a snapshot is: its bytes, its order of steps, and who wins a race."""

from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq
import pytest

from adapters.errors import RetryableError
from adapters.memory_blobs import MemoryBlobStore
from projections.fold import fold_run
from schemas.ids import sha256
from schemas.manifest import SnapshotAnnouncement, SnapshotManifest
from snapshots.blobs import manifest_key
from snapshots.errors import DamagedError, LogError, ReadBackError
from snapshots.reader import read_snapshots
from snapshots.run_log import Place
from snapshots.tables import TABLES
from snapshots.verify import verify_snapshot
from snapshots.writer import write_snapshot
from tests.factories import LOG_ID, Log, finished_log

PLACE = Place(log_id=LOG_ID, partition=3, first_offset=10, last_offset=90)


def manifest_of(store: MemoryBlobStore, backtest_id: str = "bt-1") -> SnapshotManifest:
    return SnapshotManifest.model_validate_json(store.get(manifest_key(backtest_id)))


@pytest.mark.parametrize("end", ["completed", "cancelled", "failed"])
def test_a_finished_run_becomes_a_snapshot_that_can_be_proven(end: str) -> None:
    """Six files and a manifest; an audit finds no difference."""
    store, log = MemoryBlobStore(), finished_log(steps=60, end=end)
    told = write_snapshot(store, log.bodies, PLACE)
    manifest = manifest_of(store)
    assert verify_snapshot(store, "bt-1", log.bodies) is None
    assert [file.table for file in manifest.files] == list(TABLES)
    assert (manifest.status, manifest.commits, manifest.events) == (end, len(log.commits), len(log.events))
    assert (manifest.first_sequence, manifest.last_sequence) == (1, len(log.events))
    assert (manifest.partition, manifest.first_offset, manifest.last_offset, manifest.log_id) == (3, 10, 90, LOG_ID)
    assert manifest.chain_head == log.head.digest == told.chain_head
    assert told == SnapshotAnnouncement(
        backtest_id="bt-1",
        manifest_key="backtests/bt-1/manifest.json",
        manifest_sha256=sha256(store.get(manifest_key("bt-1"))),
        chain_head=log.head.digest,
        bytes=sum(file.bytes for file in manifest.files),
        rows=sum(file.rows for file in manifest.files),
    )


def test_the_same_log_gives_the_same_bytes() -> None:
    """Every key and every byte follow from the commits."""
    stores = [MemoryBlobStore(), MemoryBlobStore()]
    for store in stores:
        write_snapshot(store, finished_log(steps=60).bodies, PLACE)
    first, second = ({blob.key: store.get(blob.key) for blob in store.list("")} for store in stores)
    assert first == second
    assert len(first) == 7


def test_files_say_what_they_were_made_from() -> None:
    """Metadata, compression, order and types are in the file."""
    store, log = MemoryBlobStore(), finished_log(steps=60)
    write_snapshot(store, log.bodies, PLACE)
    for file in manifest_of(store).files:
        assert file.key == f"backtests/bt-1/{file.table}-{file.sha256}.parquet"
        import io

        parquet = pq.ParquetFile(io.BytesIO(store.get(file.key)))
        metadata = {key.decode(): value.decode() for key, value in parquet.schema_arrow.metadata.items() if b"backtape" in key}
        assert metadata["backtape.backtest_id"] == "bt-1"
        assert metadata["backtape.chain_head"] == log.head.digest
        assert metadata["backtape.last_sequence"] == str(len(log.events))
        assert parquet.metadata.num_rows == file.rows
        if file.rows:
            assert parquet.metadata.row_group(0).column(0).compression == "ZSTD"
            assert parquet.metadata.row_group(0).sorting_columns


def test_rows_are_those_of_the_fold() -> None:
    """Parquet and SQL come from the same rows, in the same types."""
    store, log = MemoryBlobStore(), finished_log(steps=60)
    write_snapshot(store, log.bodies, PLACE)
    results, fold = read_snapshots(store), fold_run(log.bodies)
    for name in TABLES[:-1]:
        assert results.arrow(name).equals(fold.table(name).replace_schema_metadata(None))
        assert results.arrow(name).num_rows > 0


def test_events_hold_the_recorded_bytes() -> None:
    """The payloads, joined, are what stands in the commits."""
    store, log = MemoryBlobStore(), finished_log(steps=60)
    write_snapshot(store, log.bodies, PLACE)
    events = read_snapshots(store).pandas("events")
    assert events["sequence"].tolist() == list(range(1, len(log.events) + 1))
    assert events["type"].tolist() == [type(event).__name__ for event in log.events]
    assert events["time"].astype("int64").tolist() == [event.time_ns for event in log.events]
    for number, body in enumerate(log.bodies, 1):
        part = events[events["commit"] == number]
        assert f'"events":[{",".join(part["payload"])}]}}'.encode() in body
        assert set(part["author"]) <= {"owner", "simulation"}


def test_a_run_that_never_started_has_a_snapshot() -> None:
    """A queued run that was cancelled: empty tables, two events."""
    store, log = MemoryBlobStore(), Log().accept().cancel()
    write_snapshot(store, log.bodies, PLACE)
    assert verify_snapshot(store, "bt-1", log.bodies) is None
    assert manifest_of(store).data_digest is None
    assert [file.rows for file in manifest_of(store).files] == [0, 0, 0, 0, 0, 2]


def test_an_open_run_has_no_snapshot() -> None:
    """Nothing is stored."""
    store = MemoryBlobStore()
    with pytest.raises(LogError, match="not finished"):
        write_snapshot(store, finished_log(end="open").bodies, PLACE)
    assert list(store.list("")) == []


def test_a_second_writer_finds_the_first_one_s() -> None:
    """It writes nothing and announces the same."""
    store, log = MemoryBlobStore(), finished_log()
    first = write_snapshot(store, log.bodies, PLACE)
    before = {blob.key for blob in store.list("")}
    store.put = store.put_if_absent = None  # type: ignore[assignment]
    assert write_snapshot(store, log.bodies, PLACE) == first
    assert {blob.key for blob in store.list("")} == before


def test_racing_writers_announce_one_manifest() -> None:
    """Four at once: one manifest, no file lost, four equal announcements."""
    store, log = MemoryBlobStore(), finished_log(steps=60)
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: write_snapshot(store, log.bodies, PLACE), range(4)))
    assert len(set(map(str, told))) == 1
    assert verify_snapshot(store, "bt-1", log.bodies) is None


class Raced(MemoryBlobStore):
    """A store in which another writer's manifest comes just before ours."""

    def __init__(self, others: bytes) -> None:
        super().__init__()
        self.others = others

    def put_if_absent(self, key: str, data: bytes) -> bool:
        assert super().put_if_absent(key, self.others)
        return super().put_if_absent(key, data)


def test_the_loser_checks_the_winner_and_announces_it() -> None:
    """The winner has other offsets (a restored log): its manifest stays, and is what the loser announces."""
    log, elsewhere = finished_log(), MemoryBlobStore()
    write_snapshot(elsewhere, log.bodies, Place("other-log", 0, 1, 2))
    store = Raced(elsewhere.get(manifest_key("bt-1")))
    told = write_snapshot(store, log.bodies, PLACE)
    assert told.manifest_sha256 == sha256(store.others)
    assert manifest_of(store).log_id == "other-log"
    assert verify_snapshot(store, "bt-1", log.bodies) is None


def test_a_winner_of_another_log_is_reported() -> None:
    """The chain heads differ: nothing is announced."""
    elsewhere = MemoryBlobStore()
    write_snapshot(elsewhere, finished_log(seed=2).bodies, PLACE)
    with pytest.raises(DamagedError, match=r"chain_head \w{64}, the log says \w{64}"):
        write_snapshot(Raced(elsewhere.get(manifest_key("bt-1"))), finished_log(seed=1).bodies, PLACE)


def test_a_winner_whose_files_are_missing_is_reported() -> None:
    """A manifest is not announced when what it names is not there."""
    elsewhere = MemoryBlobStore()
    write_snapshot(elsewhere, finished_log().bodies, PLACE)
    body = elsewhere.get(manifest_key("bt-1")).replace(b"/fills-", b"/fillz-")
    with pytest.raises(DamagedError, match=r"fillz-.*the store holds nothing"):
        write_snapshot(Raced(body), finished_log().bodies, PLACE)


class Stops(MemoryBlobStore):
    """A store whose process dies at one call: before it, or after it and before the answer. The dead make no further one."""

    def __init__(self, at: int, *, after: bool) -> None:
        super().__init__()
        self.calls, self.at, self.after, self.is_armed = 0, at, after, True

    def _step(self, call: str, *arguments: object) -> object:
        self.calls += 1
        is_now = self.is_armed and self.calls >= self.at
        if is_now and not self.after:
            raise RetryableError("killed before")
        result = getattr(MemoryBlobStore, call)(self, *arguments)
        if is_now:
            raise RetryableError("killed after")
        return result

    def put(self, key: str, data: bytes) -> None:
        self._step("put", key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return bool(self._step("put_if_absent", key, data))

    def get(self, key: str) -> bytes:
        result = self._step("get", key)
        assert isinstance(result, bytes)
        return result

    def head(self, key: str):  # type: ignore[no-untyped-def]
        return self._step("head", key)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_between_any_two_steps_leaves_a_whole_snapshot_or_none(after: bool) -> None:
    """One look, every file written and read back, the manifest: each is the last once, and the next writer completes it."""
    log = finished_log(steps=20)
    whole = Stops(1_000, after=after)
    write_snapshot(whole, log.bodies, PLACE)
    keys = [blob.key for blob in whole.list("")]
    assert whole.calls == 1 + 2 * (len(keys) - 1) + 1 and len(keys) > 2
    for at in range(1, whole.calls + 1):
        store = Stops(at, after=after)
        with pytest.raises(RetryableError):
            write_snapshot(store, log.bodies, PLACE)
        store.is_armed = False
        is_whole = (at, after) == (whole.calls, True)
        assert (store.head(manifest_key("bt-1")) is not None) == is_whole
        assert len(read_snapshots(store).manifests) == int(is_whole)
        write_snapshot(store, log.bodies, PLACE)
        assert verify_snapshot(store, "bt-1", log.bodies) is None
        assert [blob.key for blob in store.list("")] == keys


class Flips(MemoryBlobStore):
    """A store that damages what is written under one kind of key."""

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data[:-9] + b"x" + data[-8:] if "/fills-" in key else data)


def test_what_reads_back_otherwise_is_never_made_a_snapshot() -> None:
    """The manifest is not written."""
    store = Flips()
    with pytest.raises(ReadBackError, match="reads back with"):
        write_snapshot(store, finished_log().bodies, PLACE)
    assert store.head(manifest_key("bt-1")) is None


def broken(log: Log, how: str) -> list[bytes]:
    bodies = log.bodies
    if how == "lost":
        return bodies[:3] + bodies[4:]
    if how == "swapped":
        return [*bodies[:2], bodies[3], bodies[2], *bodies[4:]]
    if how == "repeated":
        return bodies[:3] + bodies[2:]
    if how == "headless":
        return bodies[1:]
    if how == "changed":
        return [*bodies[:2], bodies[2].replace(b"AAPL", b"AAPX", 1), *bodies[3:]]
    if how == "more":
        return [*bodies, bodies[-1]]
    return [*bodies[:2], b"no json", *bodies[2:]]


@pytest.mark.parametrize("how", ["lost", "swapped", "repeated", "headless", "changed", "more", "garbage"])
def test_a_broken_chain_has_no_snapshot(how: str) -> None:
    """Both values are named, and nothing is stored."""
    store = MemoryBlobStore()
    with pytest.raises(LogError):
        write_snapshot(store, broken(finished_log(steps=60), how), PLACE)
    assert list(store.list("")) == []
