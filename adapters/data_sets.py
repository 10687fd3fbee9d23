"""This module lays data sets out in the blob store: immutable versions of Parquet files, each with a manifest of digests.

``datasets/{name}/files/{sha256}.parquet`` holds one symbol in one timeframe; ``datasets/{name}/versions/{n:08d}.json`` is a
version's manifest, written once by a conditional PUT after its files. A version never changes, so a recorded digest tells for
ever which bytes a run has read.
"""

import io
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
from numpy.typing import NDArray

from adapters.errors import IntegrityError, NotFoundError
from adapters.ports import BlobStore
from schemas.ids import ID_PATTERN, sha256
from schemas.market_data import BAR_COLUMNS, QUOTE_COLUMNS, Bars, DataFile, DataSetManifest, columns_of

PREFIX = "datasets/"


def read_parquet(body: bytes) -> pa.Table:
    """Return the table of one Parquet file. (``pq.read_table`` would load pandas for it: half a second.)"""
    return pq.ParquetFile(io.BytesIO(body)).read()


def values_of(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return a column without nulls as an array. (``to_numpy`` would load pandas for it.)"""
    values: NDArray[Any] = np.from_dlpack(column.combine_chunks())
    return values


def version_key(dataset: str, version: int) -> str:
    return f"{PREFIX}{dataset}/versions/{version:08d}.json"


def file_key(dataset: str, digest: str) -> str:
    return f"{PREFIX}{dataset}/files/{digest}.parquet"


def newest_version(store: BlobStore, dataset: str) -> int:
    """Return the number of the newest version. Raises NotFoundError when there is none."""
    prefix = f"{PREFIX}{check_name(dataset)}/versions/"
    numbers = [int(match[1]) for blob in store.list(prefix) if (match := re.search(r"/(\d{8})\.json$", blob.key))]
    if not numbers:
        raise no_data_set(dataset)
    return max(numbers)


def read_manifest(store: BlobStore, dataset: str, version: int) -> DataSetManifest:
    """Return one version's manifest. Raises NotFoundError, or IntegrityError for one that says something else."""
    try:
        body = store.get(version_key(check_name(dataset), version))
    except NotFoundError:
        raise no_version(dataset, version) from None
    try:
        manifest = DataSetManifest.model_validate_json(body)
    except pydantic.ValidationError as error:
        raise IntegrityError(f"{store.url}/{version_key(dataset, version)} is not a data set's manifest: {error}") from error
    if (manifest.dataset, manifest.version) != (dataset, version):
        told = f"{manifest.dataset} version {manifest.version}"
        raise IntegrityError(f"{store.url}/{version_key(dataset, version)} says that it is {told}")
    return manifest


def publish(store: BlobStore, manifest: DataSetManifest) -> tuple[DataSetManifest, bool]:
    """Write the manifest as the next version, or return the newest version when that says the same already.

    The files must be in the store. ``manifest.version`` is not used. A loser of a race for a number takes the next one.
    Returns the manifest as stored, and whether it is new.
    """
    while True:
        try:
            newest = read_manifest(store, manifest.dataset, newest_version(store, manifest.dataset))
        except NotFoundError:
            number = 1
        else:
            number = newest.version + 1
            if manifest.model_copy(update={"version": newest.version}).digest() == newest.digest():
                return newest, False
        numbered = manifest.model_copy(update={"version": number})
        body = numbered.model_dump_json(indent=2).encode()
        if store.put_if_absent(version_key(manifest.dataset, number), body):
            return numbered, True


def download(store: BlobStore, file: DataFile) -> Bars:
    """Return the bars of a stored file. Raises IntegrityError, naming both digests, when its bytes are other ones."""
    try:
        body = store.get(file.key)
    except NotFoundError as error:
        raise IntegrityError(f"{error}, but a data set's manifest names it, with SHA-256 {file.sha256}") from error
    found = sha256(body)
    if found != file.sha256:
        raise IntegrityError(
            f"{store.url}/{file.key}: the data's bytes have SHA-256 {found}, the data set's manifest says {file.sha256}"
        )
    bars = bars_of_table(read_parquet(body).select(list(columns_of(file))), symbol=file.symbol, timeframe=file.timeframe)
    told = (file.rows, file.first_ns, file.last_ns)
    holds = (len(bars), int(bars.time_ns[0]), int(bars.time_ns[-1])) if len(bars) else (0, 0, 0)
    if holds != told:
        raise IntegrityError(f"{store.url}/{file.key}: rows, first and last time are {holds}, the manifest says {told}")
    return bars


def file_of_bars(dataset: str, bars: Bars) -> tuple[DataFile, bytes]:
    """Return the Parquet file of a data set for these bars, and its entry in the manifest. Equal bars give equal bytes."""
    names = BAR_COLUMNS if bars.bid is None else BAR_COLUMNS + QUOTE_COLUMNS
    columns = [pa.array(bars.time_ns).cast(pa.timestamp("ns", tz="UTC"))]
    columns += [pa.array(getattr(bars, name)) for name in names[1:]]
    schema = pa.schema([pa.field(name, column.type, nullable=False) for name, column in zip(names, columns, strict=True)])
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(columns, schema=schema),
        sink,
        version="2.6",
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        column_encoding={"timestamp": "DELTA_BINARY_PACKED"} | dict.fromkeys(names[1:], "BYTE_STREAM_SPLIT"),
        row_group_size=1_048_576,
    )
    body = sink.getvalue()
    digest = sha256(body)
    file = DataFile(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        key=file_key(dataset, digest),
        sha256=digest,
        bytes=len(body),
        rows=len(bars),
        first_ns=int(bars.time_ns[0]),
        last_ns=int(bars.time_ns[-1]),
        quotes=bars.bid is not None,
    )
    return file, body


def bars_of_table(table: pa.Table, *, symbol: str, timeframe: str) -> Bars:
    """Return the bars of a table with the columns of a data set's file."""
    time_ns = values_of(table.column("timestamp").cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64()))
    prices = {name: np.ascontiguousarray(values_of(table.column(name)), dtype=np.float64) for name in table.column_names[1:]}
    return Bars(symbol=symbol, timeframe=timeframe, time_ns=np.ascontiguousarray(time_ns, dtype=np.int64), **prices)


def check_name(dataset: str) -> str:
    if not re.match(ID_PATTERN, dataset):
        raise NotFoundError(f"data set {dataset!r}: there can be none of this name (letters, digits and ._- are allowed)")
    return dataset


def no_data_set(dataset: str) -> NotFoundError:
    return NotFoundError(f"there is no data set {dataset!r}")


def no_version(dataset: str, version: int) -> NotFoundError:
    return NotFoundError(f"data set {dataset!r} has no version {version}")
