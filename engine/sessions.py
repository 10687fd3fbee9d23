"""This module applies exchanges' sessions to times: to which session a bar belongs, and where each one ends.

A bar belongs to the first session that closes after the bar begins: what is traded before the open or after the close of the
day before belongs to the session to come.
"""

import numpy as np

from engine.errors import NoSessionError
from engine.kernels.codes import DAY_NS
from schemas.calendars import SessionTable
from schemas.market_data import TimeArray

MONDAY_NS = 4 * DAY_NS  # 1970-01-01 was a Thursday


def session_of(table: SessionTable, time_ns: TimeArray) -> TimeArray:
    """Return the number of the session that each bar belongs to, an index into the table's times.

    Raises NoSessionError for bars outside the time that the table covers.
    """
    open_ns, close_ns = table.times()
    session = np.searchsorted(close_ns, time_ns, side="right")
    if len(time_ns) and (int(session[-1]) >= len(close_ns) or int(time_ns[0]) < int(open_ns[0]) - 7 * DAY_NS):
        raise NoSessionError(f"the sessions of {table.name} in the data set do not cover all of its bars: import it again")
    return session.astype(np.int64)


def days_of(table: SessionTable | None, time_ns: TimeArray) -> TimeArray:
    """Return the trading day that each bar belongs to: the number of its session, or its UTC day."""
    return time_ns // DAY_NS if table is None else session_of(table, time_ns)


def bar_ends(table: SessionTable | None, time_ns: TimeArray, length_ns: int) -> TimeArray:
    """Return when each bar is complete: a bar's length after its start; one of a day or more with its last session's close.

    A day or a week without a calendar ends at midnight UTC: nobody can know before that no more will come.
    """
    if table is None or length_ns < DAY_NS:
        return time_ns + length_ns
    open_ns, close_ns = table.times()
    # The last session that opens within the bar; vendors stamp a day by its midnight, in UTC or the exchange's zone.
    last = np.searchsorted(open_ns, time_ns + length_ns, side="left") - 1
    return close_ns[np.maximum(last, session_of(table, time_ns))]
