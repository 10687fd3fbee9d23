"""This module lays a market out for the kernels: one merged time line, all symbols' columns one after the other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.currencies import foreign_currencies
from engine.kernels.codes import DAY_BEGINS, DAY_NS, FIRST_OF_DAY, LAST_OF_DAY
from engine.kernels.records import HAPPENING, SYMBOL, Records, Tape
from engine.sessions import bar_ends, days_of
from schemas.actions import RateKind
from schemas.market_data import Bars, FloatArray, Market, TimeArray
from schemas.spec import AccountSpec
from schemas.times import timeframe_ns

Array = TypeVar("Array", bound=NDArray[Any])
_NOTHING = np.zeros((0, 0), dtype=np.int32)


def merged_times(all_bars: Sequence[Bars], live_ns: int | None = None) -> TimeArray:
    """Return the times at which any symbol has a bar, ascending, from ``live_ns`` on. One symbol's own array is only cut."""
    first = all_bars[0].time_ns
    if all(len(bars) == len(first) and np.array_equal(bars.time_ns, first) for bars in all_bars[1:]):
        times = first
    else:
        times = np.unique(np.concatenate([bars.time_ns for bars in all_bars]))
    return times if live_ns is None else times[int(np.searchsorted(times, live_ns, side="left")) :]


def leads(market: Market) -> list[int]:
    """Return how many bars of each symbol are warm-up."""
    if market.live_ns is None:
        return [0] * len(market.bars)
    return [int(np.searchsorted(bars.time_ns, market.live_ns, side="left")) for bars in market.bars]


def live_part(market: Market) -> Market:
    """Return the market without its warm-up."""
    if market.live_ns is None:
        return market
    return replace(market, bars=tuple(bars.between(market.live_ns, None) for bars in market.bars))


def lay_out(market: Market) -> Tape:
    """Return the tape, without conversion rates and happenings (setup.py adds them).

    A single symbol's columns are used as they are (memory-mapped, say); several are copied.
    """
    times = np.ascontiguousarray(merged_times(market.bars, market.live_ns), dtype=np.int64)
    is_dense = all(len(bars) - lead == len(times) for bars, lead in zip(market.bars, leads(market), strict=True))
    latest = _NOTHING if is_dense else _latest_rows(market.bars, times)
    day, flags = session_flags(market, times)
    return Tape(
        time_ns=read_only(times),
        open=_column([bars.open for bars in market.bars]),
        high=_column([bars.high for bars in market.bars]),
        low=_column([bars.low for bars in market.bars]),
        close=_column([bars.close for bars in market.bars]),
        volume=_column([bars.volume for bars in market.bars]),
        latest=read_only(latest),
        day=read_only(day),
        day_ends=read_only(_day_ends(times, day)),
        ends=read_only(np.zeros(0, dtype=np.int64) if is_dense else overlapping_ends(market, times)),
        flags=read_only(flags),
        bid=_quotes(market, "bid"),
        ask=_quotes(market, "ask"),
        rates=read_only(np.zeros((0, 0))),
        happenings=read_only(np.zeros(0, dtype=HAPPENING)),
    )


def overlapping_ends(market: Market, times: TimeArray) -> TimeArray:
    """Return when the bars of each step are over, where some are not before the next step begins; else nothing.

    Bars of one symbol never overlap: each ends with the symbol's next one at the latest (clocks change, sessions are short).
    """
    ends = times.copy()
    for bars, instrument in zip(market.bars, market.instruments, strict=True):
        own = bar_ends(market.sessions(instrument.calendar), bars.time_ns, timeframe_ns(bars.timeframe))
        own[:-1] = np.minimum(own[:-1], bars.time_ns[1:])
        live = bars.time_ns >= times[0]
        steps = np.searchsorted(times, bars.time_ns[live])
        ends[steps] = np.maximum(ends[steps], own[live])
    return ends if np.any(ends[:-1] > times[1:]) else np.zeros(0, dtype=np.int64)


def _quotes(market: Market, name: str) -> FloatArray:
    """Return a column of quotes; empty where a symbol has none, because then no rule may use them."""
    columns = [getattr(bars, name) for bars in market.bars]
    return read_only(np.zeros(0)) if any(column is None for column in columns) else _column(columns)


