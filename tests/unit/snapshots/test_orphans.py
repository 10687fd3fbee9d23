"""Files that nobody refers to go, after a while; nothing that is referred to, or may still be, ever does."""

import random

import pytest

from adapters.memory_blobs import MemoryBlobStore
from snapshots.blobs import BUNDLES, PREFIX, manifest_key
from snapshots.bundle import member_of, write_bundle
from snapshots.deletion import delete_snapshot
from snapshots.orphans import collect_orphans
from snapshots.reader import read_snapshots
from snapshots.run_log import Place, facts_of
from snapshots.verify import verify_snapshot
from snapshots.writer import write_snapshot
from tests.factories import LOG_ID, Log, finished_log
from tests.unit.snapshots.test_bundles import bundle
from tests.unit.snapshots.test_compactor import Died, Fuse, FusedStore

PLACE = Place(LOG_ID, 0, 0, 9)
DAY_MS = 86_400_000
LOGS = {name: finished_log(name, seed=seed, steps=10) for seed, name in enumerate(("a", "b", "c", "d"))}


class Shelf:
    """A store with a clock of its own."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.store = MemoryBlobStore(now_ms=lambda: self.now_ms)

    def collect(self, *, grace_days: float = 7, deletes: bool = True, store: MemoryBlobStore | None = None):  # type: ignore[no-untyped-def]
        return collect_orphans(store or self.store, now_ms=self.now_ms, grace_ms=int(grace_days * DAY_MS), deletes=deletes)

    def check(self) -> None:
        """Every manifest's files are there, and follow from the log."""
        for manifest in read_snapshots(self.store).manifests:
            assert verify_snapshot(self.store, manifest.backtest_id, LOGS[manifest.backtest_id].bodies) is None


def members(*logs: Log):  # type: ignore[no-untyped-def]
    return [member_of(log.bodies, PLACE, facts=facts_of(log.bodies)) for log in logs]


def test_what_a_loser_left_goes_after_the_grace() -> None:
    """A bundle of runs that all had their snapshot already; before the grace is over it is only counted."""
    shelf = Shelf()
    bundle(shelf.store, LOGS["a"], LOGS["b"])
    bundle(shelf.store, LOGS["a"])
    assert len(list(shelf.store.list(BUNDLES))) == 12
    assert (shelf.collect().young, shelf.collect().collected) == (6, 0)
    shelf.now_ms += 8 * DAY_MS
    assert shelf.collect(deletes=False).collected == 6
    done = shelf.collect()
    assert (done.collected, done.files, done.unfinished, done.unreadable) == (6, 12, 0, [])
    assert done.collected_bytes > 1_000
    assert shelf.collect().files == 6
    shelf.check()


def test_what_may_still_be_completed_stays() -> None:
    """A writer died before its manifests; whoever completes the run writes the same file again, and may name it at any moment."""
    shelf = Shelf()
    bundle(shelf.store, LOGS["a"], LOGS["b"])
    write_snapshot(shelf.store, LOGS["c"].bodies, PLACE)
    for name in ("b", "c"):
        shelf.store.delete(manifest_key(name))
    bundle(shelf.store, LOGS["b"], LOGS["d"])  # another bundle of b wins
    shelf.store.delete(manifest_key("b"))
    shelf.now_ms += 30 * DAY_MS
    done = shelf.collect()
    assert (done.collected, done.rewritten, done.unfinished) == (0, 0, 18)
    assert write_snapshot(shelf.store, LOGS["c"].bodies, PLACE)
    bundle(shelf.store, LOGS["b"])
    shelf.check()


def test_a_deleted_runs_files_go() -> None:
    """Its own ones with the deletion; what a writer left afterwards, and a bundle of deleted runs, by collecting."""
    shelf = Shelf()
    bundle(shelf.store, LOGS["a"], LOGS["b"])
    for name in ("a", "b"):
        delete_snapshot(shelf.store, name)
    shelf.store.put(f"{PREFIX}a/fills-{'0' * 64}.parquet", b"left behind")
    shelf.now_ms += 8 * DAY_MS
    assert shelf.collect().collected == 7
    assert not list(shelf.store.list(BUNDLES)) and not list(shelf.store.list(PREFIX))


def test_a_file_that_does_not_say_whose_it_is_stays() -> None:
    """It is told, and somebody looks."""
    shelf = Shelf()
    shelf.store.put(f"{BUNDLES}fills-{'0' * 64}.parquet", b"PAR1 cut off")
    shelf.now_ms += 8 * DAY_MS
    done = shelf.collect()
    assert done.collected == 0 and "is no file of a bundle" in done.unreadable[0]


@pytest.mark.parametrize("seed", range(12))
def test_nothing_referenced_goes_whatever_dies_between(seed: int) -> None:
    """Writers, deleters and collectors die at any call, in any order; what has a manifest is whole at every moment."""
    chance, shelf = random.Random(seed), Shelf()
    for _ in range(14):
        shelf.now_ms += chance.choice([0, 1, 9]) * DAY_MS
        store = FusedStore(shelf.store, Fuse(chance.randrange(1, 30), after=chance.random() < 0.5))
        some = chance.sample(sorted(LOGS), chance.randrange(1, 4))
        act = chance.choice(["bundle", "bundle", "alone", "delete", "collect", "collect"])
        try:
            if act == "bundle":
                write_bundle(store, members(*[LOGS[name] for name in some]), together=lambda works: [work() for work in works])
            elif act == "alone":
                write_snapshot(store, LOGS[some[0]].bodies, PLACE)
            elif act == "delete" and chance.random() < 0.3:
                delete_snapshot(store, some[0])
            else:
                shelf.collect(grace_days=chance.choice([0, 7]), store=store)
        except Died:
            pass
        shelf.check()


@pytest.mark.parametrize("turn", range(1, 40))
def test_a_writer_between_any_two_steps_of_the_collector_is_safe(turn: int) -> None:
    """With no grace at all: at each of the collector's calls a run is completed whose files lay there without a manifest."""
    shelf = Shelf()
    bundle(shelf.store, LOGS["a"], LOGS["b"])
    write_snapshot(shelf.store, LOGS["c"].bodies, PLACE)
    for name in ("a", "b", "c"):
        shelf.store.delete(manifest_key(name))
    bundle(shelf.store, LOGS["a"])
    calls = [0]

    def complete() -> None:
        calls[0] += 1
        if calls[0] == turn:
            bundle(shelf.store, LOGS["b"], LOGS["a"])
            write_snapshot(shelf.store, LOGS["c"].bodies, PLACE)

    class Watched(MemoryBlobStore):
        def __init__(self) -> None:
            super().__init__()
            self._blobs, self._modified = shelf.store._blobs, shelf.store._modified

        def head(self, key: str):  # type: ignore[no-untyped-def]
            complete()
            return super().head(key)

        def get(self, key: str) -> bytes:
            complete()
            return super().get(key)

        def delete(self, key: str) -> None:
            complete()
            super().delete(key)

    shelf.now_ms += 1
    shelf.collect(grace_days=0, store=Watched())
    shelf.check()
    bundle(shelf.store, LOGS["b"], LOGS["a"])
    shelf.check()
