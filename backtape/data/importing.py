"""This module brings market data in: checks it, stores it as Parquet files named by their digests, and writes a new version.

The same content imported twice is one version. Files are written before the manifest, which alone makes them a version:
an import that dies half way leaves nothing that a reader could see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from adapters.data_sets import file_of_bars, publish
from adapters.ports import BlobStore
from adapters.side_files import side_files_of
from backtape.data.calendars import pinned
from backtape.data.checks import checked_bars
from backtape.data.columns import TimeRules, TimeUnit, read_columns
from backtape.data.problems import BadDataError, Problem
from backtape.data.side_tables import read_side
from schemas.actions import NO_SIDE, Side
from schemas.errors import field_error
from schemas.ids import sha256
from schemas.market_data import Bars, DataFile, DataSetManifest, Instrument, SideFile
from schemas.times import timeframe_ns


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    manifest: DataSetManifest
    is_new: bool  # False: the newest version says the same already
    repairs: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()  # columns that were not used, as "source: name, name"


@dataclass(frozen=True, slots=True)
class Table:
    """One symbol's bars in one timeframe, as somebody gives them."""

    symbol: str
    timeframe: str
    frame: pd.DataFrame
    source: str  # named in messages


def import_frame(
    store: BlobStore,
    frame: pd.DataFrame,
    *,
    dataset: str,
    symbol: str,
    timeframe: str,
    timezone: str | None = None,
    time_unit: TimeUnit | None = None,
    time_format: str | None = None,
    columns: Mapping[str, str] | None = None,
    instrument: Instrument | None = None,
    adjusted: bool = False,
    repair: bool = False,
    note: str = "",
    actions: pd.DataFrame | None = None,
    rates: pd.DataFrame | None = None,
) -> Imported:
    """Import one symbol's bars from a pandas frame. Options: see import_tables."""
    return import_tables(
        store,
        [Table(symbol, timeframe, frame, f"the frame of {symbol}")],
        dataset=dataset,
        times=TimeRules(timezone, time_unit, time_format),
        columns=columns,
        instruments=[instrument] if instrument else [],
        adjusted=adjusted,
        repair=repair,
        note=note,
        actions=actions,
        rates=rates,
    )


def import_files(
    store: BlobStore,
    paths: Sequence[Path],
    *,
    dataset: str,
    symbols: Sequence[str] | None = None,
    timeframe: str | None = None,
    timezone: str | None = None,
    time_unit: TimeUnit | None = None,
    time_format: str | None = None,
    columns: Mapping[str, str] | None = None,
    instruments: Sequence[Instrument] = (),
    adjusted: bool = False,
    repair: bool = False,
    note: str = "",
    actions: Path | None = None,
    rates: Path | None = None,
) -> Imported:
    """Import CSV (``.csv``, ``.csv.gz``) and Parquet files, one symbol each. Options: see import_tables.

    symbols : one for each path; None: what stands before the first dot of the file's name
    timeframe : of all files; None: what stands behind the first dot, as in AAPL.1d.parquet
    actions, rates : files of corporate actions and of rates of all symbols
    """
    if symbols is not None and len(symbols) != len(paths):
        raise ValueError(f"{len(symbols)} symbols are given for {len(paths)} files")
    tables = []
    sources = []
    for index, path in enumerate(paths):
        symbol = symbols[index] if symbols is not None else path.name.partition(".")[0]
        tables.append(Table(symbol, timeframe or _timeframe_in_name(path), read_file(path), path.name))
        sources.append(f"{path.name} (SHA-256 {sha256(path.read_bytes())})")
    return import_tables(
        store,
        tables,
        dataset=dataset,
        times=TimeRules(timezone, time_unit, time_format),
        columns=columns,
        instruments=instruments,
        adjusted=adjusted,
        repair=repair,
        note=note or _cut(", ".join(sources)),
        actions=None if actions is None else read_file(actions),
        rates=None if rates is None else read_file(rates),
        side_sources={name: path.name for name, path in (("actions", actions), ("rates", rates)) if path is not None},
    )


