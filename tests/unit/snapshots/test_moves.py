"""Shared files are written anew without deleted runs' rows; the others can be read at every moment, by their old manifests."""

import io
from collections.abc import Callable, Iterator

import pyarrow.parquet as pq
import pytest

from adapters.memory_blobs import MemoryBlobStore
from snapshots.blobs import BUNDLES, MOVED, manifest_key
from snapshots.deletion import delete_snapshot
from snapshots.errors import DamagedError
from snapshots.reader import read_snapshots
from snapshots.run_log import facts_of
from snapshots.tables import TABLES, snapshot_tables
from snapshots.verify import compare_tables, read_parts, verify_snapshot
from snapshots.writer import find_snapshot, read_manifest, winner_of
from tests.factories import finished_log
from tests.unit.snapshots.test_bundles import bundle
from tests.unit.snapshots.test_compactor import Died, Fuse, FusedStore
from tests.unit.snapshots.test_orphans import DAY_MS, Shelf

LOGS = {name: finished_log(name, seed=seed, steps=4) for seed, name in enumerate(("a", "b", "c", "d"))}
WHOLE = MemoryBlobStore(now_ms=lambda: Shelf().now_ms)  # a bundle of all of them
bundle(WHOLE, *LOGS.values())
EXPECTED = {name: snapshot_tables(name, log.bodies) for name, log in LOGS.items()}


def shelf_with(*gone: str) -> Shelf:
    """A bundle of all logs, some of which are deleted."""
    shelf = Shelf()
    shelf.store._blobs.update(WHOLE._blobs)
    shelf.store._modified.update(WHOLE._modified)
    for name in gone:
        delete_snapshot(shelf.store, name)
    return shelf


def check_readable(shelf: Shelf, *names: str) -> None:
    """These runs, and no others, can be read, whole, by the manifests that they have."""
    results = read_snapshots(shelf.store)
    assert [each.backtest_id for each in results.manifests] == list(names)
    for table in TABLES:
        expected = [EXPECTED[name][table] for name in names]
        for part, rows in zip(read_parts(shelf.store, results._named(table)), expected, strict=True):
            assert compare_tables(part, rows, name=table) is None
        assert all(shelf.store.head(file.key) is not None for file in results.files(table))


def ids_in_bundles(store: MemoryBlobStore) -> set[str]:
    """Return every backtest that a shared file says anything of: in its rows, its encoded words, its metadata."""
    found: set[str] = set()
    for blob in store.list(BUNDLES):
        file = pq.ParquetFile(io.BytesIO(store.get(blob.key)))
        said = str(file.schema_arrow.metadata)
        table = file.read()
        found |= set(table.column("backtest_id").to_pylist()) | {name for name in LOGS if f'"{name}"' in said}
        for column in table.columns:
            for chunk in column.chunks:
                if hasattr(chunk, "dictionary"):
                    found |= {word[4:] for word in chunk.dictionary.to_pylist() if str(word).startswith("tag-")}
    return found


def test_deleted_rows_go_after_the_grace_and_the_others_stay() -> None:
    """First the new files, beside the old ones; the old ones when the new ones are old enough."""
    shelf = shelf_with("b", "d")
    before = {name: shelf.store.get(manifest_key(name)) for name in ("a", "c")}
    assert ids_in_bundles(shelf.store) == {"a", "b", "c", "d"}
    assert shelf.collect(deletes=False).rewritten == 6 and not list(shelf.store.list(MOVED))
    done = shelf.collect()
    assert (done.rewritten, done.collected, done.unreadable) == (6, 0, [])
    check_readable(shelf, "a", "c")
    done = shelf.collect()
    assert (done.rewritten, done.replaced, done.collected) == (0, 6, 0)
    shelf.now_ms += 8 * DAY_MS
    done = shelf.collect()
    assert (done.rewritten, done.replaced, done.collected) == (0, 0, 6)
    check_readable(shelf, "a", "c")
    assert ids_in_bundles(shelf.store) == {"a", "c"}
    assert {name: shelf.store.get(manifest_key(name)) for name in ("a", "c")} == before
    assert (shelf.collect().rewritten, shelf.collect().collected) == (0, 0)


def test_what_was_written_anew_is_written_anew_again_until_nothing_is_left() -> None:
    """Each deletion later: a chain of moves, which readers follow; at the end not even the moves are left."""
    shelf, left = shelf_with(), ["a", "b", "c", "d"]
    while left:
        delete_snapshot(shelf.store, left.pop(0))
        for _ in range(3):
            shelf.collect()
            shelf.now_ms += 8 * DAY_MS
            check_readable(shelf, *left)
        assert ids_in_bundles(shelf.store) == set(left)
    assert not list(shelf.store.list(BUNDLES)) and not list(shelf.store.list(MOVED))


