"""This module holds the entry points: what the simulation calls when the strategy has acted, and when a bar is busy.

``resume`` ends a step (the strategy has spoken) and looks ahead; ``play`` plays a busy step's bar, before the strategy
sees it. Steps between the two need no call at all: they are marked in one span by whichever comes next.

All four go through one compiled function, so that everything below is compiled, and loaded from the cache, once.
"""

from typing import Any

from engine.kernels.addresses import state_at, tape_at
from engine.kernels.book import apply_actions, compact
from engine.kernels.codes import CANCELLED, END_OF_DATA
from engine.kernels.compiled import kernel
from engine.kernels.due import apply_due
from engine.kernels.execution import end_order
from engine.kernels.margin import call_margin
from engine.kernels.marking import mark_until
from engine.kernels.matching import match_close, match_step
from engine.kernels.placed import Placed
from engine.kernels.records import State, Tape
from engine.kernels.scanning import next_busy

PLAYED = -1  # in the place of a busy step: the next step was busy, and was played
RESUME, PLAY, MARK, FINISH = 0, 1, 2, 3


def resume(tape: Placed[Tape], state: Placed[State], step: int, actions: int, end: int, *, plays_next: bool) -> int:
    """Mark up to the step before, apply the strategy's actions at the step's close, return the next busy step (or end).

    plays_next : nothing has to be told before the step after this one: if it is busy, play it as well, and return PLAYED
    """
    return int(_enter(tape.address, state.address, RESUME, step, actions, end, plays_next))


def play(tape: Placed[Tape], state: Placed[State], step: int) -> None:
    """Mark up to the step before, apply what is due, match the step's bar, liquidate if its close demands it."""
    _enter(tape.address, state.address, PLAY, step, 0, 0, False)


def mark(tape: Placed[Tape], state: Placed[State], last: int) -> None:
    """Mark every step up to and including ``last`` that is not marked yet."""
    _enter(tape.address, state.address, MARK, last, 0, 0, False)


def finish(tape: Placed[Tape], state: Placed[State]) -> None:
    """End open orders with the data, mark to the last step. Positions stay open, marked at their last price."""
    _enter(tape.address, state.address, FINISH, 0, 0, 0, False)


@kernel
def _enter(tape_address: Any, state_address: Any, what: int, step: int, actions: int, end: int, plays_next: bool) -> int:
    tape, state = tape_at(tape_address), state_at(state_address)
    if what == RESUME:
        return resume_step(tape, state, step, actions, end, plays_next)
    if what == PLAY:
        state.core[0]["effects"] = 0
        play_step(tape, state, step)
    elif what == MARK:
        mark_until(tape, state, step)
    else:
        end_run(tape, state)
    return 0


@kernel
def resume_step(tape: Tape, state: State, step: int, actions: int, end: int, plays_next: bool) -> int:
    core = state.core[0]
    core["effects"] = 0
    core["now"] = max(step, 0)
    mark_until(tape, state, step - 1)
    if actions > 0:
        apply_actions(tape, state, actions, step)
        if step >= 0:
            match_close(tape, state, step)
    busy = next_busy(tape, state, step + 1, end)
    if plays_next and busy == step + 1 and busy < end:
        play_step(tape, state, busy)
        return PLAYED
    return busy


@kernel
def play_step(tape: Tape, state: State, step: int) -> None:
    core = state.core[0]
    core["now"] = step
    mark_until(tape, state, step - 1)
    if core["happenings"] > 0:
        apply_due(tape, state, step)
    match_step(tape, state, step)
    call_margin(tape, state, step)


@kernel
def end_run(tape: Tape, state: State) -> None:
    core = state.core[0]
    last = core["steps"] - 1
    for place in range(core["orders"]):
        end_order(state, state.book[place], CANCELLED, END_OF_DATA, last)
    compact(state)
    mark_until(tape, state, last)