def session_flags(market: Market, times: TimeArray) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the account's day at each step, shape (steps,), and each symbol's flags, shape (symbols, steps).

    Both are empty where no instrument has sessions: kernels then count UTC days. The account's day is the session where all
    symbols have the same calendar, else the UTC day. A session ends with the bar that reaches its close, and begins with the
    symbol's first bar that reaches beyond its open.
    """
    names = {instrument.calendar for instrument in market.instruments}
    tables = {name: market.sessions(name) for name in names}
    if all(table is None for table in tables.values()):
        return np.zeros(0, dtype=np.int32), np.zeros((0, 0), dtype=np.uint8)
    flags = np.zeros((len(market.bars), len(times)), dtype=np.uint8)
    days = {name: days_of(table, times) for name, table in tables.items()}
    for row, (bars, instrument) in zip(flags, zip(market.bars, market.instruments, strict=True), strict=True):
        table, day = tables[instrument.calendar], days[instrument.calendar]
        row[1:][day[1:] != day[:-1]] |= DAY_BEGINS
        has_bar = np.isin(times, bars.time_ns, assume_unique=True)
        if table is None:
            row[:-1][day[1:] != day[:-1]] |= LAST_OF_DAY
            is_regular = has_bar
        else:
            open_ns, close_ns = table.times()
            ends = bar_ends(table, times, timeframe_ns(bars.timeframe))
            row[ends >= close_ns[day]] |= LAST_OF_DAY
            is_regular = has_bar & (ends > open_ns[day])
        regular = np.flatnonzero(is_regular)
        first = np.ones(len(regular), dtype=bool)
        first[1:] = day[regular[1:]] != day[regular[:-1]]
        row[regular[first]] |= FIRST_OF_DAY
    account = days[next(iter(names))] if len(names) == 1 else times // DAY_NS
    return account.astype(np.int32), flags


def _day_ends(times: TimeArray, day: NDArray[np.int32]) -> TimeArray:
    """Return the last step of each of the account's days that has bars, ascending: of sessions, or of days in UTC.

    day : as ``session_flags`` returns it
    """
    last = len(times) - 1
    if len(day):
        return np.append(np.flatnonzero(day[1:] != day[:-1]), last).astype(np.int64)
    days = np.arange(int(times[0]) // DAY_NS + 1, int(times[-1]) // DAY_NS + 1, dtype=np.int64)
    begins = np.unique(np.searchsorted(times, days * DAY_NS))  # a tenth of the price of dividing every time
    return np.append(begins - 1, last).astype(np.int64)


def _column(arrays: list[FloatArray]) -> FloatArray:
    if len(arrays) == 1:
        return read_only(np.ascontiguousarray(arrays[0], dtype=np.float64))
    return read_only(np.concatenate(arrays).astype(np.float64, copy=False))


def read_only(array: Array) -> Array:
    """Return a view that can't be written to. Kernels are compiled once, for such arrays, whatever the data came from."""
    view = array.view()
    view.flags.writeable = False
    return view


def offsets(market: Market) -> list[int]:
    """Return the first row of each symbol."""
    total, result = 0, []
    for bars in market.bars:
        result.append(total)
        total += len(bars)
    return result


def _latest_rows(all_bars: tuple[Bars, ...], times: TimeArray) -> NDArray[np.int32]:
    """Return, for each symbol and step, the row of its last bar at or before the step, -1 where there is none yet."""
    latest = np.empty((len(all_bars), len(times)), dtype=np.int32)
    offset = 0
    for index, bars in enumerate(all_bars):
        place = np.searchsorted(bars.time_ns, times, side="right") - 1
        latest[index] = np.where(place >= 0, place + offset, -1)
        offset += len(bars)
    return latest


def symbol_records(market: Market, account: AccountSpec) -> Records:
    """Return the symbols' instruments and empty positions, and one spare record at the end, shape (symbols + 1,)."""
    records = np.zeros(len(market.bars) + 1, dtype=SYMBOL)
    currencies = foreign_currencies(market, account.currency)
    rows = zip(market.instruments, offsets(market), leads(market), strict=True)
    for place, (instrument, offset, lead) in enumerate(rows):
        record = records[place]
        record["base"] = place
        record["first_row"] = offset
        record["offset"] = offset + lead
        record["tick"] = instrument.tick
        record["tick_inverse"] = grid_inverse(instrument.tick)
        record["lot"] = instrument.lot
        record["lot_inverse"] = grid_inverse(instrument.lot)
        record["multiplier"] = instrument.multiplier
        record["used_step"] = -1
        record["rate_row"] = currencies.index(instrument.currency) if instrument.currency in currencies else -1
        record["is_inverse"] = instrument.contract == "inverse"
        record["is_margined"] = instrument.settlement == "margin"
        record["is_plain"] = instrument.settlement == "full" and record["rate_row"] < 0
        own = instrument.initial_margin
        record["margin_weight"] = 1.0 if own is None else own * account.leverage
        own = instrument.maintenance_margin
        record["maintenance"] = (account.maintenance_margin or 0.0) if own is None else own
        record["borrow_rate"] = instrument.borrow_rate
        record["has_borrow"] = instrument.borrow_rate > 0.0 or market.rate_series(RateKind.BORROW, instrument.symbol) is not None
    return records


def grid_inverse(step: float) -> float:
    """Return 1 / step where that is a whole number (0.01 -> 100.0), else 0."""
    if step <= 0.0 or step > 1.0:
        return 0.0
    inverse = float(round(1.0 / step))
    return inverse if abs(inverse * step - 1.0) < 1e-9 else 0.0


def periods_per_year(market: Market) -> float:
    """Return the days a year: 365 where every instrument trades always, the sessions of a calendar that all share, else 252."""
    names = {instrument.calendar for instrument in market.instruments}
    if len(names) > 1:
        return 252.0
    name = names.pop()
    table = market.sessions(name)
    if table is not None:
        return float(table.sessions_per_year)
    return 365.0 if name == "always" else 252.0
