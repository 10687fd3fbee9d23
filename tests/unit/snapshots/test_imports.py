"""Imported results in the blob store: written together, put in their place by the log's word, checked, deleted, collected."""

import json
import random

import pytest

from adapters.folder import FolderBlobStore
from adapters.memory_blobs import MemoryBlobStore
from schemas.ids import sha256
from snapshots.blobs import BUNDLES, IMPORTS, manifest_key
from snapshots.deletion import delete_snapshot
from snapshots.errors import DamagedError, ReadBackError
from snapshots.imports import IMPORT_TABLES, Batch, Batches, place_manifest, write_batch
from snapshots.orphans import Orphans, collect_orphans
from snapshots.reader import read_snapshots
from snapshots.run_log import Place
from snapshots.verify_import import verify_import
from snapshots.writer import write_snapshot
from tests.factories import LOG_ID, finished_log
from tests.legacy_results import document_of, event_of, with_orders

DAY_MS = 86_400_000
START_MS = 1_700_000_000_000


class Shelf:
    """A store with a clock of its own, and batches that are in the log."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.store = MemoryBlobStore(now_ms=lambda: self.now_ms)

    def write(self, *numbers: int, import_id: str = "import-1") -> Batch:
        return write_batch(self.store, import_id, [document_of(number) for number in numbers])

    def place(self, batch: Batch) -> None:
        for waiting in batch.waiting:
            place_manifest(self.store, Batches(self.store), waiting.manifest.backtest_id, event_of(batch, waiting))

    def check(self, batch: Batch, *gone: str) -> None:
        """Every result of the batch is whole, but for those that are gone."""
        for waiting in batch.waiting:
            found = verify_import(self.store, waiting.manifest.backtest_id, event_of(batch, waiting))
            assert (found is None) == (waiting.manifest.backtest_id not in gone), found

    def collect(self) -> Orphans:
        return collect_orphans(self.store, now_ms=self.now_ms, grace_ms=7 * DAY_MS)


def test_results_are_written_together_and_wait_for_the_log() -> None:
    """Five files for three results; nobody reads them until their manifests are in their place."""
    shelf = Shelf()
    batch = shelf.write(3, 1, 2)
    assert [each.manifest.backtest_id for each in batch.waiting] == ["old-1", "old-2", "old-3"]
    assert len(list(shelf.store.list(BUNDLES))) == len(IMPORT_TABLES) == 5
    assert not read_snapshots(shelf.store).manifests
    shelf.place(batch)
    results = read_snapshots(shelf.store)
    assert list(results.summary()["origin"]) == ["imported"] * 3
    assert len(results.pandas("trades")) == 9 and len(results.pandas("equity")) == 18
    assert [sha256(each) for each in results.pandas("original")["content"]] == list(results.pandas("original")["sha256"])
    shelf.check(batch)


def test_the_same_documents_give_the_same_bytes() -> None:
    """In any order; so an import that is done again writes nothing new."""
    one, other = Shelf(), Shelf()
    assert one.write(1, 2, 3) == other.write(3, 2, 1)
    assert [(each.key, one.store.get(each.key)) for each in one.store.list("")] == [
        (each.key, other.store.get(each.key)) for each in other.store.list("")
    ]


def test_runs_and_imports_are_read_as_one_table(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """What the other system did not say is null; as a table, and as a dataset that DuckDB asks."""
    store = FolderBlobStore(tmp_path)
    write_snapshot(store, finished_log("run-1", steps=60).bodies, Place(LOG_ID, 0, 0, 9))
    batch = write_batch(store, "import-1", [document_of(1)])
    place_manifest(store, Batches(store), "old-1", event_of(batch, batch.waiting[0]))
    results = read_snapshots(store)
    trades = results.arrow("trades").to_pylist()
    assert {row["backtest_id"] for row in trades} == {"run-1", "old-1"}
    assert [row["mae"] for row in trades if row["backtest_id"] == "old-1"] == [None] * 3
    assert results.dataset("trades").to_table().sort_by("trade_id").num_rows == len(trades)
    assert len(results.arrow("events")) > 0 and len(results.arrow("original")) == 1


def test_a_manifest_in_its_place_is_announced_again_and_another_ones_is_not_touched() -> None:
    """A compactor that starts anew reads the event once more; an id that a run has stays the run's."""
    shelf = Shelf()
    batch = shelf.write(1, 2)
    shelf.place(batch)
    shelf.place(batch)
    taken = Shelf()
    write_snapshot(taken.store, finished_log("old-1").bodies, Place(LOG_ID, 0, 0, 9))
    before = taken.store.get(manifest_key("old-1"))
    with pytest.raises(DamagedError, match="is the manifest of a run, the log says content"):
        taken.place(taken.write(1))
    assert taken.store.get(manifest_key("old-1")) == before


