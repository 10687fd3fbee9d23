"""This module reads the snapshots of many backtests as one table.

It goes by the manifests and never by what lies in a folder: files without a manifest are unfinished and are not read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, get_args, runtime_checkable

import pandas as pd
import pyarrow as pa
from pyarrow import dataset as ds
from pyarrow import fs

from schemas.manifest import AnyManifest, AnyTable, ImportManifest, ImportTable, SnapshotFile, SnapshotManifest
from snapshots.blobs import PREFIX, Blobs, manifest_key
from snapshots.errors import SnapshotError
from snapshots.moves import Moves
from snapshots.tables import imported_schema_of, schema_of, words_of
from snapshots.verify import read_parts
from snapshots.writer import read_manifest

IMPORT_TABLES: tuple[AnyTable, ...] = get_args(ImportTable)


@dataclass(frozen=True, slots=True)
class StoredResults:
    """Complete snapshots: their manifests, and their tables when they are asked for."""

    store: Blobs
    manifests: tuple[AnyManifest, ...]

    def arrow(self, table: AnyTable) -> pa.Table:
        """Return one table of all these backtests. Every file is checked against its digest. Raises DamagedError.

        A file that several backtests share is read once, however many of them are asked for.
        """
        parts = [part.replace_schema_metadata(None) for part in read_parts(self.store, self._named(table))]
        if not parts:
            return self._schema(table).empty_table()
        return pa.concat_tables([part.cast(self._schema(table)) for part in parts]).unify_dictionaries()

    def pandas(self, table: AnyTable) -> pd.DataFrame:
        """Return one table of all these backtests as a frame."""
        return pd.DataFrame(self.arrow(table).to_pandas())

    def dataset(self, table: AnyTable) -> ds.Dataset:
        """Return one table of all these backtests as a pyarrow dataset, of which nothing is read yet.

        It names the files and row groups that the manifests name, and no other run's rows: for DuckDB, pandas and Polars, which
        push their columns and conditions down into it. Digests are not checked. ::

            fills = results.dataset("fills")
            duckdb.sql("SELECT symbol, sum(quantity) FROM fills GROUP BY symbol")

        Raises SnapshotError where the store is neither a folder nor S3.
        """
        filesystem, root = filesystem_of(self.store)
        groups: dict[str, set[int] | None] = {}
        for file in self.files(table):
            known = groups.setdefault(file.key, set())
            if file.row_groups is None or known is None:
                groups[file.key] = None
            else:
                known.update(file.row_groups)
        form = ds.ParquetFileFormat(read_options={"dictionary_columns": words_of(table)})
        fragments = [
            form.make_fragment(f"{root}/{key}", filesystem, row_groups=None if chosen is None else sorted(chosen))
            for key, chosen in groups.items()
        ]
        found = ds.FileSystemDataset(fragments, self._schema(table), form, filesystem)
        if all(chosen is None for chosen in groups.values()):
            return found
        return found.filter(ds.field("backtest_id").isin([manifest.backtest_id for manifest in self.manifests]))

    def files(self, table: AnyTable) -> list[SnapshotFile]:
        """Return the files of one table, in the order of the manifests; some rows of some row groups where they are shared.

        Shared files that were written anew are named where their rows are now. The old ones stay readable for the grace time.
        """
        moves = Moves(self.store)
        return [moves.located(backtest_id, file) for backtest_id, file in self._named(table)]

    def _schema(self, table: AnyTable) -> pa.Schema:
        """Return the columns; where results are imported, what other systems did not say is null."""
        has_imports = any(isinstance(manifest, ImportManifest) for manifest in self.manifests)
        return imported_schema_of(table) if has_imports and table in IMPORT_TABLES else schema_of(table)

    def _named(self, table: AnyTable) -> list[tuple[str, SnapshotFile]]:
        return [(each.backtest_id, file) for each in self.manifests for file in each.files if file.table == table]

    def urls(self, table: AnyTable) -> list[str]:
        """Return the addresses of one table's files, each once, for tools that read Parquet themselves (DuckDB, Polars, Spark).

        A shared file holds other runs' rows as well: choose by ``backtest_id``, or take ``dataset``.
        """
        return list(dict.fromkeys(f"{self.store.url}/{file.key}" for file in self.files(table)))

    def summary(self) -> pd.DataFrame:
        """Return one row for each backtest: what its manifest says, without the files. ``origin`` is run or imported."""
        rows = [{"origin": "run", **each.model_dump(mode="json", exclude={"files", "format"})} for each in self.manifests]
        names = ["origin", *(name for name in SnapshotManifest.model_fields if name not in ("files", "format"))]
        return pd.DataFrame(rows, columns=names)


def filesystem_of(store: Blobs) -> tuple[fs.FileSystem, str]:
    """Return the file system of a store, and where it begins there. Raises SnapshotError for one that has none."""
    scheme, _, root = store.url.partition("://")
    if scheme == "file":
        return fs.LocalFileSystem(), root.rstrip("/")
    if scheme == "s3" and isinstance(store, _OfS3):
        return fs.S3FileSystem(**store.arrow_options()), root.rstrip("/")
    raise SnapshotError(f"{store.url}: only a folder and S3 can be read by other tools")


@runtime_checkable
class _OfS3(Protocol):
    """A store that says how Arrow reaches its bucket."""

    def arrow_options(self) -> dict[str, Any]: ...


def read_snapshots(store: Blobs, backtest_ids: Iterable[str] | None = None) -> StoredResults:
    """Return the complete snapshots of these backtests; None: of all. Raises SnapshotError for an id that has none."""
    return StoredResults(store, tuple(_manifests(store, backtest_ids)))


def _manifests(store: Blobs, backtest_ids: Iterable[str] | None) -> Iterator[AnyManifest]:
    if backtest_ids is None:
        keys = [blob.key for blob in store.list(PREFIX) if blob.key.endswith("/manifest.json")]
    else:
        keys = [manifest_key(backtest_id) for backtest_id in backtest_ids]
    for key in keys:
        if backtest_ids is not None and store.head(key) is None:
            raise SnapshotError(f"{store.url}/{key} is missing: this backtest has no snapshot")
        yield read_manifest(store.get(key), where=f"{store.url}/{key}")
