"""This module marks the account at each step's close: equity, peak, drawdown, exposure, excursions, period ends.

Positions do not change between two calls, so a whole span of steps is marked at once. What a span costs depends on what is
held: nothing (equity stands still: a few steps are looked at), one symbol that has a bar at every step (a loop over its closes
with everything in local variables), or anything else (step by step over all symbols). All three give the same bits.
"""

import math
from typing import Any

from engine.kernels.accounting import excursion
from engine.kernels.compiled import kernel
from engine.kernels.records import State, Tape
from engine.kernels.tape import has_bar, row_at
from engine.kernels.valuation import notional, rate_at, value_of

NOTHING_HELD = -1
SEVERAL_HELD = -2


@kernel
def mark_until(tape: Tape, state: State, last: int) -> None:
    """Mark every step after the last marked one, up to and including ``last``."""
    core = state.core[0]
    first = core["marked"] + 1
    if last < first:
        return
    held = _only_held(state)
    if held != NOTHING_HELD:
        for index in range(core["symbols"]):
            if state.symbols[index]["quantity"] != 0.0:
                _mark_excursions(tape, state, index, first, last)
    if held == NOTHING_HELD:
        _mark_flat(tape, state, first, last)
    elif held >= 0 and core["is_dense"] and state.symbols[held]["is_plain"]:
        _mark_one(tape, state, held, first, last)
    else:
        for step in range(first, last + 1):
            mark_step(tape, state, step)
    core["marked"] = last


@kernel
def _only_held(state: State) -> int:
    """Return the index of the only symbol that is held, or NOTHING_HELD, or SEVERAL_HELD."""
    held = NOTHING_HELD
    for index in range(state.core[0]["symbols"]):
        if state.symbols[index]["quantity"] != 0.0:
            if held != NOTHING_HELD:
                return SEVERAL_HELD
            held = index
    return held


@kernel
def mark_step(tape: Tape, state: State, step: int) -> None:
    """Mark one step, whatever is held: the rule that the faster ways below keep to."""
    core = state.core[0]
    equity = core["cash"]
    exposure = 0.0
    is_held = False
    for index in range(core["symbols"]):
        symbol = state.symbols[index]
        if symbol["quantity"] != 0.0:
            price = tape.close[row_at(tape, state, index, step)]
            if symbol["is_plain"]:
                value = symbol["quantity"] * symbol["multiplier"] * price
                equity += value
                exposure += abs(value)
            else:
                rate = rate_at(tape, symbol, step)
                equity += value_of(symbol, price, rate)
                exposure += abs(notional(symbol, symbol["quantity"], price, rate))
            is_held = True
    core["equity"] = equity
    core["exposure"] += exposure
    if is_held:
        core["exposed"] += 1
        if equity > 0.0:
            core["leverage_sum"] += exposure / equity
            core["max_leverage"] = max(core["max_leverage"], exposure / equity)
    _mark_drawdown(core, equity, step)
    _mark_period(tape, state, equity, step)
    if (step + 1) % core["equity_every"] == 0 or step == core["steps"] - 1:
        _keep_mark(state, step, equity, exposure)


