"""This module proves that a snapshot follows from the log, or says where it does not.

For an audit: the manifest's facts against the commits, every file against its digest, every row against the fold of the log.
"""

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from schemas.ids import Digest, sha256
from schemas.manifest import SnapshotFile, SnapshotManifest
from snapshots.blobs import Blobs, fetch, manifest_key
from snapshots.errors import DamagedError, SnapshotError
from snapshots.moves import Moves
from snapshots.parquet import FORMAT, decode_table, metadata_of
from snapshots.run_log import RunFacts, facts_of
from snapshots.tables import TABLES, snapshot_tables
from snapshots.writer import check_facts, read_run_manifest


def verify_snapshot(store: Blobs, backtest_id: str, commits: Sequence[bytes]) -> str | None:
    """Return None when the run's snapshot is there and follows from its commits, else the first difference in words."""
    try:
        facts = facts_of(commits)
        key = manifest_key(backtest_id)
        if store.head(key) is None:
            return f"{store.url}/{key} is missing: the run has no snapshot"
        manifest = read_run_manifest(store.get(key), where=f"{store.url}/{key}")
        check_facts(manifest, facts, where=f"{store.url}/{key}")
        return _compare_files(store, manifest, facts, commits)
    except SnapshotError as error:
        return str(error)


def read_parts(store: Blobs, wanted: Sequence[tuple[str, SnapshotFile]]) -> list[pa.Table]:
    """Return the rows of each run and file of its manifest. A file that several name is read and checked once.

    A shared file that was written anew meanwhile is followed to where its rows are now. Raises DamagedError when they are
    nowhere, or a file's bytes are not those that the manifest says.
    """
    parts: list[pa.Table] = [None] * len(wanted)
    waiting = dict(enumerate(wanted))
    while waiting:
        by_key: dict[str, list[int]] = {}
        for place, (_, file) in waiting.items():
            by_key.setdefault(file.key, []).append(place)
        moves = Moves(store)
        for key, places in by_key.items():
            body = fetch(store, key)
            if body is None:
                for place in places:
                    waiting[place] = _moved(store, moves, *waiting[place])
                continue
            digest = sha256(body)
            for place in places:
                parts[place] = rows_of(body, waiting.pop(place)[1], digest=digest, where=store.url)
    return parts


def _moved(store: Blobs, moves: Moves, backtest_id: str, file: SnapshotFile) -> tuple[str, SnapshotFile]:
    found = moves.located(backtest_id, file)
    if found.key == file.key:
        raise DamagedError(f"{store.url}/{file.key} is missing, but a manifest names it")
    return backtest_id, found


def rows_of(body: bytes, file: SnapshotFile, *, digest: Digest, where: str) -> pa.Table:
    """Return a manifest's rows of a file with this digest. Raises DamagedError."""
    if digest != file.sha256:
        raise DamagedError(f"{where}/{file.key} has SHA-256 {digest}, the manifest says {file.sha256}")
    table = decode_table(body, key=file.key, row_groups=file.row_groups, first_row=file.first_row or 0, rows=file.rows)
    if table.num_rows != file.rows:
        raise DamagedError(f"{where}/{file.key} has {table.num_rows} rows, the manifest says {file.rows}")
    return table


def _compare_files(store: Blobs, manifest: SnapshotManifest, facts: RunFacts, commits: Sequence[bytes]) -> str | None:
    named = [file.table for file in manifest.files]
    if named != list(TABLES):
        return f"the manifest names the tables {', '.join(named)}; a snapshot has {', '.join(TABLES)}"
    expected_tables = snapshot_tables(facts.backtest_id, commits)
    for file, (name, expected) in zip(manifest.files, expected_tables.items(), strict=True):
        (found,) = read_parts(store, [(facts.backtest_id, file)])
        difference = _compare_metadata(found, file, facts) or compare_tables(found, expected, name=name)
        if difference is not None:
            return f"{store.url}/{file.key}: {difference}"
    return None


def _compare_metadata(table: pa.Table, file: SnapshotFile, facts: RunFacts) -> str | None:
    if file.row_groups is not None:
        return None  # a file that several runs share
    expected = {
        "backtape.format": FORMAT,
        "backtape.table": file.table,
        "backtape.backtest_id": facts.backtest_id,
        "backtape.chain_head": facts.chain_head,
        "backtape.first_sequence": str(facts.first_sequence),
        "backtape.last_sequence": str(facts.last_sequence),
    }
    found = metadata_of(table)
    for key, value in expected.items():
        if found.get(key) != value:
            return f"its metadata says {key} {found.get(key)}, the log says {value}"
    return None


def compare_tables(found: pa.Table, expected: pa.Table, *, name: str) -> str | None:
    """Return the first difference between a file's rows and the log's, in words; None if there is none."""
    if found.schema.names != expected.schema.names:
        return f"{name} has the columns {', '.join(found.schema.names)}; the log gives {', '.join(expected.schema.names)}"
    for field in expected.schema:
        kind = found.schema.field(field.name).type
        if kind != field.type:
            return f"{name}, column {field.name} is {kind}; the log gives {field.type}"
    if found.num_rows != expected.num_rows:
        return f"{name} has {found.num_rows} rows, the log gives {expected.num_rows}"
    for column in expected.schema.names:
        difference = _compare_columns(found.column(column), expected.column(column))
        if difference is not None:
            row, holds, gives = difference
            return f"{name} row {row + 1}, column {column}: the file has {holds!r}, the log gives {gives!r}"
    return None


def _compare_columns(found: pa.ChunkedArray, expected: pa.ChunkedArray) -> tuple[int, Any, Any] | None:
    found, expected = _plain(found), _plain(expected)
    if found.equals(expected):
        return None
    for row, (holds, gives) in enumerate(zip(found.to_pylist(), expected.to_pylist(), strict=True)):
        if holds != gives and not (_is_nan(holds) and _is_nan(gives)):
            return row, holds, gives
    return None


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times as numbers and words as text: their encoding may differ where their values do not."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64())
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
