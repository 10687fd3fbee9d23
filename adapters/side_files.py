"""This module stores what a data set holds beside bars, corporate actions and rates, as Parquet files named by their digests."""

import io
import os
import uuid
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.data_sets import file_key, read_parquet, values_of
from adapters.errors import ConfigurationError, IntegrityError, NotFoundError
from adapters.ports import BlobStore
from schemas.actions import ActionKind, CorporateAction, RateKind, RateSeries, Side
from schemas.ids import sha256
from schemas.market_data import SideFile

_TIME = pa.timestamp("ns", tz="UTC")
_ACTIONS = pa.schema(
    [
        pa.field("timestamp", _TIME, nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("new_symbol", pa.string()),
    ]
)
_RATES = pa.schema(
    [
        pa.field("timestamp", _TIME, nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("rate", pa.float64(), nullable=False),
    ]
)


def side_files_of(dataset: str, side: Side) -> dict[Literal["actions", "rates"], tuple[SideFile, bytes]]:
    """Return the files that hold these actions and rates, by their field in the manifest; none for what there is none of."""
    files: dict[Literal["actions", "rates"], tuple[SideFile, bytes]] = {}
    if side.actions:
        files["actions"] = file_of_actions(dataset, side.actions)
    if side.rates:
        files["rates"] = file_of_rates(dataset, side.rates)
    return files


def file_of_actions(dataset: str, actions: tuple[CorporateAction, ...]) -> tuple[SideFile, bytes]:
    """Return the file of these actions, in their order, and its entry in the manifest. Equal actions give equal bytes."""
    columns = [
        pa.array([action.time_ns for action in actions], type=pa.int64()).cast(_TIME),
        pa.array([action.symbol for action in actions]),
        pa.array([str(action.kind) for action in actions]),
        pa.array([action.value for action in actions], type=pa.float64()),
        pa.array([action.new_symbol for action in actions], type=pa.string()),
    ]
    return _file(dataset, pa.Table.from_arrays(columns, schema=_ACTIONS))


def file_of_rates(dataset: str, rates: tuple[RateSeries, ...]) -> tuple[SideFile, bytes]:
    """Return the file of these series, one after the other, and its entry in the manifest."""
    columns = [
        pa.array(np.concatenate([series.time_ns for series in rates])).cast(_TIME),
        pa.array([str(series.kind) for series in rates for _ in series.time_ns]),
        pa.array([series.name for series in rates for _ in series.time_ns]),
        pa.array(np.concatenate([series.rate for series in rates])),
    ]
    return _file(dataset, pa.Table.from_arrays(columns, schema=_RATES))


def actions_in(body: bytes) -> tuple[CorporateAction, ...]:
    table = read_parquet(body).cast(_ACTIONS)
    times = table.column("timestamp").cast(pa.int64()).to_pylist()
    rest = [table.column(name).to_pylist() for name in ("symbol", "action", "value", "new_symbol")]
    return tuple(
        CorporateAction(time_ns, symbol, ActionKind(kind), value, new_symbol)
        for time_ns, symbol, kind, value, new_symbol in zip(times, *rest, strict=True)
    )


def rates_in(body: bytes) -> tuple[RateSeries, ...]:
    table = read_parquet(body).cast(_RATES)
    times = values_of(table.column("timestamp").cast(pa.int64()))
    rates = values_of(table.column("rate"))
    places: dict[tuple[RateKind, str], list[int]] = {}
    for place, (kind, name) in enumerate(zip(table.column("kind").to_pylist(), table.column("name").to_pylist(), strict=True)):
        places.setdefault((RateKind(kind), name), []).append(place)
    return tuple(RateSeries(kind, name, times[rows], rates[rows]) for (kind, name), rows in places.items())


def read_side_file(store: BlobStore, file: SideFile, cache_folder: Path) -> bytes:
    """Return a file's bytes, from the local copy where there is a good one.

    Raises IntegrityError when the store's bytes are other ones than the manifest says, or none.
    """
    path = cache_folder / f"{file.sha256}.side"
    try:
        body = path.read_bytes()
    except OSError:
        body = b""
    if sha256(body) == file.sha256:
        return body
    try:
        body = store.get(file.key)
    except NotFoundError as error:
        raise IntegrityError(f"{error}, but a data set's manifest names it, with SHA-256 {file.sha256}") from error
    found = sha256(body)
    if found != file.sha256:
        told = f"the bytes have SHA-256 {found}, the data set's manifest says {file.sha256}"
        raise IntegrityError(f"{store.url}/{file.key}: {told}")
    _keep(path, body)
    return body


def _keep(path: Path, body: bytes) -> None:
    """Write the local copy; it appears complete, by a rename."""
    temporary = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(body)
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigurationError(f"{path.parent}: the cache of market data can't be written: {error}") from error


def _file(dataset: str, table: pa.Table) -> tuple[SideFile, bytes]:
    sink = io.BytesIO()
    pq.write_table(table, sink, version="2.6", compression="zstd", compression_level=3)
    body = sink.getvalue()
    digest = sha256(body)
    return SideFile(key=file_key(dataset, digest), sha256=digest, bytes=len(body), rows=table.num_rows), body
