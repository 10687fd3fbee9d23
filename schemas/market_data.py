"""This module defines market data: bars in memory, instruments, and the manifest of an immutable data-set version.

A bar's ``time_ns`` is its start. Files hold the columns ``timestamp, open, high, low, close, volume`` (and ``bid, ask``
where the data has quotes).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from schemas.actions import CorporateAction, RateKind, RateSeries
from schemas.calendars import UNPINNED, CalendarName, SessionTable
from schemas.canonical import document_digest
from schemas.ids import Digest, IdField
from schemas.spec import Fraction, Model, NonNegative, Positive, Symbol
from schemas.times import TimeframeField

FloatArray = NDArray[np.float64]
TimeArray = NDArray[np.int64]

NO_DIGEST = Digest("")  # data that was given in process and has no version
BAR_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
QUOTE_COLUMNS = ("bid", "ask")


class Instrument(Model):
    """What is traded: the grid of its prices and quantities, and its contract."""

    symbol: Symbol
    tick: Annotated[float, Field(ge=0)] = 0.0  # smallest price step; 0: none
    lot: Positive = 1e-8  # smallest quantity step
    contract: Literal["linear", "inverse", "quanto"] = "linear"
    multiplier: Positive = 1.0  # money per point and unit; inverse: units of the quoted currency that one contract is worth
    currency: Annotated[str, Field(pattern=r"^[A-Z0-9]{3,8}$")] = "USD"  # in which it is paid: of an inverse contract the base
    settlement: Literal["full", "margin"] = "full"  # full: a buyer pays the price; margin: only profit and loss are paid
    initial_margin: Annotated[float, Field(gt=0, le=1)] | None = None  # of the position's value; null: 1 / the account's leverage
    maintenance_margin: Fraction | None = None  # of the position's value; null: the account's
    borrow_rate: NonNegative = 0.0  # cost of a short position, a year; a rate series of the data set replaces it
    # exchange: UTC days, 252 a year; always: UTC days, 365 a year; else a calendar whose sessions the data set holds
    calendar: CalendarName = "exchange"

    @model_validator(mode="before")
    @classmethod
    def _derivatives_are_margined(cls, document: Any) -> Any:
        if isinstance(document, dict) and document.get("contract") in ("inverse", "quanto") and "settlement" not in document:
            return {**document, "settlement": "margin"}
        return document

    @model_validator(mode="after")
    def _nobody_pays_for_a_contract(self) -> Self:
        if self.contract != "linear" and self.settlement != "margin":
            raise ValueError(f"settlement of an {self.contract} contract is margin: its price is not what a buyer pays")
        return self


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars of one symbol in one timeframe.

    All arrays have shape (n,), are C-contiguous and ascending in time without repeats; prices are finite and > 0,
    volume is >= 0, ``low <= open, close <= high``. ``bid, ask`` are the quotes at the bar's end, ``bid <= ask``; both or none.
    """

    symbol: str
    timeframe: str
    time_ns: TimeArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    bid: FloatArray | None = None
    ask: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.time_ns)

    def between(self, start_ns: int | None, end_ns: int | None) -> "Bars":
        """Return the bars from ``start_ns`` (inclusive) to ``end_ns`` (exclusive), as views."""
        first = 0 if start_ns is None else int(np.searchsorted(self.time_ns, start_ns, side="left"))
        last = len(self) if end_ns is None else int(np.searchsorted(self.time_ns, end_ns, side="left"))
        return self.part(slice(first, max(first, last)))

    def part(self, which: slice | NDArray[np.bool_]) -> "Bars":
        """Return some of the bars; of a slice, views."""
        return replace(
            self,
            time_ns=self.time_ns[which],
            open=self.open[which],
            high=self.high[which],
            low=self.low[which],
            close=self.close[which],
            volume=self.volume[which],
            bid=None if self.bid is None else self.bid[which],
            ask=None if self.ask is None else self.ask[which],
        )


