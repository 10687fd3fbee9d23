"""This module marks the account at each step's close: equity, peak, drawdown, exposure, excursions, period ends.

Positions do not change between two calls, so a whole span of steps is marked at once.
"""

from typing import Any

from engine.kernels.accounting import excursion
from engine.kernels.compiled import kernel
from engine.kernels.records import State, Tape
from engine.kernels.tape import day_at, has_bar, row_at
from engine.kernels.valuation import notional, rate_at, value_of


@kernel
def mark_until(tape: Tape, state: State, last: int) -> None:
    """Mark every step after the last marked one, up to and including ``last``."""
    core = state.core[0]
    first = core["marked"] + 1
    if last < first:
        return
    for index in range(core["symbols"]):
        if state.symbols[index]["quantity"] != 0.0:
            _mark_excursions(tape, state, index, first, last)
    for step in range(first, last + 1):
        _mark_step(tape, state, step)
    core["marked"] = last


@kernel
def _mark_step(tape: Tape, state: State, step: int) -> None:
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
    _mark_drawdown(core, equity, step)
    _mark_period(tape, state, equity, step)
    if (step + 1) % core["equity_every"] == 0 or step == core["steps"] - 1:
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
    """Keep the equity at the end of each period: of each bar, or of each UTC day that has bars."""
    core = state.core[0]
    period = step if core["by_bar"] else day_at(tape, step)
    if period != core["period"]:
        core["period"] = period
        core["periods"] += 1
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
    low = high = 0.0
    is_first = True
    for step in range(first, last + 1):
        if not has_bar(tape, state, index, step):
            continue
        row = row_at(tape, state, index, step)
        bar_low, bar_high = tape.low[row], tape.high[row]
        if step == symbol["opened_step"] and not symbol["opened_at_open"]:
            bar_low = bar_high = tape.close[row]
        low = bar_low if is_first else min(low, bar_low)
        high = bar_high if is_first else max(high, bar_high)
        is_first = False
    if not is_first:
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
