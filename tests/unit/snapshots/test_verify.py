"""This module tells how an audit of a snapshot explains the first difference."""

import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from adapters.memory_blobs import MemoryBlobStore
from schemas.canonical import canonical_json
from schemas.ids import sha256
from schemas.manifest import Table
from snapshots.blobs import file_key, manifest_key
from snapshots.parquet import decode_table, encode_parts, told_of
from snapshots.run_log import Place, facts_of
from snapshots.verify import compare_tables, verify_snapshot
from snapshots.writer import write_snapshot
from tests.factories import LOG_ID, finished_log

LOG = finished_log(steps=60)


@pytest.fixture
def store() -> MemoryBlobStore:
    store = MemoryBlobStore()
    write_snapshot(store, LOG.bodies, Place(LOG_ID, 0, 0, 50))
    return store


def forge(store: MemoryBlobStore, name: Table, change: Callable[[pa.Table], pa.Table]) -> None:
    """Replace a file by one with other rows, and the manifest by one that names it: only the log can tell."""
    manifest = json.loads(store.get(manifest_key("bt-1")))
    file = next(each for each in manifest["files"] if each["table"] == name)
    table = change(decode_table(store.get(file["key"]), key=file["key"]))
    body = encode_parts([table], name=name, sorted_by=["backtest_id"], metadata=told_of(facts_of(LOG.bodies), name))
    file |= {"sha256": sha256(body), "key": file_key("bt-1", name, sha256(body)), "bytes": len(body), "rows": len(table)}
    store.put(file["key"], body)
    store.put(manifest_key("bt-1"), canonical_json(manifest))


def verdict(store: MemoryBlobStore) -> str:
    found = verify_snapshot(store, "bt-1", LOG.bodies)
    assert found is not None
    return found


def test_a_changed_number_is_named_by_row_and_column(store: MemoryBlobStore) -> None:
    """One price, raised by one: both values are told."""

    def raised(table: pa.Table) -> pa.Table:
        prices = table.column("price").to_pylist()
        prices[2] += 1.0
        return table.set_column(table.schema.get_field_index("price"), table.schema.field("price"), pa.array(prices))

    forge(store, "fills", raised)
    assert "fills row 3, column price: the file has" in verdict(store)
    assert ", the log gives" in verdict(store)


def test_missing_rows_are_counted(store: MemoryBlobStore) -> None:
    """A trade less."""
    forge(store, "trades", lambda table: table.slice(1))
    assert "the log gives" in verdict(store) and "trades has" in verdict(store)


def test_a_changed_payload_is_found(store: MemoryBlobStore) -> None:
    """The recorded JSON is compared too."""

    def changed(table: pa.Table) -> pa.Table:
        payloads = pc.replace_substring(table.column("payload"), "AAPL", "AAPX", max_replacements=1)
        return table.set_column(table.schema.get_field_index("payload"), table.schema.field("payload"), payloads)

    forge(store, "events", changed)
    assert "events row 1, column payload" in verdict(store)


def test_another_type_or_column_is_found(store: MemoryBlobStore) -> None:
    """A schema that drifted is a difference."""
    forge(store, "equity", lambda table: table.drop_columns(["cash"]))
    assert "equity has the columns" in verdict(store)
    forge(store, "orders", lambda table: table.set_column(1, "order_id", table.column("order_id").cast(pa.int32())))
    assert "orders, column order_id is int32; the log gives int64" in verdict(store)


def test_damaged_bytes_are_found_by_their_digest(store: MemoryBlobStore) -> None:
    """Both digests are told."""
    key = next(blob.key for blob in store.list("") if "/equity-" in blob.key)
    store.put(key, store.get(key)[:-1] + b"!")
    assert "has SHA-256" in verdict(store) and "the manifest says" in verdict(store)


def test_a_missing_file_or_snapshot_is_found(store: MemoryBlobStore) -> None:
    """First a file, then the manifest."""
    store.delete(next(blob.key for blob in store.list("") if "/orders-" in blob.key))
    assert "is missing, but a manifest names it" in verdict(store)
    store.delete(manifest_key("bt-1"))
    assert "the run has no snapshot" in verdict(store)


def test_a_manifest_of_another_log_is_found(store: MemoryBlobStore) -> None:
    """The first field that differs, with both values."""
    found = verify_snapshot(store, "bt-1", finished_log(seed=5).bodies)
    assert found is not None and "says chain_head" in found


def test_a_broken_log_proves_nothing(store: MemoryBlobStore) -> None:
    """An audit on a broken chain says so."""
    found = verify_snapshot(store, "bt-1", LOG.bodies[1:])
    assert found is not None and "the log begins with" in found


def test_an_unreadable_manifest_is_found(store: MemoryBlobStore) -> None:
    """It is named."""
    store.put(manifest_key("bt-1"), b"{}")
    assert "is no snapshot's manifest" in verdict(store)


def test_nan_equals_nan() -> None:
    """Undefined numbers are no difference."""
    table = pa.table({"a": [1.0, float("nan")]})
    assert compare_tables(table, table, name="t") is None
    other = pa.table({"a": [1.0, 2.0]})
    assert compare_tables(table, other, name="t") == "t row 2, column a: the file has nan, the log gives 2.0"
