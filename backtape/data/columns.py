"""This module finds the columns of a bar in somebody's table and reads them as numbers and times.

It changes no value: what can't be read is NaN here and a finding in checks.py. It guesses nothing that could be guessed wrong:
times without a zone, numbers without a unit and dates such as 01.02.2017 need a word from the user.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from backtape.data.problems import BadDataError, Problem
from schemas.market_data import BAR_COLUMNS, QUOTE_COLUMNS, FloatArray, TimeArray

VALUES = BAR_COLUMNS[1:]
KNOWN = BAR_COLUMNS + QUOTE_COLUMNS
TIME_NAMES = ("time", "date", "datetime", "timestamp")  # only to say what may have been meant
NOT_A_TIME = np.iinfo(np.int64).min  # what pandas' NaT is as a number
_ZONE = re.compile(r"(?:[Zz]|(?<=[\d ])[+-]\d\d:?\d\d)$")

TimeUnit = Literal["s", "ms", "us", "ns"]


@dataclass(frozen=True, slots=True)
class TimeRules:
    """How the time column is to be read."""

    timezone: str | None = None  # of times that name no zone, for example America/New_York
    unit: TimeUnit | None = None  # of numbers: since 1970 UTC
    format: str | None = None  # of text that is not ISO 8601, for example %d.%m.%Y %H:%M


@dataclass(frozen=True, slots=True)
class RawBars:
    """A table's columns as they were read; rows in the table's order."""

    time_ns: TimeArray  # NOT_A_TIME where there is none
    values: dict[str, FloatArray]  # NaN where there is none; bid and ask only if the table has both
    names: dict[str, str]  # what each column is called in the source
    texts: dict[str, "pd.Series[Any]"]  # as they were, for messages
    ignored: tuple[str, ...]  # columns of the source that are not used

    def text(self, column: str, row: int) -> str:
        value = self.texts[column].iloc[row]
        return "nothing" if value is None or value is pd.NaT or value == "" else str(value)


def read_columns(frame: pd.DataFrame, *, source: str, columns: Mapping[str, str] | None, times: TimeRules) -> RawBars:
    """Read a table's columns. Raises BadDataError for missing ones, and for times that need a word from the user.

    columns : what ours are called in the table, for example {"timestamp": "Date"}; the others by their own names, in any case
    """
    frame = _with_index(frame)
    names = _find(frame, source=source, wanted=columns or {})
    texts = {ours: frame[theirs] for ours, theirs in names.items()}
    return RawBars(
        time_ns=read_times(texts["timestamp"], rules=times, source=source, name=names["timestamp"]),
        values={name: _read_numbers(texts[name]) for name in KNOWN[1:] if name in texts},
        names=names,
        texts=texts,
        ignored=tuple(str(name) for name in frame.columns if name not in names.values()),
    )


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its index as a column, where the index holds the times; rows are then counted 0, 1, 2 …"""
    name = frame.index.name or "timestamp"
    if not isinstance(frame.index, pd.DatetimeIndex) or name in frame.columns:
        return frame.reset_index(drop=True)
    times = frame.index.to_series(index=pd.RangeIndex(len(frame)), name=name)
    return pd.concat([times, frame.reset_index(drop=True)], axis=1)


def _find(frame: pd.DataFrame, *, source: str, wanted: Mapping[str, str]) -> dict[str, str]:
    unknown = [name for name in wanted if name not in KNOWN]
    if unknown:
        raise BadDataError(source, [Problem(column=name, rule=f"is none of {', '.join(KNOWN)}") for name in unknown])
    found: dict[str, str] = {}
    problems = []
    candidates = {ours: _named(frame, ours, wanted.get(ours)) for ours in KNOWN}
    # Quotes are read where both are there, or where the user speaks of one: a lone "bid" may be anything.
    has_quotes = all(candidates[name] for name in QUOTE_COLUMNS) or any(name in wanted for name in QUOTE_COLUMNS)
    for ours in KNOWN if has_quotes else BAR_COLUMNS:
        theirs = candidates[ours]
        if len(theirs) == 1:
            found[ours] = theirs[0]
        else:
            problems.append(_missing(frame, ours, wanted.get(ours, ours), len(theirs)))
    if problems:
        raise BadDataError(source, problems)
    return found


