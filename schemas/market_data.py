"""This module defines market data: bars in memory, instruments, and the manifest of an immutable data-set version.

A bar's ``time_ns`` is its start. Files hold the columns ``timestamp, open, high, low, close, volume`` (and ``bid, ask``
where the data has quotes).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.canonical import document_digest
from schemas.ids import Digest, IdField
from schemas.spec import Model, Positive, Symbol
from schemas.times import TimeframeField

FloatArray = NDArray[np.float64]
TimeArray = NDArray[np.int64]

NO_DIGEST = Digest("")  # data that was given in process and has no version
BAR_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")


class Instrument(Model):
    """What is traded: the grid of its prices and quantities, and its contract."""

    symbol: Symbol
    tick: Annotated[float, Field(ge=0)] = 0.0  # smallest price step; 0: none
    lot: Positive = 1e-8  # smallest quantity step
    multiplier: Positive = 1.0  # money per point and unit
    currency: Annotated[str, Field(pattern=r"^[A-Z0-9]{3,8}$")] = "USD"
    calendar: Literal["exchange", "always"] = "exchange"  # always: 24/7, 365 periods a year


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars of one symbol in one timeframe.

    All arrays have shape (n,), are C-contiguous and ascending in time without repeats; prices are finite and > 0,
    volume is >= 0, ``low <= open, close <= high``.
    """

    symbol: str
    timeframe: str
    time_ns: TimeArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def __len__(self) -> int:
        return len(self.time_ns)

    def between(self, start_ns: int | None, end_ns: int | None) -> "Bars":
        """Return the bars from ``start_ns`` (inclusive) to ``end_ns`` (exclusive), as views."""
        first = 0 if start_ns is None else int(np.searchsorted(self.time_ns, start_ns, side="left"))
        last = len(self) if end_ns is None else int(np.searchsorted(self.time_ns, end_ns, side="left"))
        part = slice(first, max(first, last))
        return Bars(
            symbol=self.symbol,
            timeframe=self.timeframe,
            time_ns=self.time_ns[part],
            open=self.open[part],
            high=self.high[part],
            low=self.low[part],
            close=self.close[part],
            volume=self.volume[part],
        )


@dataclass(frozen=True, slots=True)
class Market:
    """What one simulation sees: bars and instrument of each symbol, in the order of the spec's symbols."""

    bars: tuple[Bars, ...]
    instruments: tuple[Instrument, ...]
    dataset: str = "memory"
    version: int = 1
    digest: Digest = NO_DIGEST
    adjusted: bool = True  # splits and dividends are already in the prices: none is applied
    benchmark: Bars | None = None  # what returns are compared with; never traded, never shown to the strategy

    def __post_init__(self) -> None:
        assert len(self.bars) == len(self.instruments), "one instrument for each symbol"


class DataFile(Model):
    """One Parquet file of a data set: one symbol, one timeframe."""

    symbol: Symbol
    timeframe: TimeframeField
    key: Annotated[str, Field(min_length=1, max_length=1_024)]  # in the blob store
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]
    rows: Annotated[int, Field(ge=1)]
    first_ns: int
    last_ns: int


class DataSetManifest(Model):
    """One immutable version of a data set. Its digest covers everything in it but the creation note."""

    format: Literal[1] = 1
    dataset: IdField
    version: Annotated[int, Field(ge=1)]
    adjusted: bool
    files: Annotated[list[DataFile], Field(min_length=1)]
    instruments: list[Instrument]
    source: Annotated[str, Field(max_length=2_000)] = ""
    repairs: list[str] = Field(default_factory=list)

    def digest(self) -> Digest:
        """Return the digest that a run records: of names, file digests, instruments and the adjustment mark.

        The files' times are left out: they follow from the bytes, and canonical JSON can't say integers beyond 2**53.
        """
        document = self.model_dump(mode="json", include={"dataset", "version", "adjusted", "files", "instruments"})
        for file in document["files"]:
            del file["first_ns"], file["last_ns"]
        return document_digest(document)

    def file(self, symbol: str, timeframe: str) -> DataFile | None:
        return next((file for file in self.files if file.symbol == symbol and file.timeframe == timeframe), None)

    def instrument(self, symbol: str) -> Instrument:
        return next((each for each in self.instruments if each.symbol == symbol), Instrument(symbol=symbol))
