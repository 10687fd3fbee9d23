"""This module reads immutable data-set versions from the blob store and shares them between processes as mapped memory.

A file is downloaded once a machine, checked against its digest, and kept uncompressed in the cache folder; every simulation
process maps the same copy read-only, so that the pages are in memory once. How data sets lie in the store: data_sets.py.
"""

import hashlib
from pathlib import Path

import numpy as np

from adapters.bars_cache import load_bars, store_bars
from adapters.data_sets import check_name, download, file_key, newest_version, no_data_set, no_version, read_manifest
from adapters.errors import IntegrityError, NotFoundError
from adapters.ports import BlobStore
from adapters.side_files import actions_in, rates_in, read_side_file, side_files_of
from schemas.actions import NO_SIDE, Side
from schemas.calendars import SessionTable
from schemas.market_data import Bars, DataFile, DataSetManifest, Instrument, SideFile


class StoredMarketData:
    """Data sets in a blob store. Safe for threads and processes that share the cache folder."""

    def __init__(self, store: BlobStore, cache_folder: Path) -> None:
        self.store = store
        self.cache_folder = cache_folder

    def resolve(self, dataset: str, version: int | None) -> DataSetManifest:
        check_name(dataset)
        if version is None:
            return read_manifest(self.store, dataset, newest_version(self.store, dataset))
        return read_manifest(self.store, dataset, version)

    def bars(self, manifest: DataSetManifest, symbol: str, timeframe: str) -> Bars:
        file = _file_of(manifest, symbol, timeframe)
        found = load_bars(self.cache_folder, file)
        if found is not None:
            return found
        store_bars(self.cache_folder, file, download(self.store, file))
        made = load_bars(self.cache_folder, file)
        if made is None:
            raise IntegrityError(f"{self.cache_folder}: the copy of {file.key} that was just written does not read back")
        return made

    def side(self, manifest: DataSetManifest) -> Side:
        def body(file: SideFile) -> bytes:
            return read_side_file(self.store, file, self.cache_folder)

        return Side(
            () if manifest.actions is None else actions_in(body(manifest.actions)),
            () if manifest.rates is None else rates_in(body(manifest.rates)),
        )


class MemoryMarketData:
    """Data sets in memory: the twin, for tests, simulations and in-process runs."""

    def __init__(self) -> None:
        self._versions: dict[str, list[DataSetManifest]] = {}
        self._bars: dict[str, Bars] = {}
        self._side: dict[str, bytes] = {}

    def publish(
        self,
        dataset: str,
        bars: list[Bars],
        *,
        instruments: list[Instrument] | None = None,
        adjusted: bool = True,
        calendars: list[SessionTable] | None = None,
        side: Side = NO_SIDE,
    ) -> DataSetManifest:
        """Add the next version of a data set and return its manifest."""
        versions = self._versions.setdefault(check_name(dataset), [])
        files = [self._kept(dataset, each) for each in bars]
        side_files = side_files_of(dataset, side)
        self._side |= {file.sha256: body for file, body in side_files.values()}
        manifest = DataSetManifest(
            dataset=dataset,
            version=len(versions) + 1,
            adjusted=adjusted,
            files=files,
            instruments=instruments or [],
            calendars=calendars or [],
            actions=side_files["actions"][0] if "actions" in side_files else None,
            rates=side_files["rates"][0] if "rates" in side_files else None,
        )
        versions.append(manifest)
        return manifest

    def resolve(self, dataset: str, version: int | None) -> DataSetManifest:
        versions = self._versions.get(check_name(dataset))
        if not versions:
            raise no_data_set(dataset)
        if version is None:
            return versions[-1]
        if not 1 <= version <= len(versions):
            raise no_version(dataset, version)
        return versions[version - 1]

    def bars(self, manifest: DataSetManifest, symbol: str, timeframe: str) -> Bars:
        return self._bars[_file_of(manifest, symbol, timeframe).sha256]

    def side(self, manifest: DataSetManifest) -> Side:
        return Side(
            () if manifest.actions is None else actions_in(self._side[manifest.actions.sha256]),
            () if manifest.rates is None else rates_in(self._side[manifest.rates.sha256]),
        )

    def _kept(self, dataset: str, bars: Bars) -> DataFile:
        quotes = () if bars.bid is None or bars.ask is None else (bars.bid, bars.ask)
        columns = (bars.time_ns, bars.open, bars.high, bars.low, bars.close, bars.volume, *quotes)
        digest = hashlib.sha256(repr((bars.symbol, bars.timeframe)).encode())
        for column in columns:
            digest.update(np.ascontiguousarray(column).tobytes())
        name = digest.hexdigest()
        self._bars[name] = bars
        return DataFile(
            symbol=bars.symbol,
            timeframe=bars.timeframe,
            key=file_key(dataset, name),
            sha256=name,
            bytes=sum(column.nbytes for column in columns),
            rows=len(bars),
            first_ns=int(bars.time_ns[0]),
            last_ns=int(bars.time_ns[-1]),
            quotes=bool(quotes),
        )


def _file_of(manifest: DataSetManifest, symbol: str, timeframe: str) -> DataFile:
    file = manifest.file(symbol, timeframe)
    if file is None:
        has = ", ".join(f"{each.symbol} {each.timeframe}" for each in manifest.files[:20])
        more = f" and {len(manifest.files) - 20} more" if len(manifest.files) > 20 else ""
        raise NotFoundError(
            f"data set {manifest.dataset} version {manifest.version} has no {symbol} in {timeframe}; it has {has}{more}"
        )
    return file
