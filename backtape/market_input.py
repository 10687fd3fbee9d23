"""This module makes the market that a run sees from what a user of ``run`` gives: frames, a market, or a store of data sets."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import pydantic

from schemas.actions import Side
from schemas.errors import FieldError, field_error
from schemas.market_data import Bars, Instrument, Market
from schemas.spec import BacktestSpec

if TYPE_CHECKING:
    import pandas as pd

    from adapters.ports import BlobStore
    from adapters.s3_options import S3Options

MEMORY = "memory"  # name of the data set that a run on frames records
DEFAULT_SYMBOL = "ASSET"
_UNITS = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))  # seconds, longest first

Frames = Union["pd.DataFrame", Mapping[str, "pd.DataFrame"]]  # of one symbol: one, or several by their time frame
Data = Union["pd.DataFrame", Mapping[str, Frames], Market, str, Path]
Instruments = Mapping[str, Instrument | Mapping[str, Any]]


def is_store(data: Data) -> bool:
    return isinstance(data, str | Path)


def market_of(
    data: "pd.DataFrame | Mapping[str, Frames] | Market",
    asked: Mapping[str, Any],
    *,
    instruments: Instruments | None = None,
    timezone: str | None = None,
    actions: "pd.DataFrame | None" = None,
    rates: "pd.DataFrame | None" = None,
) -> Market:
    """Return a market as it is, or made of frames: checked, and with a digest of what is in it.

    actions : corporate actions; given, they say that the prices are raw
    rates : of conversion, funding and borrowing
    asked : the data section of the spec as far as it is given: names the data set, one frame's symbol, the timeframe
    Raises BadDataError naming row and column, FieldError for an instrument that can't be.
    """
    if isinstance(data, Market):
        return data
    given = data if isinstance(data, Mapping) else {_only_symbol(asked): data}
    if not given:
        raise FieldError.of("data", data, "at least one frame")
    timeframe = asked.get("timeframe") or _timeframe_of(_a_frame(given))
    bars: list[Bars] = []
    further: list[Bars] = []
    for symbol, frames in given.items():
        by_timeframe = frames if isinstance(frames, Mapping) else {timeframe: frames}
        if timeframe not in by_timeframe:
            raise FieldError.of(
                f"data.{symbol}", ", ".join(map(str, by_timeframe)), f"a frame of the run's timeframe {timeframe}"
            )
        for each, frame in by_timeframe.items():
            checked = _checked(frame, symbol=str(symbol), timeframe=str(each), timezone=timezone)
            (bars if each == timeframe else further).append(checked)
    traded = tuple(_instrument(each.symbol, (instruments or {}).get(each.symbol)) for each in bars)
    side = Side()
    if actions is not None or rates is not None:
        side = _side(actions, rates, {each.symbol for each in bars}, timezone)
    named = str(asked.get("dataset") or MEMORY)
    return _with_digest(bars, further, traded, dataset=named, adjusted=actions is None, side=side)


def _a_frame(given: "Mapping[str, Frames]") -> "pd.DataFrame":
    first = next(iter(given.values()))
    if isinstance(first, Mapping):
        raise FieldError.of("data.timeframe", "nothing", "with frames of several time frames: which one is the run's")
    return first


def market_of_store(place: str | Path, spec: BacktestSpec) -> Market:
    """Return the market that a worker would resolve from a store of data sets.

    place : s3://bucket/prefix, file:///folder, or a folder
    Raises NotFoundError for an unknown data set, version or symbol; IntegrityError for bytes that are not what was recorded.
    """
    from adapters.market_data import StoredMarketData
    from consumers.settings import load_settings
    from engine.assemble import assemble

    settings = load_settings()
    stored = StoredMarketData(_open(place, settings.s3), settings.cache_dir / "bars")
    manifest = stored.resolve(spec.data.dataset, spec.data.version)
    side = stored.side(manifest)
    return assemble(spec, manifest, side, lambda symbol, timeframe: stored.bars(manifest, symbol, timeframe))


def _open(place: str | Path, options: "S3Options") -> "BlobStore":
    from adapters.blob_store import open_blob_store
    from adapters.errors import NotFoundError
    from adapters.folder import FolderBlobStore

    text = str(place)
    if text.startswith(("s3://", "file:")):
        return open_blob_store(text, options=options)
    if not Path(place).is_dir():
        raise NotFoundError(f"{text}: there is no such folder of data sets")
    return FolderBlobStore(Path(place))


def _only_symbol(asked: Mapping[str, Any]) -> str:
    symbols = asked.get("symbols") or [DEFAULT_SYMBOL]
    if not isinstance(symbols, list | tuple) or len(symbols) != 1:
        raise FieldError.of("data.symbols", symbols, "one symbol for one frame; several need a dict of symbol to frame")
    return str(symbols[0])


def _checked(frame: "pd.DataFrame", *, symbol: str, timeframe: str, timezone: str | None) -> Bars:
    from backtape.data.checks import checked_bars
    from backtape.data.columns import TimeRules, read_columns

    source = f"the frame of {symbol}"
    raw = read_columns(_with_known_columns(frame), source=source, columns=None, times=TimeRules(timezone=timezone))
    bars, _ = checked_bars(raw, source=source, symbol=symbol, timeframe=timeframe, repair=False)
    return bars


def _with_known_columns(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return the frame with its time index named ``timestamp``, and volume 0 where it has none, as currencies do not."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"a pandas frame is needed, not {type(frame).__name__}")
    names = {str(name).lower() for name in frame.columns}
    if "timestamp" not in names and isinstance(frame.index, pd.DatetimeIndex):
        frame = frame.rename_axis("timestamp")
    return frame if "volume" in names else frame.assign(volume=0.0)


def _timeframe_of(frame: "pd.DataFrame") -> str:
    """Return the distance at which most bars follow each other; checks.py then refuses rows that don't fit it."""
    import pandas as pd

    names = {str(name).lower(): name for name in frame.columns}
    times = pd.Series(frame.index if "timestamp" not in names else frame[names["timestamp"]].to_numpy())
    try:
        seconds = pd.to_datetime(times, utc=True, format="ISO8601").diff().dt.total_seconds().dropna()
    except (ValueError, TypeError):
        seconds = pd.Series(dtype=float)
    steps = seconds[seconds >= 1]
    if not len(steps):
        raise FieldError.of("data.timeframe", "nothing", "the frame does not tell it: give timeframe, for example timeframe='1d'")
    values, counts = np.unique(steps.to_numpy().astype(np.int64), return_counts=True)
    most = int(values[np.argmax(counts)])
    unit, length = next((unit, length) for unit, length in _UNITS if most % length == 0)
    return f"{most // length}{unit}"


