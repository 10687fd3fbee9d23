"""This module reads tables of corporate actions and of rates, and checks them: what is wrong is named by row and column.

Actions: ``timestamp, symbol, action, value, new_symbol``; rates: ``timestamp, kind, name, rate`` (docs/data.md).
Nothing is mended.
"""

import math
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from backtape.data.columns import NOT_A_TIME, TimeRules, read_times
from backtape.data.problems import BadDataError, Problem
from schemas.actions import ACTION_COLUMNS, RATE_COLUMNS, ActionKind, CorporateAction, RateKind, RateSeries, Side, problem_of

OPTIONAL = ("value", "new_symbol")
PAIR = re.compile(r"^[A-Z0-9]{3,8}/[A-Z0-9]{3,8}$")

Kind = TypeVar("Kind", bound=StrEnum)


def read_side(
    actions: pd.DataFrame | None,
    rates: pd.DataFrame | None,
    *,
    symbols: set[str],
    times: TimeRules,
    sources: Mapping[str, str] | None = None,
) -> Side:
    """Read both tables. Raises BadDataError naming each wrong row, its column and value.

    symbols : those that have bars: an action or a rate of another one is a slip of the pen
    times : how the time columns are to be read, as those of bars
    sources : names of the tables "actions" and "rates" in messages
    """
    names = {"actions": "the frame of actions", "rates": "the frame of rates"} | dict(sources or {})
    return Side(
        () if actions is None else _read_actions(actions, symbols, times, names["actions"]),
        () if rates is None else _read_rates(rates, symbols, times, names["rates"]),
    )


def _read_actions(frame: pd.DataFrame, symbols: set[str], times: TimeRules, source: str) -> tuple[CorporateAction, ...]:
    """Return the actions, by time; those of one time keep their order."""
    table = _columns(frame, ACTION_COLUMNS, source)
    found: list[CorporateAction] = []
    problems: list[Problem] = []
    seen: set[tuple[int, str, str]] = set()
    moments = _moments(table["timestamp"], times, source)
    for row in range(len(frame)):
        cells = {name: _cell(column, row) for name, column in table.items()}
        problem = _time_problem(moments, row, cells) or _symbol_problem("symbol", cells["symbol"], symbols, row)
        kind = _member(ActionKind, cells["action"])
        value = _number(cells["value"])
        if problem is None and kind is None:
            problem = Problem("action", f"must be one of {', '.join(ActionKind)}", row + 1, _shown(cells["action"]))
        if problem is None and value is not None and math.isnan(value):
            problem = Problem("value", "must be a number", row + 1, _shown(cells["value"]))
        if problem is None and kind is not None:
            new_symbol = None if cells["new_symbol"] is None else str(cells["new_symbol"])
            action = CorporateAction(int(moments[row]), str(cells["symbol"]), kind, value, new_symbol)
            broken = problem_of(action)
            key = (action.time_ns, action.symbol, str(kind))
            if broken is not None:
                problem = Problem(broken[0], broken[1], row + 1, _shown(cells[broken[0]]))
            elif key in seen:
                problem = Problem("timestamp", f"holds a second {kind} of {action.symbol}", row + 1, _shown(cells["timestamp"]))
            else:
                seen.add(key)
                found.append(action)
        if problem is not None:
            problems.append(problem)
    if problems:
        raise BadDataError(source, problems)
    return tuple(sorted(found, key=lambda action: action.time_ns))


def _read_rates(frame: pd.DataFrame, symbols: set[str], times: TimeRules, source: str) -> tuple[RateSeries, ...]:
    """Return one series for each kind and name, sorted by both, each by time."""
    table = _columns(frame, RATE_COLUMNS, source)
    series: dict[tuple[RateKind, str], dict[int, float]] = {}
    problems: list[Problem] = []
    moments = _moments(table["timestamp"], times, source)
    for row in range(len(frame)):
        cells = {name: _cell(column, row) for name, column in table.items()}
        kind, rate = _member(RateKind, cells["kind"]), _number(cells["rate"])
        problem = _time_problem(moments, row, cells)
        if problem is None and kind is None:
            problem = Problem("kind", f"must be one of {', '.join(RateKind)}", row + 1, _shown(cells["kind"]))
        if problem is None:
            problem = _name_problem(kind, cells["name"], symbols, row) or _rate_problem(kind, rate, cells["rate"], row)
        if problem is None and kind is not None and rate is not None:
            known = series.setdefault((kind, str(cells["name"])), {})
            if int(moments[row]) in known:
                problem = Problem("timestamp", f"holds a second rate of {cells['name']}", row + 1, _shown(cells["timestamp"]))
            known[int(moments[row])] = rate
        if problem is not None:
            problems.append(problem)
    if problems:
        raise BadDataError(source, problems)
    return tuple(_series(kind, name, known) for (kind, name), known in sorted(series.items()))