@dataclass(frozen=True, slots=True)
class Market:
    """What one simulation sees: bars and instrument of each symbol, in the order of the spec's symbols.

    frames : bars of the same symbols in further time frames, each symbol at most once in each
    calendars : the sessions of every calendar that an instrument names
    live_ns : bars before it are warm-up: strategies see them, nothing is traded in them; None: there are none
    """

    bars: tuple[Bars, ...]
    instruments: tuple[Instrument, ...]
    dataset: str = "memory"
    version: int = 1
    digest: Digest = NO_DIGEST
    adjusted: bool = True  # splits and dividends are already in the prices: none is applied
    actions: tuple[CorporateAction, ...] = ()  # in the order in which those of one time are applied
    rates: tuple[RateSeries, ...] = ()
    frames: tuple[Bars, ...] = ()
    calendars: tuple[SessionTable, ...] = ()
    live_ns: int | None = None
    benchmark: Bars | None = None  # what returns are compared with; never traded, never shown to the strategy

    def rate_series(self, kind: RateKind, name: str) -> RateSeries | None:
        return next((series for series in self.rates if series.kind is kind and series.name == name), None)

    def __post_init__(self) -> None:
        assert len(self.bars) == len(self.instruments), "one instrument for each symbol"
        _check_calendars(self.instruments, self.calendars)

    def sessions(self, calendar: str) -> SessionTable | None:
        """Return the sessions of a calendar; None where its day is the UTC day."""
        return next((table for table in self.calendars if table.name == calendar), None)

    def frame(self, symbol: str, timeframe: str) -> Bars | None:
        """Return a symbol's bars in a further time frame, None if there are none."""
        return next((bars for bars in self.frames if bars.symbol == symbol and bars.timeframe == timeframe), None)


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
    quotes: bool = False  # it has the columns bid and ask


def columns_of(file: DataFile) -> tuple[str, ...]:
    """Return the columns of a data set's file."""
    return BAR_COLUMNS + QUOTE_COLUMNS if file.quotes else BAR_COLUMNS


class SideFile(Model):
    """A Parquet file that belongs to all symbols of a data set: its corporate actions, or its rates."""

    key: Annotated[str, Field(min_length=1, max_length=1_024)]  # in the blob store
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]
    rows: Annotated[int, Field(ge=1)]


class DataSetManifest(Model):
    """One immutable version of a data set. Its digest covers everything in it but the creation note."""

    format: Literal[1] = 1
    dataset: IdField
    version: Annotated[int, Field(ge=1)]
    adjusted: bool
    files: Annotated[list[DataFile], Field(min_length=1)]
    instruments: list[Instrument]
    calendars: list[SessionTable] = Field(default_factory=list)  # of every calendar that an instrument names
    actions: SideFile | None = None  # corporate actions
    rates: SideFile | None = None  # conversion, funding and borrow rates
    source: Annotated[str, Field(max_length=2_000)] = ""
    repairs: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _holds_its_calendars(self) -> Self:
        _check_calendars(self.instruments, self.calendars)
        return self

    def digest(self) -> Digest:
        """Return the digest that a run records: of names, file digests, instruments, sessions and the adjustment mark.

        The files' times are left out: they follow from the bytes, and canonical JSON can't say integers beyond 2**53.
        """
        content = {"dataset", "version", "adjusted", "files", "instruments", "calendars", "actions", "rates"}
        document = self.model_dump(mode="json", include=content)
        for file in document["files"]:
            del file["first_ns"], file["last_ns"]
        return document_digest(document)

    def file(self, symbol: str, timeframe: str) -> DataFile | None:
        return next((file for file in self.files if file.symbol == symbol and file.timeframe == timeframe), None)

    def instrument(self, symbol: str) -> Instrument:
        return next((each for each in self.instruments if each.symbol == symbol), Instrument(symbol=symbol))


def _check_calendars(instruments: Iterable[Instrument], calendars: Iterable[SessionTable]) -> None:
    """Raise ValueError for an instrument whose calendar's sessions are not there."""
    there = {table.name for table in calendars}
    for instrument in instruments:
        if instrument.calendar not in UNPINNED and instrument.calendar not in there:
            has = ", ".join(sorted(there)) or "none"
            raise ValueError(
                f"{instrument.symbol} has calendar {instrument.calendar}, whose sessions are not in the data set; it has {has}"
            )