def _named(frame: pd.DataFrame, ours: str, wanted: str | None) -> list[Any]:
    """Return the table's columns that may be ours: of the wanted name, else of our own, in any case if none is written so."""
    if wanted is not None:
        return [name for name in frame.columns if name == wanted]
    return [name for name in frame.columns if name == ours] or [name for name in frame.columns if str(name).lower() == ours]


def _missing(frame: pd.DataFrame, ours: str, name: str, count: int) -> Problem:
    has = ", ".join(str(each) for each in frame.columns)
    if count > 1:
        return Problem(column=name, rule=f"there are {count} of this name; the table has {has}")
    meant = [str(each) for each in frame.columns if str(each).lower() in TIME_NAMES] if ours == "timestamp" else []
    hint = f"; if {meant[0]!r} is meant, say so by columns={{'timestamp': {meant[0]!r}}}" if meant else ""
    return Problem(column=name, rule=f"is missing; the table has {has}{hint}")


def _read_numbers(column: "pd.Series[Any]") -> FloatArray:
    if pd.api.types.is_bool_dtype(column.dtype):
        return np.full(len(column), np.nan)
    numbers = pd.to_numeric(column, errors="coerce")
    return np.ascontiguousarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def read_times(column: "pd.Series[Any]", *, rules: TimeRules, source: str, name: str) -> TimeArray:
    """Return a column of times as nanoseconds; NOT_A_TIME where there is none. Raises BadDataError for a missing word."""
    _check_zone(rules.timezone, source=source, name=name)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        zone = str(column.dtype.tz)
        if rules.timezone is not None and rules.timezone != zone:
            raise BadDataError(source, [Problem(name, f"has the time zone {zone}, and {rules.timezone} was given")])
        return _nanoseconds(column)
    if pd.api.types.is_datetime64_dtype(column.dtype):
        return _localized(column, rules.timezone, source=source, name=name)
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        if rules.unit is None:
            first = str(column.iloc[0]) if len(column) else None
            raise BadDataError(source, [Problem(name, "is a number; give its unit since 1970 UTC (s, ms, us, ns)", 1, first)])
        return _nanoseconds(pd.to_datetime(column, unit=rules.unit, utc=True, errors="coerce"))
    return _read_texts(column, rules=rules, source=source, name=name)


def _read_texts(column: "pd.Series[Any]", *, rules: TimeRules, source: str, name: str) -> TimeArray:
    texts = column.map(lambda value: "" if value is None or value is pd.NaT or value != value else str(value)).astype("str")
    format = rules.format or "ISO8601"
    has_zone = texts.str.contains(_ZONE).to_numpy(dtype=bool) if rules.format is None else np.full(len(texts), "%z" in format)
    result = np.full(len(texts), NOT_A_TIME, dtype=np.int64)
    if has_zone.any():
        result[has_zone] = _nanoseconds(pd.to_datetime(texts[has_zone], format=format, utc=True, errors="coerce"))
    if not has_zone.all():
        plain = pd.to_datetime(texts[~has_zone], format=format, errors="coerce")
        result[~has_zone] = _localized(plain, rules.timezone, source=source, name=name)
    return result


def _localized(column: "pd.Series[Any]", timezone: str | None, *, source: str, name: str) -> TimeArray:
    """Return times that name no zone as UTC. What the zone's clock shows twice or never becomes NOT_A_TIME."""
    is_time = column.notna()
    if timezone is None and is_time.any():
        row = int(np.argmax(is_time.to_numpy()))
        rule = "names no time zone; give the one it is in (timezone, for example UTC)"
        raise BadDataError(source, [Problem(name, rule, int(column.index[row]) + 1, str(column.iloc[row]))])
    return _nanoseconds(column.dt.tz_localize(timezone or "UTC", ambiguous="NaT", nonexistent="NaT"))


def _nanoseconds(column: "pd.Series[Any]") -> TimeArray:
    """Return nanoseconds since 1970 UTC; NOT_A_TIME also for years that int64 nanoseconds or the specs can't say."""
    index = pd.DatetimeIndex(column)
    years = index.year.to_numpy()
    can_be_said = (years >= 1970) & (years <= 2261)
    result = np.full(len(index), NOT_A_TIME, dtype=np.int64)
    result[can_be_said] = index[can_be_said].as_unit("ns").asi8
    return result


def _check_zone(timezone: str | None, *, source: str, name: str) -> None:
    try:
        if timezone is not None:
            ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        rule = f"{timezone!r} is no time zone (for example UTC, America/New_York)"
        raise BadDataError(source, [Problem(name, rule)]) from error
