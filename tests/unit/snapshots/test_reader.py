"""This module tells how the results of many backtests are read."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from adapters.blob_store import open_blob_store
from adapters.memory_blobs import MemoryBlobStore
from backtape.stored_results import read_results
from snapshots.blobs import manifest_key
from snapshots.errors import DamagedError, SnapshotError
from snapshots.reader import read_snapshots
from snapshots.run_log import Place
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