def test_a_lost_batch_or_file_is_told() -> None:
    """By the compactor, when it is to put a manifest in its place: it never names files that are not there."""
    shelf = Shelf()
    batch = shelf.write(1)
    shelf.store.delete(batch.waiting[0].manifest.files[2].key)
    with pytest.raises(DamagedError, match="the store holds nothing"):
        shelf.place(batch)
    shelf.store.delete(batch.key)
    with pytest.raises(DamagedError, match="does not hold the manifest"):
        shelf.place(batch)
    assert shelf.store.head(manifest_key("old-1")) is None


@pytest.mark.parametrize("table", IMPORT_TABLES)
def test_a_changed_file_is_found(table: str) -> None:
    """By its digest."""
    shelf = Shelf()
    batch = shelf.write(1)
    shelf.place(batch)
    (file,) = [each for each in batch.waiting[0].manifest.files if each.table == table]
    shelf.store.put(file.key, shelf.store.get(file.key)[:-1] + b"X")
    found = verify_import(shelf.store, "old-1", event_of(batch, batch.waiting[0]))
    assert found is not None and "has SHA-256" in found


def test_rows_that_are_not_the_originals_are_found() -> None:
    """Files with right digests, of other trades: the original is read again."""
    shelf, document = Shelf(), document_of(1)
    document.rows["trades"]["exit"] = document.rows["trades"].pop("average_close")
    batch = write_batch(shelf.store, "import-1", [document])
    shelf.place(batch)
    found = verify_import(shelf.store, "old-1", event_of(batch, batch.waiting[0]))
    assert found is not None and "trades row 1, column average_close: the file has None, the original gives" in found


@pytest.mark.parametrize("changed", [(b'"trades":3', b'"trades":4'), (b'{"backtest_id"', b'{ "backtest_id"')])
def test_a_changed_manifest_is_found(changed: tuple[bytes, bytes]) -> None:
    """The log names its digest: also where it says the same in other bytes."""
    shelf = Shelf()
    batch = shelf.write(1)
    shelf.place(batch)
    body = shelf.store.get(manifest_key("old-1"))
    assert changed[0] in body
    shelf.store.put(manifest_key("old-1"), body.replace(*changed))
    found = verify_import(shelf.store, "old-1", event_of(batch, batch.waiting[0]))
    assert found is not None and "the log says" in found


@pytest.mark.parametrize("column", ["realized_pnl", "commission"])
def test_rows_that_do_not_add_up_are_not_left_for_the_log(column: str) -> None:
    """What was read back is summed again, and compared with what the document says."""
    document = document_of(1)
    document.rows["trades"][column][1] += 1.0
    store = MemoryBlobStore()
    with pytest.raises(ReadBackError, match=f"the sum of {column} is"):
        write_batch(store, "import-1", [document])
    assert not list(store.list(IMPORTS))


def test_large_results_keep_their_rows_apart() -> None:
    """Several row groups: each result lies in one."""
    marks = [
        [f"2020-01-{1 + minute // 1_440:02d}T{minute // 60 % 24:02d}:{minute % 60:02d}:00Z", 100.0] for minute in range(9_000)
    ]
    shelf = Shelf()
    documents = [document_of(number, equity=marks) for number in range(3)]
    batch = write_batch(shelf.store, "import-1", documents)
    places = [next(file for file in each.manifest.files if file.table == "equity") for each in batch.waiting]
    assert [(each.row_groups, each.first_row, each.rows) for each in places] == [
        ([0], 0, 9_000),
        ([1], 0, 9_000),
        ([2], 0, 9_000),
    ]
    shelf.place(batch)
    shelf.check(batch)


