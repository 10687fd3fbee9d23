"""This module tells which data sets there are, from their manifests in the blob store."""

import asyncio
import time
from typing import Any

from adapters.data_sets import PREFIX, newest_version, read_manifest
from adapters.errors import NotFoundError
from adapters.ports import BlobStore
from schemas.market_data import DataFile, DataSetManifest

KEPT_SECONDS = 5.0
NS_PER_MS = 1_000_000


class DataSets:
    """The catalogue of data sets; a few seconds old at most."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        self._kept: tuple[float, list[dict[str, Any]]] | None = None
        self._manifests: dict[tuple[str, int], DataSetManifest] = {}  # a version never changes

    async def summaries(self) -> list[dict[str, Any]]:
        """Return the answers ``DataSetSummary``, by name."""
        async with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > KEPT_SECONDS:
                self._kept = time.monotonic(), await asyncio.to_thread(self._summaries)
            return self._kept[1]

    async def version(self, dataset: str, version: int | None) -> dict[str, Any]:
        """Return the answer ``DataSetAnswer``. Raises NotFoundError."""
        return await asyncio.to_thread(self._version, dataset, version)

    def forget(self) -> None:
        """Look anew at the next question: something was added."""
        self._kept = None

    def _numbers(self) -> dict[str, list[int]]:
        """Return the versions of each data set."""
        found: dict[str, list[int]] = {}
        for blob in self._store.list(PREFIX):
            name, _, rest = blob.key.removeprefix(PREFIX).partition("/")
            folder, _, number = rest.removesuffix(".json").partition("/")
            if folder == "versions" and number.isdigit():
                found.setdefault(name, []).append(int(number))
        return {name: sorted(numbers) for name, numbers in sorted(found.items())}

    def _manifest(self, dataset: str, version: int) -> DataSetManifest:
        known = self._manifests.get((dataset, version))
        if known is None:
            known = self._manifests[dataset, version] = read_manifest(self._store, dataset, version)
        return known

    def _summaries(self) -> list[dict[str, Any]]:
        return [_summary(self._manifest(name, numbers[-1])) for name, numbers in self._numbers().items()]

    def _version(self, dataset: str, version: int | None) -> dict[str, Any]:
        numbers = self._numbers().get(dataset)
        if not numbers:
            raise NotFoundError(f"there is no data set {dataset!r}")
        manifest = self._manifest(dataset, newest_version(self._store, dataset) if version is None else version)
        return {
            "dataset": manifest.dataset,
            "version": manifest.version,
            "versions": numbers,
            "adjusted": manifest.adjusted,
            "digest": manifest.digest(),
            "source": manifest.source,
            "repairs": manifest.repairs,
            "files": [file_answer(file) for file in manifest.files],
            "instruments": [each.model_dump(mode="json") for each in manifest.instruments],
        }


def file_answer(file: DataFile) -> dict[str, Any]:
    """Return the answer ``DataFileAnswer``."""
    return {
        "symbol": file.symbol, "timeframe": file.timeframe, "bars": file.rows, "first_ms": file.first_ns // NS_PER_MS,
        "last_ms": file.last_ns // NS_PER_MS, "bytes": file.bytes, "sha256": file.sha256,
    }  # fmt: skip


def _summary(manifest: DataSetManifest) -> dict[str, Any]:
    return {
        "dataset": manifest.dataset,
        "version": manifest.version,
        "adjusted": manifest.adjusted,
        "symbols": sorted({file.symbol for file in manifest.files}),
        "timeframes": sorted({file.timeframe for file in manifest.files}),
        "bars": sum(file.rows for file in manifest.files),
        "first_ms": min(file.first_ns for file in manifest.files) // NS_PER_MS,
        "last_ms": max(file.last_ns for file in manifest.files) // NS_PER_MS,
        "source": manifest.source,
    }