def _series(kind: RateKind, name: str, known: dict[int, float]) -> RateSeries:
    ordered = sorted(known.items())
    return RateSeries(
        kind, name, np.array([time for time, _ in ordered], dtype=np.int64), np.array([rate for _, rate in ordered], dtype=float)
    )


# --- one table --------------------------------------------------------------------------------------------------------


def _columns(frame: pd.DataFrame, wanted: tuple[str, ...], source: str) -> dict[str, "pd.Series[Any]"]:
    """Return the columns by our names; an optional one that is not there is empty. Raises BadDataError for others."""
    if isinstance(frame.index, pd.DatetimeIndex) and "timestamp" not in frame.columns:
        frame = frame.rename_axis("timestamp").reset_index()
    has = ", ".join(str(name) for name in frame.columns)
    problems = list(_column_problems(frame, wanted, has))
    if problems:
        raise BadDataError(source, problems)
    empty = pd.Series([None] * len(frame), dtype=object)
    return {name: frame[name].reset_index(drop=True) if name in frame.columns else empty for name in wanted}


def _column_problems(frame: pd.DataFrame, wanted: tuple[str, ...], has: str) -> Iterator[Problem]:
    for name in wanted:
        count = int((frame.columns == name).sum())
        if count > 1 or (count == 0 and name not in OPTIONAL):
            yield Problem(name, f"is {'there twice' if count else 'missing'}; the table has {has}")
    for name in frame.columns:
        if name not in wanted:
            yield Problem(str(name), f"is none of {', '.join(wanted)}")
    if not len(frame):
        yield Problem(wanted[0], "there is no row")


def _moments(column: "pd.Series[Any]", times: TimeRules, source: str) -> "np.ndarray[Any, np.dtype[np.int64]]":
    return read_times(column, rules=times, source=source, name="timestamp")


def _cell(column: "pd.Series[Any]", row: int) -> Any:
    """Return a cell; None for an empty one."""
    value = column.iloc[row]
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if not isinstance(value, str) else value.strip() or None


def _number(value: Any) -> float | None:
    """Return a number, None for an empty cell, NaN for what is no finite number."""
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool | np.bool_) else float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _member(kind: type[Kind], value: Any) -> Kind | None:
    return kind(value) if value in list(kind) else None


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


# --- one row ----------------------------------------------------------------------------------------------------------


def _time_problem(moments: Any, row: int, cells: dict[str, Any]) -> Problem | None:
    if int(moments[row]) != NOT_A_TIME:
        return None
    return Problem("timestamp", "is no time", row + 1, _shown(cells["timestamp"]))


def _symbol_problem(column: str, value: Any, symbols: set[str], row: int) -> Problem | None:
    if value is not None and str(value) in symbols:
        return None
    return Problem(column, "is no symbol that has bars here", row + 1, _shown(value))


def _name_problem(kind: RateKind | None, value: Any, symbols: set[str], row: int) -> Problem | None:
    if kind is not RateKind.CONVERSION:
        return _symbol_problem("name", value, symbols, row)
    if value is not None and PAIR.match(str(value)):
        return None
    return Problem("name", "must be a pair such as EUR/USD: dollars for a euro", row + 1, _shown(value))


def _rate_problem(kind: RateKind | None, rate: float | None, cell: Any, row: int) -> Problem | None:
    lowest = {RateKind.CONVERSION: "above 0", RateKind.BORROW: "0 or more"}.get(kind) if kind is not None else None
    if rate is None or math.isnan(rate):
        return Problem("rate", "must be a number", row + 1, _shown(cell))
    if (kind is RateKind.CONVERSION and rate <= 0.0) or (kind is RateKind.BORROW and rate < 0.0):
        return Problem("rate", f"must be {lowest} for {kind}", row + 1, _shown(cell))
    return None
