"""This module lays a market out for the kernels: one merged time line, all symbols' columns one after the other."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.currencies import foreign_currencies
from engine.kernels.records import HAPPENING, SYMBOL, Records, Tape
from schemas.actions import RateKind
from schemas.market_data import Bars, FloatArray, Instrument, Market, TimeArray
from schemas.spec import AccountSpec

Array = TypeVar("Array", bound=NDArray[Any])


def merged_times(market: Market) -> TimeArray:
    """Return the times at which any symbol has a bar, ascending. One symbol's own array is returned as it is."""
    first = market.bars[0].time_ns
    if all(len(bars) == len(first) and np.array_equal(bars.time_ns, first) for bars in market.bars[1:]):
        return first
    return np.unique(np.concatenate([bars.time_ns for bars in market.bars]))


def is_dense(market: Market, times: TimeArray) -> bool:
    """Tell whether every symbol has a bar at every time."""
    return all(len(bars) == len(times) for bars in market.bars)


def lay_out(market: Market) -> Tape:
    """Return the tape, without conversion rates and happenings (setup.py adds them).

    A single symbol's columns are used as they are (memory-mapped, say); several are copied.
    """
    times = merged_times(market)
    return Tape(
        time_ns=read_only(np.ascontiguousarray(times, dtype=np.int64)),
        open=_column([bars.open for bars in market.bars]),
        high=_column([bars.high for bars in market.bars]),
        low=_column([bars.low for bars in market.bars]),
        close=_column([bars.close for bars in market.bars]),
        volume=_column([bars.volume for bars in market.bars]),
        latest=read_only(_latest_rows(market.bars, times) if not is_dense(market, times) else np.zeros((0, 0), dtype=np.int32)),
        rates=read_only(np.zeros((0, 0))),
        happenings=read_only(np.zeros(0, dtype=HAPPENING)),
    )


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
    for place, (instrument, offset) in enumerate(zip(market.instruments, offsets(market), strict=True)):
        record = records[place]
        record["base"] = place
        record["offset"] = offset
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


def periods_per_year(instruments: tuple[Instrument, ...]) -> float:
    """Return 365 where every instrument trades always, else 252."""
    return 365.0 if all(instrument.calendar == "always" for instrument in instruments) else 252.0
