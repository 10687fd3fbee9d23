"""This module writes imported results into the blob store, and puts their manifests in their place.

Results are written together, as small runs are (docs/decisions/0012): one file for each table, read back, the original documents
among them. Their manifests are not put in their place yet, because only the log decides whether a result is taken: they are left
as the lines of one object, and the compactor puts each where it belongs when it reads the event that names its digest.
"""

import json
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_args

import pyarrow as pa

from projections.arrow import array_of
from schemas.canonical import canonical_json
from schemas.events import BacktestImported
from schemas.ids import Digest, sha256
from schemas.manifest import ImportManifest, ImportTable, SnapshotAnnouncement, SnapshotFile
from snapshots.blobs import IMPORTS, Blobs, bundle_key, fetch, manifest_key
from snapshots.bundle import RUNS, places
from snapshots.errors import DamagedError, ReadBackError
from snapshots.legacy import Columns, Document
from snapshots.parquet import Part, decode_table, encode_parts
from snapshots.tables import imported_schema_of
from snapshots.writer import announcement, check_files, put_checked, read_manifest

IMPORT_TABLES: tuple[ImportTable, ...] = get_args(ImportTable)
# What counts the rows of one result: there are no sequences, for there are no events.
KEYS: dict[ImportTable, str] = {
    "orders": "order_id",
    "fills": "fill_id",
    "trades": "trade_id",
    "equity": "mark",
    "original": "source",
}
KEPT_BATCHES = 4  # of manifests, in memory: events of one batch come one after the other


BATCH = ".jsonl"


def done_key(batch_key: str) -> str:
    """Return where it is noted that every result of a batch was answered, and how those that were refused."""
    return batch_key.removesuffix(BATCH) + ".done.json"


