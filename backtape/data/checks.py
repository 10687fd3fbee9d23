"""This module checks bars that come from outside, and repairs them where the user asks for it.

What passes is what ``schemas.market_data.Bars`` promises: ascending times without repeats, finite positive prices, high and low
around open and close, no negative volume, no bid above its ask. A repair never invents a price: it sorts, drops rows, widens
high and low to what the bar's own open and close say, and sets a senseless volume to 0. It lists everything that it did.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backtape.data.columns import KNOWN, NOT_A_TIME, RawBars
from backtape.data.problems import MAX_SHOWN, BadDataError, Finding, Problem, problems_of
from schemas.market_data import QUOTE_COLUMNS, Bars, FloatArray, TimeArray
from schemas.times import format_time, timeframe_ns

PRICES = ("open", "high", "low", "close")
HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
FEW_ROWS = 10  # below this, the distances of bars say nothing about the timeframe
SHOWN_TIMES = 5  # times that a line about a repair names

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """The columns that are checked; ``row`` is where each row was in the source, from 0."""

    row: NDArray[np.int64]
    time_ns: TimeArray
    values: dict[str, FloatArray]

    def __len__(self) -> int:
        return len(self.time_ns)

    def taken(self, which: Mask | NDArray[np.int64]) -> "Rows":
        return Rows(self.row[which], self.time_ns[which], {name: column[which] for name, column in self.values.items()})


def checked_bars(raw: RawBars, *, source: str, symbol: str, timeframe: str, repair: bool) -> tuple[Bars, list[str]]:
    """Return the bars and what was repaired. Raises BadDataError naming rows, columns and values."""
    rows = Rows(np.arange(len(raw.time_ns)), raw.time_ns, raw.values)
    repairs: list[str] = []
    if repair:
        rows, repairs = _repaired(rows, timeframe=timeframe)
    if not len(rows):
        raise BadDataError(source, [Problem(raw.names["timestamp"], "there is no row" + (" left" if repairs else ""))])
    problems, count = problems_of(_findings(rows, raw, timeframe=timeframe))
    if count:
        raise BadDataError(source, problems, count)
    _check_spacing(rows.time_ns, timeframe=timeframe, source=source, name=raw.names["timestamp"])
    columns = {name: np.ascontiguousarray(column) for name, column in rows.values.items()}
    return Bars(symbol=symbol, timeframe=timeframe, time_ns=np.ascontiguousarray(rows.time_ns), **columns), repairs


def _findings(rows: Rows, raw: RawBars, *, timeframe: str) -> Iterator[Finding]:
    for column, rule, mask in _broken_rules(rows, timeframe=timeframe):
        where = rows.row[mask]
        values = tuple(raw.text(column, int(row)) for row in where[:MAX_SHOWN])
        yield Finding(column=raw.names[column], rule=rule, rows=where, values=values)


def _broken_rules(rows: Rows, *, timeframe: str) -> Iterator[tuple[str, str, Mask]]:
    """Yield column, rule and the rows that break it, for every rule that some row breaks."""
    for column, rule, broken in _VALUE_RULES:
        if column not in rows.values:
            continue
        mask = broken(rows.values[column])
        if mask.any():
            yield column, rule, mask
    for column, rule, compared in _BAR_RULES if "bid" not in rows.values else (*_BAR_RULES, *_QUOTE_RULES):
        mask = compared(rows.values)
        if mask.any():
            yield column, rule, mask
    yield from _broken_time_rules(rows.time_ns, timeframe=timeframe)


def _not_number(column: FloatArray) -> Mask:
    return np.isnan(column)


def _infinite(column: FloatArray) -> Mask:
    return np.isinf(column)


def _not_positive(column: FloatArray) -> Mask:
    return np.isfinite(column) & (column <= 0)


def _negative(column: FloatArray) -> Mask:
    return np.isfinite(column) & (column < 0)


_VALUE_RULES: tuple[tuple[str, str, Callable[[FloatArray], Mask]], ...] = (
    *((name, "is not a number", _not_number) for name in KNOWN[1:]),
    *((name, "is infinite", _infinite) for name in KNOWN[1:]),
    *((name, "is not above zero", _not_positive) for name in (*PRICES, *QUOTE_COLUMNS)),
    ("volume", "is below zero", _negative),
)
_BAR_RULES: tuple[tuple[str, str, Callable[[dict[str, FloatArray]], Mask]], ...] = (
    ("high", "is below the bar's low", lambda bar: bar["high"] < bar["low"]),
    ("open", "is above the bar's high", lambda bar: bar["open"] > bar["high"]),
    ("open", "is below the bar's low", lambda bar: bar["open"] < bar["low"]),
    ("close", "is above the bar's high", lambda bar: bar["close"] > bar["high"]),
    ("close", "is below the bar's low", lambda bar: bar["close"] < bar["low"]),
)
_QUOTE_RULES: tuple[tuple[str, str, Callable[[dict[str, FloatArray]], Mask]], ...] = (
    ("bid", "is above the row's ask", lambda bar: bar["bid"] > bar["ask"]),
)


def _broken_time_rules(time_ns: TimeArray, *, timeframe: str) -> Iterator[tuple[str, str, Mask]]:
    missing = time_ns == NOT_A_TIME
    if missing.any():
        yield "timestamp", "is not a time that can be used: ISO 8601, 1970 to 2261, shown once by its zone's clock", missing
        return
    previous = np.maximum.accumulate(time_ns)
    earlier = np.zeros(len(time_ns), dtype=bool)
    earlier[1:] = time_ns[1:] < previous[:-1]
    if earlier.any():
        yield "timestamp", "is earlier than a row before it", earlier
    repeated = _repeated(time_ns)
    if repeated.any():
        yield "timestamp", "is there already", repeated
    if not earlier.any() and not repeated.any():
        off = _off_grid(time_ns, timeframe=timeframe)
        if off.any():
            yield "timestamp", f"is off the grid of {timeframe} that the other rows are on", off


def _repeated(time_ns: TimeArray) -> Mask:
    """Return which rows have the time of a row before them."""
    order = np.argsort(time_ns, kind="stable")
    repeated = np.zeros(len(time_ns), dtype=bool)
    repeated[order[1:]] = time_ns[order[1:]] == time_ns[order[:-1]]
    return repeated


def _off_grid(time_ns: TimeArray, *, timeframe: str) -> Mask:
    """Return which rows can't be the start of a bar, where that can be said.

    Up to an hour all bars start at the same point of the timeframe (not always at 0: markets open at 9:30). Above that clocks
    that change by an hour, short weeks and holidays shift the starts, so only bars that overlap are told from good ones.
    """
    step = timeframe_ns(timeframe)
    if step <= HOUR_NS:
        starts, counts = np.unique(time_ns % step, return_counts=True)
        return np.asarray(time_ns % step != starts[np.argmax(counts)])
    least = step - HOUR_NS if step < DAY_NS else step // 2 + 1
    mask = np.zeros(len(time_ns), dtype=bool)
    mask[1:] = np.diff(time_ns) < least
    return mask


def _check_spacing(time_ns: TimeArray, *, timeframe: str, source: str, name: str) -> None:
    """Refuse bars of a longer timeframe than was said: 5-minute bars are all on the grid of 1 minute."""
    if len(time_ns) < FEW_ROWS:
        return
    closest = int(np.diff(time_ns).min())
    if closest >= 2 * timeframe_ns(timeframe):
        rule = f"no two rows are {timeframe} apart, the closest are {closest // 1_000_000_000} s: is it another timeframe?"
        raise BadDataError(source, [Problem(name, rule)])


# --- repairs ------------------------------------------------------------------------------------------------------


def _repaired(rows: Rows, *, timeframe: str) -> tuple[Rows, list[str]]:
    """Return rows that follow the rules, and a line about each kind of change. The order of steps is part of the meaning."""
    done: list[str] = []
    rows = _without(rows, rows.time_ns == NOT_A_TIME, "dropped, having no time that can be used", done)
    for name in (*PRICES, *QUOTE_COLUMNS):
        if name in rows.values:
            column = rows.values[name]
            bad = ~np.isfinite(column) | (column <= 0)
            rows = _without(rows, bad, f"dropped, {name} being no finite price above zero", done)
    if "bid" in rows.values:
        rows = _without(rows, rows.values["bid"] > rows.values["ask"], "dropped, bid being above ask", done)
    rows = _with_sane_volume(rows, done)
    rows = _sorted(rows, done)
    rows = _without(rows, _repeated(rows.time_ns), "dropped, their time being there already (the first row stays)", done)
    rows = _with_wide_bars(rows, done)
    if len(rows):
        rows = _without(rows, _off_grid(rows.time_ns, timeframe=timeframe), f"dropped, being off the grid of {timeframe}", done)
    return rows, done


def _without(rows: Rows, mask: Mask, what: str, done: list[str]) -> Rows:
    if not mask.any():
        return rows
    done.append(_line(rows, mask, what))
    return rows.taken(~mask)


def _sorted(rows: Rows, done: list[str]) -> Rows:
    order = np.argsort(rows.time_ns, kind="stable")
    moved = order != np.arange(len(rows))
    if not moved.any():
        return rows
    done.append(_line(rows.taken(order), moved, "moved, to sort by time"))
    return rows.taken(order)


def _with_sane_volume(rows: Rows, done: list[str]) -> Rows:
    volume = rows.values["volume"]
    bad = ~np.isfinite(volume) | (volume < 0)
    if not bad.any():
        return rows
    done.append(_line(rows, bad, "got volume 0 in place of none, an infinite or a negative one"))
    return replace(rows, values=rows.values | {"volume": np.where(bad, 0.0, volume)})


def _with_wide_bars(rows: Rows, done: list[str]) -> Rows:
    bar = rows.values
    top = np.maximum(np.maximum(bar["open"], bar["close"]), np.maximum(bar["high"], bar["low"]))
    bottom = np.minimum(np.minimum(bar["open"], bar["close"]), np.minimum(bar["high"], bar["low"]))
    too_low, too_high = bar["high"] < top, bar["low"] > bottom
    if too_low.any():
        done.append(_line(rows, too_low, "got as high the highest of their four prices"))
    if too_high.any():
        done.append(_line(rows, too_high, "got as low the lowest of their four prices"))
    return replace(rows, values=bar | {"high": top, "low": bottom})


def _line(rows: Rows, mask: Mask, what: str) -> str:
    """Return one line about a repair: how many rows, what was done, and the first of them."""
    count = int(mask.sum())
    first = [_named(rows, int(index)) for index in np.flatnonzero(mask)[:SHOWN_TIMES]]
    more = ", …" if count > SHOWN_TIMES else ""
    return f"{count} row{'s' if count > 1 else ''} {what}: {', '.join(first)}{more}"


def _named(rows: Rows, index: int) -> str:
    time_ns = int(rows.time_ns[index])
    return f"row {int(rows.row[index]) + 1}" + ("" if time_ns == NOT_A_TIME else f" ({format_time(time_ns)})")