def _instrument(symbol: str, given: Instrument | Mapping[str, Any] | None) -> Instrument:
    if isinstance(given, Instrument):
        return given
    try:
        return Instrument.model_validate({"symbol": symbol, **(given or {})})
    except pydantic.ValidationError as error:
        raise field_error(error) from error


def _side(actions: "pd.DataFrame | None", rates: "pd.DataFrame | None", symbols: set[str], timezone: str | None) -> Side:
    from backtape.data.columns import TimeRules
    from backtape.data.side_tables import read_side

    return read_side(actions, rates, symbols=symbols, times=TimeRules(timezone=timezone))


def _with_digest(
    bars: list[Bars], frames: list[Bars], instruments: tuple[Instrument, ...], *, dataset: str, adjusted: bool, side: Side
) -> Market:
    """Return the market of these bars, named as a version of a data set is: by a digest of its content."""
    from adapters.market_data import MemoryMarketData
    from backtape.data.calendars import pinned

    traded, calendars = pinned(instruments, bars, dataset)
    manifest = MemoryMarketData().publish(
        dataset, [*bars, *frames], instruments=traded, adjusted=adjusted, calendars=calendars, side=side
    )
    return Market(
        bars=tuple(bars),
        instruments=tuple(traded),
        dataset=dataset,
        version=manifest.version,
        digest=manifest.digest(),
        adjusted=adjusted,
        actions=side.actions,
        rates=side.rates,
        frames=tuple(frames),
        calendars=tuple(calendars),
    )
