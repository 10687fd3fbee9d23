"""This module defines the manifests in the blob store: of snapshots of runs and imports, of moved bundles, of archived ranges.

The manifest is the one object whose existence makes the rest complete. It is written once by a conditional PUT and never changed.
Readers go by manifests, never by globs.
"""

from typing import Annotated, Literal

from pydantic import Field
from pydantic_core import from_json

from schemas.ids import IdField
from schemas.imported import ImportedResult
from schemas.spec import Model

RANGE_KEYS = b"log/"  # what keys of archived ranges begin with on the archive topic; no backtest's id holds a slash

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Table = Literal["orders", "fills", "positions", "trades", "equity", "events"]
ImportTable = Literal["orders", "fills", "trades", "equity", "original"]  # original: the document itself, byte for byte
AnyTable = Table | ImportTable


class SnapshotFile(Model):
    """One Parquet file, or a run of rows within some row groups of a file that several runs share (a bundle)."""

    table: Literal["orders", "fills", "positions", "trades", "equity", "events", "original"]
    key: Annotated[str, Field(min_length=1, max_length=1_024)]
    sha256: Sha256  # of the whole file
    bytes: Count  # of the whole file
    rows: Count  # of this run
    row_groups: list[Count] | None = None  # null: the whole file
    first_row: Count | None = None  # of this run, counted within these row groups; null: the whole file
    file_rows: Count | None = None  # of all runs in the file; null: the whole file is this run's
    file_runs: Count | None = None  # runs in the file; null: the whole file is this run's

    @property
    def share(self) -> int:
        """Return the run's part of the file's bytes, by rows."""
        return self.bytes if self.file_rows is None else self.bytes * self.rows // max(1, self.file_rows)


class SnapshotManifest(Model):
    """One finished run's snapshot. It follows from the log alone, so that every compactor writes the same bytes."""

    format: Literal[1] = 1
    backtest_id: IdField
    status: Literal["completed", "cancelled", "failed"]
    log_id: str
    partition: Count
    first_offset: Count
    last_offset: Count
    commits: Count
    events: Count
    first_sequence: Count
    last_sequence: Count
    chain_head: Sha256
    spec_digest: Sha256
    data_digest: str | None
    files: list[SnapshotFile]


class ImportManifest(Model):
    """The snapshot of a result that another system computed. It follows from the original document, not from a log.

    It is made before the result is in the log, whose event names this document's digest.
    """

    format: Literal[1] = 1
    origin: Literal["imported"]
    backtest_id: IdField
    status: Literal["completed"] = "completed"
    content_sha256: Sha256  # of the original document
    result: ImportedResult
    files: list[SnapshotFile]


AnyManifest = SnapshotManifest | ImportManifest


def parse_manifest(body: bytes) -> AnyManifest:
    """Return the manifest of a run or of an import. Raises pydantic.ValidationError when the bytes are neither."""
    try:
        document = from_json(body)
    except ValueError:
        document = None
    is_imported = isinstance(document, dict) and "origin" in document
    return (ImportManifest if is_imported else SnapshotManifest).model_validate_json(body)


class BundleMove(Model):
    """Where the rows of a shared file went when it was written anew without those of deleted runs. Written once.

    Manifests go on naming the file that was replaced: who finds it gone looks here.
    """

    format: Literal[1] = 1
    source: Annotated[str, Field(min_length=1, max_length=1_024)]  # key of the file that was replaced
    key: Annotated[str, Field(min_length=1, max_length=1_024)]
    sha256: Sha256
    bytes: Count
    file_rows: Count
    places: dict[IdField, tuple[Count, Count, Count]]  # of each run that is left: row group, first row in it, rows


class SnapshotAnnouncement(Model):
    """The record on the archive topic: where a finished run's snapshot is. Key = backtest id."""

    format: Literal[1] = 1
    backtest_id: IdField
    manifest_key: str
    manifest_sha256: Sha256
    chain_head: Sha256 | None  # null: an imported result, whose files come before its log
    bytes: Count
    rows: Count


class ArchivedRange(Model):
    """One closed range of a partition, as one compressed file. The next range begins where it ends: ranges are a chain.

    The record on the archive topic is the same document, under the key ``log/{topic}/{partition}/{log_id}/{first_offset}``.
    """

    format: Literal[1] = 1
    topic: Literal["events", "receipts", "dead-letters"]
    partition: Count
    log_id: Annotated[str, Field(min_length=1, max_length=64)]
    first_offset: Count
    next_offset: Count  # everything before it is archived; offsets of transaction markers are in no file
    records: Annotated[int, Field(ge=1)]
    first_timestamp_ms: Count
    last_timestamp_ms: Count  # the newest record's
    key: Annotated[str, Field(min_length=1, max_length=1_024)]
    sha256: Sha256  # of the file
    bytes: Count  # of the file
    raw_sha256: Sha256  # of the records before compression
    raw_bytes: Count
    parent: Sha256 | None  # SHA-256 of the manifest before it; null: the first of its log