def import_prefix(import_id: str) -> str:
    """Return where the batches of one import lie."""
    return f"{IMPORTS}{import_id}/"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A manifest that waits in a batch for its event."""

    manifest: ImportManifest
    digest: Digest


@dataclass(frozen=True, slots=True)
class Batch:
    """Results that were written together: where their manifests are, one a line."""

    key: str
    waiting: tuple[Waiting, ...]


# --- writing ------------------------------------------------------------------------------------------------------


def write_batch(store: Blobs, import_id: str, documents: Sequence[Document]) -> Batch:
    """Write the results' files, read them back, and leave their manifests. The same documents give the same bytes.

    Raises ReadBackError when a file reads back otherwise, or its rows do not add up to what the documents say.
    """
    ordered = sorted(documents, key=lambda document: document.backtest_id)
    files: list[list[SnapshotFile]] = [[] for _ in ordered]
    for name in IMPORT_TABLES:
        for own, file in zip(files, _write_table(store, name, ordered), strict=True):
            own.append(file)
    bodies = [canonical_json(_manifest_of(each, own).model_dump(mode="json")) for each, own in zip(ordered, files, strict=True)]
    whole = b"".join(body + b"\n" for body in bodies)
    key = f"{import_prefix(import_id)}{sha256(whole)}{BATCH}"
    put_checked(store, key, whole, sha256(whole))
    return batch_of(key, whole)


def batch_of(key: str, body: bytes) -> Batch:
    """Return a batch from its bytes. Raises DamagedError when they are none."""
    waiting = []
    for line in body.splitlines():
        manifest = read_manifest(line, where=key)
        if not isinstance(manifest, ImportManifest):
            raise DamagedError(f"{key} holds the manifest of a run")
        waiting.append(Waiting(manifest, sha256(line)))
    return Batch(key, tuple(waiting))


def _write_table(store: Blobs, name: ImportTable, documents: Sequence[Document]) -> list[SnapshotFile]:
    table, counts = table_of(name, documents)
    parts = places(counts)
    body = encode_parts(_groups(table, parts), name=name, sorted_by=("backtest_id", KEYS[name]), metadata=_told(documents))
    digest = sha256(body)
    key = bundle_key(name, digest)
    put_checked(store, key, body, digest)
    _check_sums(name, body, key, documents, parts)
    return [
        SnapshotFile(
            table=name, key=key, sha256=digest, bytes=len(body), rows=part.rows, row_groups=[part.row_group],
            first_row=part.first_row, file_rows=len(table), file_runs=len(documents),
        )
        for part in parts
    ]  # fmt: skip


def table_of(name: ImportTable, documents: Sequence[Document]) -> tuple[pa.Table, list[int]]:
    """Return the rows of all documents, one after the other, and how many are of each."""
    rows = [_originals(each) if name == "original" else each.rows[name] for each in documents]
    counts = [len(each[KEYS[name]]) for each in rows]
    total = sum(counts)
    ids = pa.array([each.backtest_id for each in documents], pa.string())
    places_of_ids = pa.array([place for place, count in enumerate(counts) for _ in range(count)], pa.int32())
    arrays = []
    for field in imported_schema_of(name):
        if field.name == "backtest_id":
            arrays.append(ids.take(places_of_ids))
        elif field.name not in rows[0]:
            arrays.append(pa.nulls(total, field.type))
        else:
            arrays.append(array_of(list(chain.from_iterable(each[field.name] for each in rows)), field))
    return pa.Table.from_arrays(arrays, schema=imported_schema_of(name)), counts


def _originals(document: Document) -> Columns:
    return {"source": [document.result.source], "sha256": [document.digest], "content": [document.content]}


def _groups(table: pa.Table, parts: Sequence[Part]) -> list[pa.Table]:
    """Return the row groups that the parts lie in."""
    sizes = [0] * (parts[-1].row_group + 1)
    for part in parts:
        sizes[part.row_group] += part.rows
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return [table.slice(start, size).combine_chunks() for start, size in zip(starts, sizes, strict=True)]


def _told(documents: Sequence[Document]) -> dict[str, str]:
    return {RUNS: json.dumps([each.backtest_id for each in documents], separators=(",", ":")), "backtape.origin": "imported"}


def _check_sums(name: ImportTable, body: bytes, key: str, documents: Sequence[Document], parts: Sequence[Part]) -> None:
    """Compare what was just written and read back with the documents: sums of PnL and commissions, digests of originals.

    The bytes are those that were read back: their digest says so.
    """
    if name not in ("trades", "original"):
        return
    groups: dict[int, pa.Table] = {}
    for document, part in zip(documents, parts, strict=True):
        if part.row_group not in groups:
            groups = {part.row_group: decode_table(body, key=key, row_groups=[part.row_group], first_row=0, rows=None)}
        rows = groups[part.row_group].slice(part.first_row, part.rows)
        difference = sums_differ(name, rows, document.result, document.digest)
        if difference is not None:
            raise ReadBackError(f"{key}, backtest {document.backtest_id}: {difference}")


def sums_differ(name: ImportTable, rows: pa.Table, result: Any, digest: str) -> str | None:
    """Say how rows do not add up to what a document says; None: they do."""
    if name == "original":
        found = sha256(rows.column("content")[0].as_py())
        return None if found == digest else f"the original has SHA-256 {found}, the manifest says {digest}"
    if name == "trades":
        for column, said in (("realized_pnl", result.pnl), ("commission", result.commission)):
            added = math.fsum(rows.column(column).to_pylist())
            if added != said:
                return f"the sum of {column} is {added}, the manifest says {said}"
    return None


def _manifest_of(document: Document, files: list[SnapshotFile]) -> ImportManifest:
    return ImportManifest(
        origin="imported",
        backtest_id=document.backtest_id,
        content_sha256=document.digest,
        result=document.result,
        files=files,
    )


# --- putting manifests in their place -------------------------------------------------------------------------------


class Batches:
    """The manifests that wait in batches, by their digests: the newest batches are kept. Safe for threads."""

    def __init__(self, store: Blobs) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, dict[Digest, bytes]] = OrderedDict()
        self._checked: set[str] = set()  # files that were seen to be there

    def manifest(self, event: BacktestImported) -> bytes | None:
        """Return the manifest that the event names; None where its batch is gone or does not hold it."""
        with self._lock:
            lines = self._kept.get(event.batch_key)
            if lines is None:
                body = fetch(self._store, event.batch_key)
                lines = {} if body is None else {sha256(line): line for line in body.splitlines()}
                self._kept[event.batch_key] = lines
                while len(self._kept) > KEPT_BATCHES:
                    self._kept.popitem(last=False)
            return lines.get(Digest(event.manifest_digest))

    def check_files(self, manifest: ImportManifest) -> None:
        """Raise DamagedError where a file is not there. What several results share is looked at once."""
        unseen = [file for file in manifest.files if file.key not in self._checked]
        if unseen:
            check_files(self._store, manifest)
            self._checked = {*list(self._checked)[-1_000:], *(file.key for file in unseen)}


def place_manifest(store: Blobs, batches: Batches, backtest_id: str, event: BacktestImported) -> SnapshotAnnouncement:
    """Put an imported result's manifest in its place, or find that it is there, and return what to announce.

    Raises DamagedError when the manifest is nowhere, or another one is in its place.
    """
    key, left = manifest_key(backtest_id), batches.manifest(event)
    if left is not None:
        manifest = read_manifest(left, where=event.batch_key)
        if not isinstance(manifest, ImportManifest) or manifest.backtest_id != backtest_id:
            raise DamagedError(f"{event.batch_key}: the manifest {event.manifest_digest} is not one of {backtest_id}")
        batches.check_files(manifest)
        if store.put_if_absent(key, left):
            return announcement(manifest, left)
    body = fetch(store, key)
    if body is None:
        raise DamagedError(f"{store.url}/{event.batch_key} does not hold the manifest {event.manifest_digest} of {backtest_id}")
    found = read_manifest(body, where=f"{store.url}/{key}")
    if not isinstance(found, ImportManifest) or found.content_sha256 != event.content_digest:
        holds = f"content {found.content_sha256}" if isinstance(found, ImportManifest) else "a run"
        raise DamagedError(f"{store.url}/{key} is the manifest of {holds}, the log says content {event.content_digest}")
    return announcement(found, body)
