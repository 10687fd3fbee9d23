"""This module asks the package exchange_calendars for an exchange's sessions, once, when data is imported.

What it says is stored in the data set: a run reads it from there, and never asks the package. See docs/decisions/.
"""

import importlib.metadata
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from backtape.data.problems import BadDataError, Problem
from schemas.calendars import UNPINNED, SessionTable, encoded_sessions
from schemas.market_data import Bars, Instrument

PACKAGE = "exchange_calendars"
MARGIN = pd.Timedelta(days=14)  # around the data: every bar has a session, and the last one's end is known
YEARS = ("2010-01-01", "2019-12-31")  # that the number of sessions a year is counted in


def pinned(instruments: Sequence[Instrument], bars: Iterable[Bars], source: str) -> tuple[list[Instrument], list[SessionTable]]:
    """Return the instruments with their calendars' own names, and the sessions of each calendar over the bars' time.

    source : of the data, for messages
    Raises BadDataError for a calendar that the package does not know, or not for that time.
    """
    named: dict[str, str] = {}
    tables: dict[str, SessionTable] = {}
    first, last = _range(bars)
    for name in sorted({instrument.calendar for instrument in instruments} - set(UNPINNED)):
        table = session_table(name, first, last, source)
        named[name] = table.name
        tables[table.name] = table
    renamed = [each.model_copy(update={"calendar": named.get(each.calendar, each.calendar)}) for each in instruments]
    return renamed, [tables[name] for name in sorted(tables)]


def session_table(name: str, first_ns: int, last_ns: int, source: str) -> SessionTable:
    """Return the sessions of a calendar from some days before a time to some days after another."""
    with warnings.catch_warnings():
        # The package uses what pandas 4 will not have; nothing but the package runs in here.
        warnings.filterwarnings("ignore", category=pd.errors.Pandas4Warning)
        opens, closes, own_name, per_year = _ask(name, _day(first_ns) - MARGIN, _day(last_ns) + MARGIN, source)
    return SessionTable(
        name=own_name,
        source=f"{PACKAGE} {importlib.metadata.version(PACKAGE)}",
        sessions_per_year=per_year,
        sessions=encoded_sessions(opens, closes),
    )


def _ask(name: str, start: pd.Timestamp, end: pd.Timestamp, source: str) -> tuple[Any, Any, str, int]:
    import exchange_calendars
    from exchange_calendars.errors import CalendarError

    try:
        years = exchange_calendars.get_calendar(name, start=YEARS[0], end=YEARS[1])
        bounds = (years.bound_min() or start, years.bound_max() or end)
        calendar = exchange_calendars.get_calendar(name, start=max(start, bounds[0]), end=min(end, bounds[1]))
    except (CalendarError, ValueError) as error:
        rule = f"{name!r} can't be used from {start.date()} to {end.date()}: {error} Known are always, exchange, {_known()}"
        raise BadDataError(source, [Problem("calendar", rule)]) from error
    return _nanoseconds(calendar.opens), _nanoseconds(calendar.closes), calendar.name, round(len(years.sessions) / 10)


def _known() -> str:
    import exchange_calendars

    return ", ".join(sorted(exchange_calendars.get_calendar_names(include_aliases=False)))


def _nanoseconds(times: Any) -> Any:
    return np.ascontiguousarray(pd.DatetimeIndex(times).as_unit("ns").asi8)


def _day(time_ns: int) -> pd.Timestamp:
    return pd.Timestamp(time_ns).normalize()


def _range(bars: Iterable[Bars]) -> tuple[int, int]:
    spans = [(int(each.time_ns[0]), int(each.time_ns[-1])) for each in bars]
    return min(first for first, _ in spans), max(last for _, last in spans)
