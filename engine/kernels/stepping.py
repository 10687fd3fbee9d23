"""This module holds the entry points: what the simulation calls when the strategy has acted, and when a bar is busy.

``resume`` ends a step (the strategy has spoken) and looks ahead; ``play`` plays a busy step's bar, before the strategy
sees it. Steps between the two need no call at all: they are marked in one span by whichever comes next.

All four go through one compiled function, so that everything below is compiled, and loaded from the cache, once. It takes the
arrays one by one, because to pass two named tuples of them costs twice as much; inside they are a tape and a state again.
"""

import numpy as np
from numpy.typing import NDArray

from engine.kernels.book import apply_actions, compact
from engine.kernels.codes import CANCELLED, END_OF_DATA
from engine.kernels.compiled import kernel
from engine.kernels.due import apply_due
from engine.kernels.execution import end_order
from engine.kernels.margin import call_margin
from engine.kernels.marking import mark_until
from engine.kernels.matching import match_close, match_step
from engine.kernels.records import Records, State, Tape
from engine.kernels.scanning import next_busy
from schemas.market_data import FloatArray, TimeArray

PLAYED = -1  # in the place of a busy step: the next step was busy, and was played
RESUME, PLAY, MARK, FINISH = 0, 1, 2, 3


def resume(tape: Tape, state: State, step: int, actions: int, end: int, *, plays_next: bool) -> int:
    """Mark up to the step before, apply the strategy's actions at the step's close, return the next busy step (or end).

    plays_next : nothing has to be told before the step after this one: if it is busy, play it as well, and return PLAYED
    """
    return int(_enter(*tape, *state, RESUME, step, actions, end, plays_next))


def play(tape: Tape, state: State, step: int) -> None:
    """Mark up to the step before, apply what is due, match the step's bar, liquidate if its close demands it."""
    _enter(*tape, *state, PLAY, step, 0, 0, False)


def mark(tape: Tape, state: State, last: int) -> None:
    """Mark every step up to and including ``last`` that is not marked yet."""
    _enter(*tape, *state, MARK, last, 0, 0, False)


def finish(tape: Tape, state: State) -> None:
    """End open orders with the data, mark to the last step. Positions stay open, marked at their last price."""
    _enter(*tape, *state, FINISH, 0, 0, 0, False)


@kernel
def _enter(
    time_ns: TimeArray, opened: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray,
    latest: NDArray[np.int32], day: NDArray[np.int32], flags: NDArray[np.uint8], ends: TimeArray, bid: FloatArray,
    ask: FloatArray, rates: FloatArray, happenings: Records,
    core: Records, symbols: Records, book: Records, inbox: Records, effects: Records, marks: Records, periods: FloatArray,
    tiers: FloatArray,
    what: int, step: int, actions: int, end: int, plays_next: bool,
) -> int:  # fmt: skip
    tape = Tape(time_ns, opened, high, low, close, volume, latest, day, flags, ends, bid, ask, rates, happenings)
    state = State(core, symbols, book, inbox, effects, marks, periods, tiers)
    if what == RESUME:
        return resume_step(tape, state, step, actions, end, plays_next)
    if what == PLAY:
        core[0]["effects"] = 0
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
