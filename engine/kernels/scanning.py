"""This module looks ahead for the next step in which anything can happen to the account, so that nothing else is called."""

from typing import Any

from engine.kernels.codes import DAY, GTC, GTD, STOP_CLOSE, TOUCH_CLOSE
from engine.kernels.compiled import kernel
from engine.kernels.due import next_due
from engine.kernels.kinds import trigger_side
from engine.kernels.matching import is_live, is_market_like, is_resting_limit
from engine.kernels.records import State, Tape
from engine.kernels.tape import begins_day, is_last_of_day, row_at
from engine.kernels.touch import limit_touched, stop_touched
from engine.kernels.trailing import is_trailing
from engine.kernels.valuation import notional, rate_at, value_of

FIRST_WINDOW = 64  # steps; the window doubles while nothing is found, so that a busy strategy does not pay for a long look
LAST_WINDOW = 65_536


@kernel
def next_busy(tape: Tape, state: State, first: int, end: int) -> int:
    """Return the first step in [first, end) in which an order may fill, expire or change, a margin call or anything else is
    due; else end.

    Order by order, each no further than what the ones before have found: so each is a loop over one symbol's bars.
    """
    core = state.core[0]
    found = end
    if core["happenings"] > 0:
        found = next_due(tape, state, first, end)
    for place in range(core["orders"]):
        found = _first_busy(tape, state, state.book[place], first, found)
        if found == first:
            return found
    if core["calls_margin"]:
        for step in range(first, found):
            if is_under_margin(tape, state, step):
                return step
    return found


@kernel
def _first_busy(tape: Tape, state: State, order: Any, first: int, end: int) -> int:
    """Return the first step in [first, end) in which the order is busy, else end."""
    core = state.core[0]
    if order["time_in_force"] == GTC and order["cancel_step"] < first and order["modify_step"] < first:
        if order["is_done"] or order["is_waiting"]:
            return end
        first = max(first, order["active_step"])
        if core["is_dense"] and _is_plain(core, order):
            return _first_reached(tape, state, order, first, end)
    for step in range(first, end):
        if is_busy(tape, state, order, step):
            return step
    return end


@kernel
def _is_plain(core: Any, order: Any) -> bool:
    """Tell whether the order waits for a fixed price that a bar's low or high must come to, whatever else is needed then."""
    if is_market_like(order) or is_trailing(order):
        return False
    if is_resting_limit(order):
        return bool(core["limit_touch"] != TOUCH_CLOSE)
    return bool(core["stop_touch"] != STOP_CLOSE)


@kernel
def _first_reached(tape: Tape, state: State, order: Any, first: int, end: int) -> int:
    """Look at one price a bar; what has come to the level is then judged by the policies."""
    offset = state.symbols[order["symbol"]]["offset"]
    is_limit = is_resting_limit(order)
    waits_for_low = order["side"] > 0 if is_limit else trigger_side(order) < 0
    level = order["limit"] if is_limit else order["stop"]
    lows, highs = tape.low, tape.high
    if waits_for_low:
        for step in range(first, end):
            if lows[offset + step] <= level and is_busy(tape, state, order, step):
                return step
    else:
        for step in range(first, end):
            if highs[offset + step] >= level and is_busy(tape, state, order, step):
                return step
    return end


@kernel
def is_busy(tape: Tape, state: State, order: Any, step: int) -> bool:
    core = state.core[0]
    if order["cancel_step"] == step or order["modify_step"] == step:
        return True
    if order["time_in_force"] != GTC:
        if order["time_in_force"] == GTD:
            if tape.time_ns[step] >= order["expires_ns"]:
                return True
        elif order["time_in_force"] == DAY:
            symbol = order["symbol"]
            if order["day"] < 0 or begins_day(tape, symbol, step) or is_last_of_day(tape, symbol, step):
                return True
        else:
            return bool(step >= order["active_step"])
    if not is_live(tape, state, order, step):
        return False
    if is_market_like(order) or is_trailing(order):
        return True
    row = row_at(tape, state, order["symbol"], step)
    low, high, close = tape.low[row], tape.high[row], tape.close[row]
    if is_resting_limit(order):
        return limit_touched(core, order["side"], order["limit"], low, high, close)
    return stop_touched(core, trigger_side(order), order["stop"], low, high, close)


@kernel
def is_under_margin(tape: Tape, state: State, step: int) -> bool:
    """Tell whether equity at the step's close is below the maintenance margin of the positions."""
    core = state.core[0]
    equity = core["cash"]
    required = 0.0
    for index in range(core["symbols"]):
        symbol = state.symbols[index]
        if symbol["quantity"] != 0.0:
            price, rate = tape.close[row_at(tape, state, index, step)], rate_at(tape, symbol, step)
            equity += value_of(symbol, price, rate)
            required += abs(notional(symbol, symbol["quantity"], price, rate)) * symbol["maintenance"]
    return bool(required > 0.0 and equity < required)
