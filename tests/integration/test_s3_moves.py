"""Bundles, deletions and files written anew on the real S3 server, with a fault at every step in turn: nothing referenced goes.

tests/unit/snapshots tries each of the steps in memory, many more of them; here it is the server's lists, dates and conditional
PUTs that have to bear it.
"""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.blob_store import open_blob_store
from adapters.ports import BlobStore
from backtape.stack import Endpoints
from snapshots.blobs import BUNDLES, MOVED, manifest_key
from snapshots.bundle import write_bundle
from snapshots.deletion import delete_snapshot
from snapshots.orphans import collect_orphans
from snapshots.reader import read_snapshots
from snapshots.tables import TABLES
from snapshots.verify import compare_tables, read_parts
from tests.factories import finished_log
from tests.unit.snapshots.test_bundles import one_by_one
from tests.unit.snapshots.test_compactor import Died
from tests.unit.snapshots.test_moves import EXPECTED
from tests.unit.snapshots.test_orphans import members

pytestmark = pytest.mark.real

LOGS = {name: finished_log(name, seed=seed, steps=4) for seed, name in enumerate(("a", "b", "c", "d"))}
MEMBERS = members(*LOGS.values())
LATER_MS = 2**42  # after whatever the server dates now: the grace time is over at once
EVERY = 7  # of some 60 changes in all; moves and files are put in turn, so that an odd number meets both


@pytest.fixture
def store(endpoints: Endpoints, bucket_prefix: str, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoints.s3_access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoints.s3_secret_key)
    return open_blob_store(f"{endpoints.s3_url}/{bucket_prefix}", endpoint=endpoints.s3_endpoint)


def collected(store: Any) -> None:
    assert collect_orphans(store, now_ms=LATER_MS, grace_ms=0).unreadable == []


# What happens, one after the other; whoever dies is followed by another who does the same.
ACTS: tuple[Callable[[Any], object], ...] = (
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


class Mortal:
    """A process that dies after one of its changes: when the server has made it, before it hears of that."""

    def __init__(self, store: BlobStore, dies_after: int = 10**9) -> None:
        self.url = store.url
        self.changes = 0
        self._store = store
        self._dies_after = dies_after

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self.changes == self._dies_after:
                raise Died
            answer = getattr(self._store, name)(*arguments)
            if name in ("put", "put_file", "put_if_absent", "delete"):
                self.changes += 1
                if self.changes == self._dies_after:
                    raise Died
            return answer

        return call


def turns(store: BlobStore) -> range:
    """Play everything once without a fault, and return the changes after which one is tried."""
    mortal = Mortal(store)
    for act in ACTS:
        act(mortal)
    return range(2, mortal.changes, EVERY)


def test_a_fault_between_any_two_steps_loses_nothing_that_is_referenced(store: BlobStore, endpoints: Endpoints) -> None:
    """Whoever comes next finds what was left, and goes on."""
    for number, at in enumerate(turns(store)):
        place = open_blob_store(f"{store.url}/{number}", endpoint=endpoints.s3_endpoint)
        mortal, deaths = Mortal(place, at), 0
        for act in ACTS:
            try:
                act(mortal)
            except Died:
                deaths += 1
                mortal = Mortal(place)
                check_referenced(place)
                act(place)
        assert deaths == 1, f"change {at}"
        collected(place)
        check_referenced(place)
        assert [each.backtest_id for each in read_snapshots(place).manifests] == ["a", "c"]
        assert place.head(manifest_key("b")) is None
        assert len(list(place.list(BUNDLES))) == len(TABLES) and list(place.list(MOVED)) != []
