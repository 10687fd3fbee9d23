"""This module reads the snapshots of many backtests as one table.

It goes by the manifests and never by what lies in a folder: files without a manifest are unfinished and are not read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from schemas.manifest import SnapshotFile, SnapshotManifest, Table
from snapshots.blobs import PREFIX, Blobs, manifest_key
from snapshots.errors import SnapshotError
from snapshots.tables import schema_of
from snapshots.verify import read_file
from snapshots.writer import read_manifest


@dataclass(frozen=True, slots=True)
class StoredResults:
    """Complete snapshots: their manifests, and their tables when they are asked for."""

    store: Blobs
    manifests: tuple[SnapshotManifest, ...]

    def arrow(self, table: Table) -> pa.Table:
        """Return one table of all these backtests. Every file is checked against its digest. Raises DamagedError."""
        parts = [read_file(self.store, file) for file in self.files(table)]
        if not parts:
            return schema_of(table).empty_table()
        return pa.concat_tables([part.replace_schema_metadata(None) for part in parts]).unify_dictionaries()

    def pandas(self, table: Table) -> pd.DataFrame:
        """Return one table of all these backtests as a frame."""
        return pd.DataFrame(self.arrow(table).to_pandas())

    def files(self, table: Table) -> list[SnapshotFile]:
        """Return the files of one table, in the order of the manifests."""
        return [file for manifest in self.manifests for file in manifest.files if file.table == table]

    def urls(self, table: Table) -> list[str]:
        """Return the addresses of one table's files, for tools that read Parquet themselves (DuckDB, Polars, Spark).

        Files that hold other runs' row groups as well must be read by row groups: see ``files``.
        """
        return [f"{self.store.url}/{file.key}" for file in self.files(table)]

    def summary(self) -> pd.DataFrame:
        """Return one row for each backtest: what its manifest says, without the files."""
        rows = [manifest.model_dump(mode="json", exclude={"files", "format"}) for manifest in self.manifests]
        return pd.DataFrame(rows, columns=[name for name in SnapshotManifest.model_fields if name not in ("files", "format")])


def read_snapshots(store: Blobs, backtest_ids: Iterable[str] | None = None) -> StoredResults:
    """Return the complete snapshots of these backtests; None: of all. Raises SnapshotError for an id that has none."""
    return StoredResults(store, tuple(_manifests(store, backtest_ids)))


def _manifests(store: Blobs, backtest_ids: Iterable[str] | None) -> Iterator[SnapshotManifest]:
    if backtest_ids is None:
        keys = [blob.key for blob in store.list(PREFIX) if blob.key.endswith("/manifest.json")]
    else:
        keys = [manifest_key(backtest_id) for backtest_id in backtest_ids]
    for key in keys:
        if backtest_ids is not None and store.head(key) is None:
            raise SnapshotError(f"{store.url}/{key} is missing: this backtest has no snapshot")
        yield read_manifest(store.get(key), where=f"{store.url}/{key}")
