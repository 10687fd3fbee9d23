"""This module answers what a tape holds at a step: a symbol's row, whether it has a bar there, its last price."""

from engine.kernels.codes import DAY_BEGINS, DAY_NS, FIRST_OF_DAY, LAST_OF_DAY
from engine.kernels.compiled import kernel
from engine.kernels.records import State, Tape


@kernel
def row_at(tape: Tape, state: State, symbol: int, step: int) -> int:
    """Return the row of the symbol's last bar at or before the step, -1 if there is none."""
    if step < 0:
        return -1
    if state.core[0]["is_dense"]:
        return int(state.symbols[symbol]["offset"] + step)
    return int(tape.latest[state.symbols[symbol]["base"], step])


@kernel
def has_bar(tape: Tape, state: State, symbol: int, step: int) -> bool:
    """Tell whether the symbol has a bar of its own at the step."""
    if state.core[0]["is_dense"]:
        return True
    base = state.symbols[symbol]["base"]
    row = tape.latest[base, step]
    if step == 0:
        return bool(row >= state.symbols[symbol]["offset"])  # before it lies the warm-up
    return bool(row != tape.latest[base, step - 1])


@kernel
def price_at(tape: Tape, state: State, symbol: int, step: int) -> float:
    """Return the symbol's last close at or before the step, 0 if there is none."""
    row = row_at(tape, state, symbol, step)
    if row < 0:
        return 0.0
    return float(tape.close[row])


@kernel
def day_at(tape: Tape, step: int) -> int:
    """Return the account's day at the step: its session, or its calendar day in UTC, counted from 1970-01-01."""
    if len(tape.day) > 0:
        return int(tape.day[step])
    return int(tape.time_ns[step] // DAY_NS)


@kernel
def is_first_of_day(tape: Tape, symbol: int, step: int) -> bool:
    """Tell whether the symbol's day opens with this step's bar. Of UTC days: the step before, if any, lies on another one."""
    if len(tape.flags) > 0:
        return bool(tape.flags[symbol, step] & FIRST_OF_DAY)
    return step == 0 or day_at(tape, step - 1) != day_at(tape, step)


@kernel
def begins_day(tape: Tape, symbol: int, step: int) -> bool:
    """Tell whether a session begins with this step that ends what a thinly traded one before it has left open."""
    return len(tape.flags) > 0 and bool(tape.flags[symbol, step] & DAY_BEGINS)


@kernel
def arrival_step(tape: Tape, step: int, delay_ns: int) -> int:
    """Return the first step after this one that begins at least so much later; the count of steps if there is none.

    step : -1, before the first, counts from the first bar's time
    """
    start = tape.time_ns[max(step, 0)] + delay_ns
    arrival = step + 1
    while arrival < len(tape.time_ns) and tape.time_ns[arrival] < start:
        arrival += 1
    return arrival


@kernel
def is_last_of_day(tape: Tape, symbol: int, step: int) -> bool:
    """Tell whether the symbol's day closes with this step: the bar reaches the session's close, which is known beforehand.

    Of UTC days: the next step, if there is one, lies on another day.
    """
    if len(tape.flags) > 0:
        return bool(tape.flags[symbol, step] & LAST_OF_DAY)
    if step + 1 >= len(tape.time_ns):
        return False  # the end of data ends orders, not the day
    return day_at(tape, step + 1) != day_at(tape, step)
