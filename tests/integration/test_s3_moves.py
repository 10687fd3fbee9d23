"""Bundles, deletions and files written anew on the real S3 server, with a fault at every step in turn: nothing referenced goes.

tests/unit/snapshots tries each of the steps in memory, many more of them; here it is the server's lists, dates and conditional
PUTs that have to bear it.
"""

from collections.abc import Callable, Iterator

import pytest

from adapters.blob_store import open_blob_store
from adapters.ports import BlobStore
from backtape.stack import Endpoints
from snapshots.blobs import BUNDLES, MOVED, manifest_key
from snapshots.bundle import write_bundle
from snapshots.deletion import delete_snapshot
from snapshots.errors import SnapshotError
from snapshots.orphans import collect_orphans
from snapshots.reader import read_snapshots
from snapshots.tables import TABLES
from snapshots.verify import compare_tables, read_parts
from tests.factories import finished_log
from tests.unit.snapshots.test_bundles import one_by_one
from tests.unit.snapshots.test_compactor import Died, Fuse, FusedStore
from tests.unit.snapshots.test_moves import EXPECTED
from tests.unit.snapshots.test_orphans import members

pytestmark = pytest.mark.real

LOGS = {name: finished_log(name, seed=seed, steps=4) for seed, name in enumerate(("a", "b", "c", "d"))}
MEMBERS = members(*LOGS.values())
LATER_MS = 2**42  # after whatever the server dates now: the grace time is over at once
EVERY = 61  # of some 250 calls in all; the odd number meets another kind of step each time


@pytest.fixture
def store(endpoints: Endpoints, bucket_prefix: str, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoints.s3_access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoints.s3_secret_key)
    return open_blob_store(f"{endpoints.s3_url}/{bucket_prefix}", endpoint=endpoints.s3_endpoint)


def collected(store: BlobStore) -> None:
    assert collect_orphans(store, now_ms=LATER_MS, grace_ms=0).unreadable == []


# What happens, one after the other; whoever dies is followed by another who does the same.
ACTS: tuple[Callable[[BlobStore], object], ...] = (
    lambda store: write_bundle(store, MEMBERS, together=one_by_one),
    lambda store: delete_snapshot(store, "b"),
    collected,  # it writes the bundle anew
    collected,  # it deletes the old one
    lambda store: delete_snapshot(store, "d"),
    collected,
    collected,
    collected,
)


def check_referenced(store: BlobStore) -> None:
    """Whatever a manifest leads to is there, and holds the rows of the run's log."""
    results = read_snapshots(store)
    for table in TABLES:
        named = results._named(table)
        for (backtest_id, _), rows in zip(named, read_parts(store, named), strict=True):
            assert compare_tables(rows, EXPECTED[backtest_id][table], name=table) is None


def turns(store: BlobStore) -> Iterator[int]:
    """Play everything once without a fault, and yield the calls at which one is tried."""
    fuse = Fuse(10**9)
    for act in ACTS:
        act(FusedStore(store, fuse))
    yield from range(3, fuse.calls, EVERY)


def test_a_fault_between_any_two_steps_loses_nothing_that_is_referenced(store: BlobStore, endpoints: Endpoints) -> None:
    """Before the server has done it and, every other time, after it has and before its answer."""
    for number, at in enumerate(turns(store)):
        place = open_blob_store(f"{store.url}/{number}", endpoint=endpoints.s3_endpoint)
        fuse = Fuse(at, after=bool(number % 2))
        deaths = 0
        for act in ACTS:
            try:
                act(FusedStore(place, fuse))
            except (Died, SnapshotError):
                deaths += 1
                fuse.at = 10**9
                check_referenced(place)
                act(place)
        assert deaths == 1, f"call {at}"
        collected(place)
        check_referenced(place)
        assert [each.backtest_id for each in read_snapshots(place).manifests] == ["a", "c"]
        assert place.head(manifest_key("b")) is None
        assert len(list(place.list(BUNDLES))) == len(TABLES) and list(place.list(MOVED)) != []
