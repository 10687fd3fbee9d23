"""This module tells how the results of many backtests are read."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from adapters.blob_store import open_blob_store
from adapters.folder import FolderBlobStore
from adapters.memory_blobs import MemoryBlobStore
from backtape.stored_results import read_results
from snapshots.blobs import manifest_key
from snapshots.bundle import member_of, write_bundle
from snapshots.deletion import delete_snapshot
from snapshots.errors import DamagedError, SnapshotError
from snapshots.reader import read_snapshots
from snapshots.run_log import Place, facts_of
from snapshots.tables import TABLES
from snapshots.writer import write_snapshot
from tests.factories import LOG_ID, finished_log

IDS = ("bt-1", "bt-2", "bt-3")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Three snapshots in a folder, and the files of a fourth run that has no manifest yet."""
    url = f"file://{tmp_path}"
    store = open_blob_store(url)
    for seed, backtest_id in enumerate([*IDS, "unfinished"]):
        write_snapshot(store, finished_log(backtest_id, seed=seed, steps=40).bodies, Place(LOG_ID, 0, 0, 9))
    store.delete(manifest_key("unfinished"))
    return url


def test_all_complete_snapshots_are_read(url: str) -> None:
    """Tables are joined in the order of ids; files without a manifest are not read."""
    results = read_results(url)
    assert [manifest.backtest_id for manifest in results.manifests] == list(IDS)
    for name in TABLES:
        frame = results.pandas(name)
        assert list(frame["backtest_id"].unique()) == list(IDS)
        assert len(frame) == sum(file.rows for file in results.files(name))
    assert results.summary()["status"].tolist() == ["completed"] * 3


def test_some_can_be_chosen(url: str) -> None:
    """By id, in the order given; one without a snapshot is an error."""
    assert [each.backtest_id for each in read_results(url, ["bt-3", "bt-1"]).manifests] == ["bt-3", "bt-1"]
    with pytest.raises(SnapshotError, match="unfinished"):
        read_results(url, ["bt-1", "unfinished"])


def test_other_tools_get_explicit_lists_of_files(url: str) -> None:
    """DuckDB and pandas read exactly the files that the manifests name."""
    import duckdb

    results = read_results(url)
    paths = [each.removeprefix("file://") for each in results.urls("fills")]
    count, volume = duckdb.sql(f"SELECT count(*), sum(quantity) FROM read_parquet({paths})").fetchall()[0]
    frame = results.pandas("fills")
    assert count == len(frame) and volume == pytest.approx(frame["quantity"].sum())
    assert len(pd.concat([pd.read_parquet(path) for path in paths])) == len(frame)


def test_damaged_files_are_not_read(url: str) -> None:
    """A digest that differs stops the reading."""
    path = Path(read_results(url).urls("trades")[0].removeprefix("file://"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(DamagedError, match="SHA-256"):
        read_results(url).arrow("trades")


def test_no_snapshots_give_empty_tables() -> None:
    """With the columns of full ones."""
    results = read_snapshots(MemoryBlobStore())
    assert results.arrow("fills").num_rows == 0
    assert "price" in results.arrow("fills").schema.names
    assert results.arrow("events").schema.field("time").type == pa.timestamp("ns", tz="UTC")
    assert results.summary().empty


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A hundred small snapshots in one bundle, beside one that has files of its own, and one that was deleted."""
    store = open_blob_store(f"file://{tmp_path_factory.mktemp('shared')}")
    logs = [finished_log(f"bt-{number:03d}", seed=number, steps=80) for number in range(100)]
    members = [member_of(log.bodies, Place(LOG_ID, 0, 0, 9), facts=facts_of(log.bodies)) for log in logs]
    write_bundle(store, members, together=lambda works: [work() for work in works])
    write_snapshot(store, finished_log("bt-alone", seed=500, steps=60).bodies, Place(LOG_ID, 0, 0, 9))
    delete_snapshot(store, "bt-007")
    return store.url


def test_duckdb_reads_the_row_groups_that_the_manifests_name(bundled: str) -> None:
    """Rows of others in the same file are not among them, and a run that was deleted is not read."""
    import duckdb

    results = read_results(bundled)
    assert len(results.manifests) == 100 and "bt-007" not in results.summary()["backtest_id"].tolist()
    for chosen in (None, ["bt-050", "bt-alone", "bt-003"]):
        results = read_results(bundled, chosen)
        fills = results.dataset("fills")
        found = duckdb.sql("SELECT backtest_id, count(*), sum(quantity) FROM fills GROUP BY 1 ORDER BY 1").fetchall()
        frame = results.pandas("fills")
        expected = frame.groupby("backtest_id")["quantity"].agg(["count", "sum"])
        assert [(name, count) for name, count, _ in found] == list(expected["count"].items())
        assert [total for _, _, total in found] == pytest.approx(expected["sum"].tolist())
        assert fills.to_table().num_rows == len(frame)


def test_duckdb_prunes_by_statistics(bundled: str) -> None:
    """A bundle is sorted by run: one run is found in one of its row groups, and the others are not read."""
    import duckdb

    path = next(each for each in read_results(bundled).urls("events") if "/bundles/" in each).removeprefix("file://")
    assert duckdb.sql(f"SELECT count(DISTINCT row_group_id) FROM parquet_metadata('{path}')").fetchall() == [(3,)]
    query = f"EXPLAIN ANALYZE SELECT sum(sequence) FROM read_parquet('{path}') WHERE backtest_id = 'bt-050'"
    assert "Row Groups Scanned: 1 / 3" in duckdb.sql(query).fetchall()[0][1]


def test_a_shared_file_is_read_once(bundled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many runs of it are asked for."""
    results, read = read_results(bundled), []
    get = FolderBlobStore.get
    monkeypatch.setattr(FolderBlobStore, "get", lambda store, key: read.append(key) or get(store, key))
    assert len(results.arrow("trades")) > 1_000
    assert len(read) == 2