@kernel
def _mark_flat(tape: Tape, state: State, first: int, last: int) -> None:
    """Mark a span without positions: equity is cash, so only its first step can change a peak or a drawdown."""
    core = state.core[0]
    equity = core["cash"]
    core["equity"] = equity
    _mark_drawdown(core, equity, first)
    if last > first:
        if equity >= core["peak"]:  # its first step has made it so: each step is a new peak of the same height
            core["peak_step"] = last
        else:
            _mark_drawdown(core, equity, last)  # the last step of all ends the longest time below a peak
    if core["by_bar"]:
        for step in range(first, last + 1):
            _mark_period(tape, state, equity, step)
    else:
        _mark_days(tape, state, equity, first, last)
    every, final = core["equity_every"], core["steps"] - 1
    step = (first // every + 1) * every - 1
    while step <= last:
        _keep_mark(state, step, equity, 0.0)
        step += every
    if last == final and (final + 1) % every != 0:
        _keep_mark(state, final, equity, 0.0)


@kernel
def _mark_days(tape: Tape, state: State, equity: float, first: int, last: int) -> None:
    """Keep one equity for every day of the account that has steps in the span."""
    while first <= last:
        first = _day_of(tape, state, first) + 1
        state.periods[state.core[0]["periods"] - 1] = equity


@kernel
def _day_of(tape: Tape, state: State, step: int) -> int:
    """Begin another day if the step, the one after the last marked, is its first. Return the last step of the step's day."""
    core = state.core[0]
    if core["periods"] == 0 or step > tape.day_ends[core["periods"] - 1]:
        core["periods"] += 1
    return int(tape.day_ends[core["periods"] - 1])


@kernel
def _mark_one(tape: Tape, state: State, index: int, first: int, last: int) -> None:
    """Mark a span in which one symbol is held that has a bar at each step: piece by piece, so that no day and no mark begins
    inside a piece.
    """
    core = state.core[0]
    symbol = state.symbols[index]
    units = symbol["quantity"] * symbol["multiplier"]
    close, offset = tape.close, symbol["offset"]
    cash, every, final, by_bar = core["cash"], core["equity_every"], core["steps"] - 1, core["by_bar"]
    exposed, peak, leverage_sum, max_leverage = core["exposure"], core["peak"], core["leverage_sum"], core["max_leverage"]
    floor = _surely_above(core)
    equity = cash
    start = first
    while start <= last:
        end = start
        if not by_bar:
            end = min((start // every + 1) * every - 1, last, _day_of(tape, state, start))
        for step in range(start, end + 1):
            value = units * close[offset + step]
            equity = cash + value
            exposure = abs(value)
            exposed += exposure
            if equity > 0.0:
                leverage = exposure / equity
                leverage_sum += leverage
                max_leverage = max(max_leverage, leverage)
            if equity >= peak or equity < floor or step == final:
                _mark_drawdown(core, equity, step)
                peak = core["peak"]
                floor = _surely_above(core)
        if by_bar:
            core["periods"] += 1
        state.periods[core["periods"] - 1] = equity
        if (end + 1) % every == 0 or end == final:
            _keep_mark(state, end, equity, abs(units * close[offset + end]))
        start = end + 1
    core["equity"] = equity
    core["exposure"] = exposed
    core["leverage_sum"] = leverage_sum
    core["max_leverage"] = max_leverage
    core["exposed"] += last - first + 1


@kernel
def _surely_above(core: Any) -> float:
    """Return an equity from which on a drawdown is certainly no deeper than the deepest: above it no quotient is needed."""
    deepest = core["drawdown"]
    return float(core["peak"] * (1.0 + deepest + 1e-12 * (1.0 - deepest)))


@kernel
def _keep_mark(state: State, step: int, equity: float, exposure: float) -> None:
    core = state.core[0]
    mark = state.marks[core["marks"]]
    core["marks"] += 1
    mark["step"] = step
    mark["equity"] = equity
    mark["cash"] = core["cash"]
    mark["exposure"] = exposure
    mark["drawdown"] = equity / core["peak"] - 1.0


@kernel
def _mark_drawdown(core: Any, equity: float, step: int) -> None:
    """Follow the peak and the deepest fall from it. The start of the run, before its first bar, is step -1."""
    if equity >= core["peak"]:
        if core["drawdown_recovery"] < 0 and core["drawdown_start"] == core["peak_step"] and core["drawdown"] < 0.0:
            core["drawdown_recovery"] = step
        if step - core["peak_step"] > 1 and step - core["peak_step"] > core["longest"]:
            _keep_longest(core, step)
        core["peak"] = equity
        core["peak_step"] = step
        return
    drawdown = equity / core["peak"] - 1.0
    if drawdown < core["drawdown"]:
        core["drawdown"] = drawdown
        core["drawdown_start"] = core["peak_step"]
        core["drawdown_trough"] = step
        core["drawdown_recovery"] = -1
    if step == core["steps"] - 1 and step - core["peak_step"] > core["longest"]:
        _keep_longest(core, step)


@kernel
def _keep_longest(core: Any, step: int) -> None:
    core["longest"] = step - core["peak_step"]
    core["longest_start"] = core["peak_step"]
    core["longest_end"] = step


@kernel
def _mark_period(tape: Tape, state: State, equity: float, step: int) -> None:
    """Keep the equity at the end of each period: of each bar, or of each of the account's days that has bars."""
    core = state.core[0]
    if core["by_bar"]:
        core["periods"] += 1
    else:
        _day_of(tape, state, step)
    state.periods[core["periods"] - 1] = equity


@kernel
def _mark_excursions(tape: Tape, state: State, index: int, first: int, last: int) -> None:
    """Follow the position's best and worst price: highs and lows of the bars it was held through.

    Of the bar in which it was opened only what came after counts: all of it after a fill at the open, else the close.
    """
    symbol = state.symbols[index]
    if not symbol["is_plain"]:
        _mark_converted_excursions(tape, state, index, first, last)
        return
    low, high = math.inf, -math.inf
    if symbol["opened_step"] == first:
        if has_bar(tape, state, index, first):
            row = row_at(tape, state, index, first)
            low = tape.low[row] if symbol["opened_at_open"] else tape.close[row]
            high = tape.high[row] if symbol["opened_at_open"] else tape.close[row]
        first += 1
    if state.core[0]["is_dense"]:
        offset, lows, highs = symbol["offset"], tape.low, tape.high
        for row in range(offset + first, offset + last + 1):
            low = min(low, lows[row])
            high = max(high, highs[row])
    else:
        for step in range(first, last + 1):
            if has_bar(tape, state, index, step):
                row = row_at(tape, state, index, step)
                low = min(low, tape.low[row])
                high = max(high, tape.high[row])
    if low <= high:
        excursion(symbol, low, 1.0)
        excursion(symbol, high, 1.0)


@kernel
def _mark_converted_excursions(tape: Tape, state: State, index: int, first: int, last: int) -> None:
    """The same, bar by bar at its own conversion rate."""
    symbol = state.symbols[index]
    for step in range(first, last + 1):
        if has_bar(tape, state, index, step):
            row, rate = row_at(tape, state, index, step), rate_at(tape, symbol, step)
            is_whole = step != symbol["opened_step"] or symbol["opened_at_open"]
            excursion(symbol, tape.low[row] if is_whole else tape.close[row], rate)
            excursion(symbol, tape.high[row] if is_whole else tape.close[row], rate)