# --- deleting and collecting ----------------------------------------------------------------------------------------


def test_what_waits_or_is_referred_to_is_never_collected() -> None:
    """Before its event: the batch and its files; afterwards the files, whose batch goes after the grace time."""
    shelf = Shelf()
    batch = shelf.write(1, 2)
    shelf.now_ms += 30 * DAY_MS
    done = shelf.collect()
    assert (done.collected, done.unfinished) == (0, 6)
    shelf.place(batch)
    done = shelf.collect()
    assert (done.collected, done.unreadable) == (1, []) and not list(shelf.store.list(IMPORTS))
    shelf.check(batch)


def test_a_deleted_import_leaves_nothing() -> None:
    """Manifest at once; its rows and its original when the files are written anew without them, two collections later."""
    shelf = Shelf()
    batch = shelf.write(1, 2, 3)
    shelf.place(batch)
    delete_snapshot(shelf.store, "old-2")
    shelf.check(batch, "old-2")
    for _ in range(3):
        shelf.now_ms += 8 * DAY_MS
        assert not shelf.collect().unreadable
    shelf.check(batch, "old-2")
    assert not [each.key for each in shelf.store.list("") if b"old-2" in shelf.store.get(each.key) and "deleted/" not in each.key]


def test_a_result_that_lost_its_id_is_collected() -> None:
    """Refused because a run has the id: once that run has its snapshot, no manifest will ever name these files."""
    shelf = Shelf()
    shelf.write(1)
    write_snapshot(shelf.store, finished_log("old-1").bodies, Place(LOG_ID, 0, 0, 9))
    shelf.now_ms += 8 * DAY_MS
    assert shelf.collect().collected == 6


@pytest.mark.parametrize("seed", range(8))
def test_nothing_referenced_goes_in_any_order_of_steps(seed: int) -> None:
    """Batches that share results, placing, deletions, collections: what is in its place and not deleted is whole."""
    chance, shelf = random.Random(seed), Shelf()
    batches: list[Batch] = []
    winners: dict[str, Batch] = {}
    deleted: set[str] = set()
    for _ in range(20):
        shelf.now_ms += chance.choice([0, 1, 9]) * DAY_MS
        match chance.choice(["write", "place", "place", "delete", "collect"]):
            case "write":
                batches.append(shelf.write(*chance.sample(range(5), chance.randint(1, 4)), import_id=f"import-{len(batches)}"))
            case "place" if batches:
                batch = chance.choice(batches)
                for waiting in batch.waiting:
                    backtest_id = waiting.manifest.backtest_id
                    if backtest_id not in winners and backtest_id not in deleted and shelf.store.head(batch.key) is not None:
                        winners[backtest_id] = batch
                        place_manifest(shelf.store, Batches(shelf.store), backtest_id, event_of(batch, waiting))
            case "delete" if winners:
                backtest_id = chance.choice(sorted(winners))
                deleted.add(backtest_id)
                del winners[backtest_id]
                delete_snapshot(shelf.store, backtest_id)
            case _:
                shelf.collect()
        for backtest_id, batch in winners.items():
            waiting = next(each for each in batch.waiting if each.manifest.backtest_id == backtest_id)
            assert verify_import(shelf.store, backtest_id, event_of(batch, waiting)) is None


def test_orders_and_fills_are_there_too() -> None:
    """With the numbers that their rows have."""
    shelf = Shelf()
    document = document_of(0, **{name: with_orders()[name] for name in ("orders", "fills", "totals")})
    batch = write_batch(shelf.store, "import-1", [document])
    shelf.place(batch)
    (order, _) = read_snapshots(shelf.store).arrow("orders").to_pylist()
    assert (order["order_id"], order["tag"], order["status"], order["fills"]) == (1, "o-0", "filled", 1)
    assert json.loads(shelf.store.get(manifest_key("old-0")))["result"]["fills"] == 2
    shelf.check(batch)
