"""This module holds the entry points: what the simulation calls when the strategy has acted, and when a bar is busy.

``resume`` ends a step (the strategy has spoken) and looks ahead; ``play`` plays a busy step's bar, before the strategy
sees it. Steps between the two need no call at all: they are marked in one span by whichever comes next.
"""

from engine.kernels.book import apply_actions, compact
from engine.kernels.codes import CANCELLED, END_OF_DATA
from engine.kernels.compiled import kernel
from engine.kernels.due import apply_due
from engine.kernels.execution import end_order
from engine.kernels.margin import call_margin
from engine.kernels.marking import mark_until
from engine.kernels.matching import match_close, match_step
from engine.kernels.records import State, Tape
from engine.kernels.scanning import next_busy


@kernel
def resume(tape: Tape, state: State, step: int, actions: int, end: int) -> int:
    """Mark up to the step before, apply the strategy's actions at the step's close, return the next busy step (or end)."""
    core = state.core[0]
    core["effects"] = 0
    core["now"] = max(step, 0)
    mark_until(tape, state, step - 1)
    if actions > 0:
        apply_actions(tape, state, actions, step)
        if step >= 0:
            match_close(tape, state, step)
    return next_busy(tape, state, step + 1, end)


@kernel
def play(tape: Tape, state: State, step: int) -> int:
    """Mark up to the step before, apply what is due, match the step's bar, liquidate if its close demands it.

    Returns the number of effects.
    """
    core = state.core[0]
    core["effects"] = 0
    core["now"] = step
    mark_until(tape, state, step - 1)
    if core["happenings"] > 0:
        apply_due(tape, state, step)
    match_step(tape, state, step)
    call_margin(tape, state, step)
    return int(core["effects"])


@kernel
def finish(tape: Tape, state: State) -> int:
    """End open orders with the data, mark to the last step. Positions stay open, marked at their last price."""
    core = state.core[0]
    core["effects"] = 0
    last = core["steps"] - 1
    for place in range(core["orders"]):
        end_order(state, state.book[place], CANCELLED, END_OF_DATA, last)
    compact(state)
    mark_until(tape, state, last)
    return int(core["effects"])