def test_a_run_that_lost_a_race_and_was_deleted_goes_from_the_losers_file_too() -> None:
    shelf = shelf_with()
    bundle(shelf.store, LOGS["a"])  # beside, and for nobody: the manifest is there
    shelf.store.delete(manifest_key("c"))
    bundle(shelf.store, LOGS["b"], LOGS["c"])  # b lies in it for nobody
    delete_snapshot(shelf.store, "b")
    for _ in range(3):
        shelf.collect()
        shelf.now_ms += 8 * DAY_MS
        check_readable(shelf, "a", "c", "d")
    assert ids_in_bundles(shelf.store) == {"a", "c", "d"}


def test_a_file_that_is_not_what_its_manifests_say_is_left_alone() -> None:
    """Damage must not be copied under a digest that fits."""
    shelf = shelf_with("b")
    blob = next(iter(shelf.store.list(BUNDLES)))
    shelf.store.put(blob.key, shelf.store.get(blob.key)[:-4] + b"PAR1")
    broken = bytearray(shelf.store.get(blob.key))
    broken[40] ^= 1
    shelf.store.put(blob.key, bytes(broken))
    shelf.now_ms += 8 * DAY_MS
    done = shelf.collect()
    assert done.rewritten == 5 and "another SHA-256" in done.unreadable[0]
    assert shelf.store.get(blob.key) == bytes(broken)


def test_a_writer_that_loses_finds_the_winners_rows_where_they_moved() -> None:
    """A compactor that reads the log again after its position was lost."""
    shelf = shelf_with("b")
    for _ in range(2):
        shelf.collect()
        shelf.now_ms += 8 * DAY_MS
    facts = facts_of(LOGS["a"].bodies)
    assert winner_of(shelf.store, facts) == find_snapshot(shelf.store, facts)
    answers = bundle(shelf.store, LOGS["a"], LOGS["c"])
    assert answers[0] == winner_of(shelf.store, facts)
    for blob in list(shelf.store.list(BUNDLES)):
        shelf.store.delete(blob.key)
    with pytest.raises(DamagedError, match="the store holds nothing"):
        winner_of(shelf.store, facts)


def test_a_death_between_any_two_steps_leaves_every_run_readable() -> None:
    """At every call of every pass of the collector; the next one completes what was begun."""
    at, is_over = 0, False
    while not is_over:
        at += 1
        shelf, fuse, is_over = shelf_with("b"), Fuse(at), True
        for _ in range(3):
            try:
                shelf.collect(store=FusedStore(shelf.store, fuse))
            except Died:
                is_over = False
                fuse.at = 10**9
                check_readable(shelf, "a", "c", "d")
            shelf.now_ms += 8 * DAY_MS
        check_readable(shelf, "a", "c", "d")
        assert ids_in_bundles(shelf.store) == {"a", "c", "d"}
    assert at > 50


class Interrupted(MemoryBlobStore):
    """A store to which something happens at one of its calls."""

    def __init__(self, store: MemoryBlobStore, turn: int, what: Callable[[], object]) -> None:
        super().__init__()
        self.calls = 0

        def call(name: str) -> Callable[..., object]:
            def done(*arguments: object) -> object:
                self.calls += 1
                if self.calls == turn:
                    what()
                result = getattr(store, name)(*arguments)
                return iter(list(result)) if isinstance(result, Iterator) else result

            return done

        for name in ("put", "put_file", "put_if_absent", "get", "pieces", "head", "list", "delete"):
            setattr(self, name, call(name))


def passes(shelf: Shelf) -> None:
    """Let the collector do all that it has to do, without any grace."""
    for _ in range(3):
        shelf.now_ms += 1
        shelf.collect(grace_days=0)
        shelf.now_ms += 1


def test_a_reader_is_not_disturbed_by_a_collector_between_any_two_of_its_steps() -> None:
    """Its files go under its hands, twice even; it finds the rows where they are."""
    turn, calls = 0, 1
    while turn < calls:
        turn += 1
        shelf = shelf_with("b")

        def collected(shelf: Shelf = shelf) -> None:
            passes(shelf)
            delete_snapshot(shelf.store, "d")
            passes(shelf)

        store = Interrupted(shelf.store, turn, collected)
        assert verify_snapshot(store, "a", LOGS["a"].bodies) is None
        calls = store.calls
    assert turn > 7


@pytest.mark.parametrize("turn", range(1, 100, 3))
def test_two_collectors_between_any_two_of_their_steps(turn: int) -> None:
    """One does everything, deletions on the way included, while the other stands between two calls, with no grace at all."""
    shelf = shelf_with("b")
    shelf.collect()

    def meanwhile() -> None:
        passes(shelf)
        delete_snapshot(shelf.store, "d")
        passes(shelf)

    shelf.now_ms += 1
    shelf.collect(grace_days=0, store=Interrupted(shelf.store, turn, meanwhile))
    check_readable(shelf, *[name for name in LOGS if shelf.store.head(manifest_key(name)) is not None])
    passes(shelf)
    check_readable(shelf, *[name for name in LOGS if shelf.store.head(manifest_key(name)) is not None])
    for name in ("a", "c"):
        read_manifest(shelf.store.get(manifest_key(name)), where=name)
