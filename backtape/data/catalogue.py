"""This module tells which data sets there are, and what is in one."""

import re
from dataclasses import dataclass

from adapters.data_sets import PREFIX, newest_version, read_manifest
from adapters.ports import BlobStore
from schemas.market_data import DataSetManifest

_VERSION = re.compile(rf"^{PREFIX}([^/]+)/versions/(\d{{8}})\.json$")


@dataclass(frozen=True, slots=True)
class DataSetSummary:
    """One data set in a list: its newest version, and how many there are."""

    dataset: str
    versions: int
    newest: DataSetManifest

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.newest.files)


def list_datasets(store: BlobStore) -> list[DataSetSummary]:
    """Return every data set, by name."""
    versions: dict[str, list[int]] = {}
    for blob in store.list(PREFIX):
        match = _VERSION.match(blob.key)
        if match is not None:
            versions.setdefault(match[1], []).append(int(match[2]))
    return [
        DataSetSummary(dataset=name, versions=len(numbers), newest=read_manifest(store, name, max(numbers)))
        for name, numbers in sorted(versions.items())
    ]


def show_dataset(store: BlobStore, dataset: str, version: int | None = None) -> DataSetManifest:
    """Return one version's manifest; None: the newest. Raises NotFoundError."""
    return read_manifest(store, dataset, newest_version(store, dataset) if version is None else version)