def import_tables(
    store: BlobStore,
    tables: Sequence[Table],
    *,
    dataset: str,
    times: TimeRules,
    columns: Mapping[str, str] | None = None,
    instruments: Sequence[Instrument] = (),
    adjusted: bool = False,
    repair: bool = False,
    note: str = "",
    actions: pd.DataFrame | None = None,
    rates: pd.DataFrame | None = None,
    side_sources: Mapping[str, str] | None = None,
) -> Imported:
    """Import several tables as one version of a data set.

    times : zone, unit and format of the time column; a zone is needed where the times name none
    columns : what ours are called in the tables, for example {"timestamp": "Date"}
    instruments : tick, lot, multiplier, currency and calendar of each symbol; a symbol without one gets the defaults
    adjusted : splits and dividends are in the prices already
    repair : mend what can be mended, and list it in the manifest, instead of refusing the table
    note : where the data is from
    actions, rates : corporate actions and rates of these symbols (docs/data.md); side_sources : their names in messages
    Raises BadDataError for the first table that is refused, before anything is stored.
    """
    bars: list[Bars] = []
    repairs: list[str] = []
    ignored: list[str] = []
    for table in tables:
        timeframe_ns(table.timeframe)
        raw = read_columns(table.frame, source=table.source, columns=columns, times=times)
        made, mended = checked_bars(raw, source=table.source, symbol=table.symbol, timeframe=table.timeframe, repair=repair)
        bars.append(made)
        repairs += [f"{table.symbol} {table.timeframe}: {line}" for line in mended]
        ignored += [f"{table.source}: {', '.join(raw.ignored)}"] if raw.ignored else []
    symbols = {table.symbol for table in tables}
    result = store_bars(
        store,
        bars,
        dataset=dataset,
        instruments=instruments,
        adjusted=adjusted,
        repairs=repairs,
        note=note,
        side=read_side(actions, rates, symbols=symbols, times=times, sources=side_sources),
    )
    return Imported(result.manifest, result.is_new, tuple(repairs), tuple(ignored))


def store_bars(
    store: BlobStore,
    bars: Sequence[Bars],
    *,
    dataset: str,
    instruments: Sequence[Instrument] = (),
    adjusted: bool,
    repairs: Sequence[str] = (),
    note: str = "",
    side: Side = NO_SIDE,
) -> Imported:
    """Store bars that were checked as a version of a data set."""
    pairs = [(each.symbol, each.timeframe) for each in bars]
    for symbol, timeframe in pairs:
        if pairs.count((symbol, timeframe)) > 1:
            raise BadDataError(dataset, [Problem("symbol", f"{symbol} is there more than once in {timeframe}")])
    named = {each.symbol: each for each in instruments}
    symbols = dict.fromkeys(each.symbol for each in bars)
    prepared = [file_of_bars(dataset, each) for each in bars]
    traded, calendars = pinned([named.get(symbol) or Instrument(symbol=symbol) for symbol in symbols], bars, dataset)
    side_files = side_files_of(dataset, side)
    try:
        manifest = DataSetManifest(
            dataset=dataset,
            version=1,
            adjusted=adjusted,
            files=[file for file, _ in prepared],
            instruments=traded,
            calendars=calendars,
            source=note,
            repairs=list(repairs),
            actions=side_files["actions"][0] if "actions" in side_files else None,
            rates=side_files["rates"][0] if "rates" in side_files else None,
        )
    except pydantic.ValidationError as error:
        raise field_error(error) from error
    for file, body in prepared:
        _store_file(store, file, body)
    for side_file, body in side_files.values():
        _store_file(store, side_file, body)
    stored, is_new = publish(store, manifest)
    return Imported(stored, is_new)


def read_file(path: Path) -> pd.DataFrame:
    """Return a CSV or Parquet file as a frame. Raises BadDataError when it is neither."""
    name = path.name.lower()
    try:
        if name.endswith((".csv", ".csv.gz")):
            return pd.read_csv(path, low_memory=False, skipinitialspace=True)
        if name.endswith((".parquet", ".pq")):
            return pd.DataFrame(pq.read_table(path).to_pandas(date_as_object=False))
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise BadDataError(path.name, [Problem("all", f"the file can't be read: {error}")]) from error
    raise BadDataError(path.name, [Problem("all", "a file named .csv, .csv.gz or .parquet is needed")])


def _timeframe_in_name(path: Path) -> str:
    parts = path.name.split(".")
    try:
        timeframe_ns(parts[1] if len(parts) > 2 else "")
    except ValueError as error:
        raise ValueError(f"{path.name} names no timeframe (as AAPL.1d.csv does): give it, for example 1d") from error
    return parts[1]


def _store_file(store: BlobStore, file: DataFile | SideFile, body: bytes) -> None:
    """Store a file under its digest; one that lies there already is checked, and replaced when it is damaged."""
    if not store.put_if_absent(file.key, body) and store.get(file.key) != body:
        store.put(file.key, body)


def _cut(text: str) -> str:
    return text if len(text) <= 2_000 else text[:1_999] + "…"
