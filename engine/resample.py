"""This module makes longer bars of shorter ones: by time, by volume, by traded value.

By time a bar is stamped with its start on the grid: the epoch's for bars up to a day, Mondays for weeks; where the instrument has
sessions, the grid begins anew at each open, a day is a session, and no bar crosses a close. By volume or value a bar is stamped
with the start of the bar that completed it, so that on a time line no bar shows what lies after its stamp and its length.
"""

from dataclasses import dataclass, replace

import numpy as np

from engine.kernels.codes import DAY_NS
from engine.kernels.resampling import add_up, filled_groups
from engine.market import read_only
from engine.sessions import MONDAY_NS, bar_ends, session_of
from schemas.calendars import SessionTable
from schemas.market_data import Bars, FloatArray, TimeArray
from schemas.spec import Resample, TimeResample
from schemas.times import timeframe_ns

WEEK_NS = 7 * DAY_NS


@dataclass(frozen=True, slots=True)
class Frame:
    """Bars of one symbol in one time frame, and when each of them is complete (ns, ascending)."""

    bars: Bars
    end_ns: TimeArray

    def until(self, time_ns: int) -> "Frame":
        """Return the bars that are complete at a time."""
        count = int(np.searchsorted(self.end_ns, time_ns, side="right"))
        return Frame(self.bars.part(slice(0, count)), self.end_ns[:count])


def as_frame(bars: Bars, table: SessionTable | None) -> Frame:
    """Return bars that came as they are, with their ends."""
    return Frame(bars, bar_ends(table, bars.time_ns, timeframe_ns(bars.timeframe)))


def resampled(bars: Bars, rule: Resample, table: SessionTable | None) -> Bars:
    """Return the complete longer bars that a spec's rule makes. Shape (n,) may be (0,)."""
    if isinstance(rule, TimeResample):
        frame = by_time(bars, rule.timeframe, table)
        known_until = int(bar_ends(table, bars.time_ns[-1:], timeframe_ns(bars.timeframe))[0]) if len(bars) else 0
        return frame.until(known_until).bars
    amount = bars.volume if rule.type == "volume" else bars.volume * bars.close
    group = np.empty(len(bars), dtype=np.int64)
    count = int(filled_groups(_column(amount), float(rule.size), group))
    whole = bars.part(slice(0, int(np.count_nonzero(group >= 0))))
    return _added(whole, group[: len(whole)], count, stamps_last=True)


def by_time(bars: Bars, timeframe: str, table: SessionTable | None) -> Frame:
    """Return bars of a longer time frame; the last may be incomplete: its end lies beyond that of the last bar it holds.

    Minutes 10:58, 10:59, 11:00 in 1h: bars 10:00 (ends 11:00) of the first two, 11:00 (ends 12:00) of the last.
    """
    length = timeframe_ns(timeframe)
    key, start, end = _grid(bars.time_ns, length, timeframe, table)
    begins = np.ones(len(key), dtype=bool)
    begins[1:] = key[1:] != key[:-1]
    group = np.cumsum(begins) - 1
    added = _added(bars, group, int(np.count_nonzero(begins)), stamps_last=False)
    return Frame(replace(added, timeframe=timeframe, time_ns=start[begins]), end[begins])


def _grid(time_ns: TimeArray, length: int, timeframe: str, table: SessionTable | None) -> tuple[TimeArray, TimeArray, TimeArray]:
    """Return, for each bar, the number of the longer bar it belongs to, that one's start and its end."""
    if table is None:
        shift = MONDAY_NS if timeframe.endswith("w") else 0
        key = (time_ns - shift) // length
        start = key * length + shift
        return key, start, start + length
    open_ns, close_ns = table.times()
    session = session_of(table, time_ns)
    if length < DAY_NS:
        place = (time_ns - open_ns[session]) // length
        start = open_ns[session] + place * length
        return start, start, np.minimum(start + length, close_ns[session])
    # Days and weeks: of the day on which a session closes, in UTC.
    shift = MONDAY_NS if timeframe.endswith("w") else 0
    keys = (close_ns // DAY_NS * DAY_NS - shift) // length
    key = keys[session]
    first = np.searchsorted(keys, key, side="left")
    last = np.searchsorted(keys, key, side="right") - 1
    return key, open_ns[first], close_ns[last]


def _added(bars: Bars, group: TimeArray, count: int, *, stamps_last: bool) -> Bars:
    """Return the bars of the groups, stamped with the start of the last bar of each, or of the first."""
    out = np.empty((5, count), dtype=np.float64)
    add_up(
        read_only(np.ascontiguousarray(group)), _column(bars.open), _column(bars.high), _column(bars.low), _column(bars.close),
        _column(bars.volume), out,
    )  # fmt: skip
    last = np.searchsorted(group, np.arange(count), side="right") - 1
    first = np.searchsorted(group, np.arange(count), side="left")
    return replace(
        bars,
        time_ns=bars.time_ns[last if stamps_last else first],
        open=out[0],
        high=out[1],
        low=out[2],
        close=out[3],
        volume=out[4],
        bid=None if bars.bid is None else bars.bid[last],
        ask=None if bars.ask is None else bars.ask[last],
    )


def _column(values: FloatArray) -> FloatArray:
    return read_only(np.ascontiguousarray(values, dtype=np.float64))
