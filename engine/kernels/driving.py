"""This module runs array-driven strategies: what a strategy's signals ask for is sent, matched and booked in one compiled call.

The same book, matching and accounting as for event-driven strategies: signals become actions in the inbox, as
``engine.arrays.follow`` would send them by order calls. Effects pile up; they are read when the call returns.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels.accounting import equity_now
from engine.kernels.addresses import state_at, tape_at
from engine.kernels.book import apply_actions
from engine.kernels.codes import BY_FRACTION, BY_UNITS, GTC, LIMIT, MARKET, STOP, STOP_LIMIT, SUBMIT, TO_FRACTION
from engine.kernels.compiled import kernel
from engine.kernels.marking import mark_until
from engine.kernels.matching import match_close
from engine.kernels.placed import Placed, reader
from engine.kernels.records import EFFECTS_PER_ORDER, SPARE_EFFECTS, State, Tape
from engine.kernels.scanning import next_busy
from engine.kernels.stepping import end_run, play_step
from engine.kernels.tape import has_bar, price_at, row_at
from schemas.market_data import FloatArray

Flags = NDArray[np.uint64]  # eight rows a word, one byte each: what is not said is passed over eight rows at a time
FLAGS_PER_WORD = 8

ACTIONS = 5  # of one symbol at one step: close, target, entry and its two exits


class Plan(NamedTuple):
    """What the strategy says: a value for each row of the tape, or an empty array where it never says such a thing.

    Flags are ``packed``.
    """

    exits: Flags
    entries: Flags
    short_entries: Flags
    target: FloatArray
    size: FloatArray  # also (1,): the same at each row
    limit: FloatArray
    stop: FloatArray
    stop_loss: FloatArray
    take_profit: FloatArray


_NO_FLAGS, _NO_VALUES = np.zeros(0, dtype=np.uint64), np.zeros(0)
_BLANK = Plan(*(_NO_FLAGS,) * 3, *(_NO_VALUES,) * 6)
for _array in _BLANK:
    _array.flags.writeable = False
plan_at = reader(_BLANK)


def drive(tape: Placed[Tape], state: Placed[State], plan: Placed[Plan], step: int, end: int) -> int:
    """Run the steps after ``step``, which was played, up to ``end``, exclusive; that last one is played and not yet settled.

    Returns the last step that was played: less than ``end - 1`` when there is no room for what may come next. Nothing is
    half done then; call again with more room. With the run's last step: settle it, and end the run.
    """
    return int(_enter(tape.address, state.address, plan.address, step, end))


@kernel
def _enter(tape_address: Any, state_address: Any, plan_address: Any, step: int, end: int) -> int:
    tape, state, plan = tape_at(tape_address), state_at(state_address), plan_at(plan_address)
    if step == state.core[0]["steps"] - 1:
        settle(tape, state, plan, step)
        end_run(tape, state)
        return step
    return _run(tape, state, plan, step, end)


@kernel
def _run(tape: Tape, state: State, plan: Plan, step: int, end: int) -> int:
    core = state.core[0]
    fills, wake = -1, step
    while step < end - 1:
        if not has_room(state):
            return step
        settle(tape, state, plan, step)
        if wake <= step or core["next_fill"] != fills:  # what a signal asks for depends on what is held
            fills = core["next_fill"]
            wake = next_signal(tape, state, plan, step + 1, end)
        busy = next_busy(tape, state, step + 1, min(wake + 1, end))
        if busy <= wake and busy < end:
            play_step(tape, state, busy)
            step = busy
        else:
            step = min(wake, end - 1)
    mark_until(tape, state, end - 2)
    return step


@kernel
def has_room(state: State) -> bool:
    """Tell whether the arrays can hold whatever one step more may bring."""
    core = state.core[0]
    actions = ACTIONS * core["symbols"]
    orders = core["orders"] + actions
    room = len(state.effects) - 1 - core["effects"]  # the last record stays blank
    return bool(actions <= len(state.inbox) and orders < len(state.book) and effects_needed(orders, core["symbols"]) <= room)


@kernel
def effects_needed(orders: int, symbols: int) -> int:
    """Return how many effects one step can bring about; a liquidation reports up to four for each symbol."""
    return EFFECTS_PER_ORDER * orders + SPARE_EFFECTS + 4 * symbols


@kernel
def settle(tape: Tape, state: State, plan: Plan, step: int) -> None:
    """Send what the step's signals ask for, at its close."""
    if step < 0:
        return
    core = state.core[0]
    core["price_step"] = step
    actions = 0
    for index in range(core["symbols"]):
        if has_bar(tape, state, index, step):
            row = row_at(tape, state, index, step)
            if row >= 0:
                actions = _follow(tape, state, plan, index, row, step, actions)
    if actions > 0:
        mark_until(tape, state, step - 1)
        apply_actions(tape, state, actions, step)
        match_close(tape, state, step)


@kernel
def next_signal(tape: Tape, state: State, plan: Plan, first: int, end: int) -> int:
    """Return the first step in [first, end) whose signals ask for something, with what is held now; else end."""
    core = state.core[0]
    found = end
    for index in range(core["symbols"]):
        symbol = state.symbols[index]
        held = symbol["quantity"]
        if core["is_dense"]:
            offset = symbol["offset"]
            found = _first_said(plan, held, offset + first, offset + found) - offset
        else:
            for step in range(first, found):
                if has_bar(tape, state, index, step):
                    row = row_at(tape, state, index, step)
                    if _first_said(plan, held, row, row + 1) == row:
                        found = step
                        break
    return found


@kernel
def _first_said(plan: Plan, held: float, first: int, end: int) -> int:
    """Return the first row in [first, end) whose signals may ask for an order, this much being held; else end."""
    if len(plan.exits) > 0 and held != 0.0:
        end = _first_flag(plan.exits, first, end)
    if len(plan.entries) > 0 and held <= 0.0:
        end = _first_flag(plan.entries, first, end)
    if len(plan.short_entries) > 0 and held >= 0.0:
        end = _first_flag(plan.short_entries, first, end)
    target = plan.target
    if len(target) > 0:
        for row in range(first, end):
            if not math.isnan(target[row]):
                return row
    return end


@kernel
def _is_set(flags: Flags, row: int) -> bool:
    return bool((flags[row // FLAGS_PER_WORD] >> np.uint64(8 * (row % FLAGS_PER_WORD))) & np.uint64(0xFF))


@kernel
def _first_flag(flags: Flags, first: int, end: int) -> int:
    row = first
    while row < end and row % FLAGS_PER_WORD != 0:
        if _is_set(flags, row):
            return row
        row += 1
    word, last = (row + FLAGS_PER_WORD - 1) // FLAGS_PER_WORD, (end + FLAGS_PER_WORD - 1) // FLAGS_PER_WORD
    while word < last and flags[word] == 0:
        word += 1
    for row in range(FLAGS_PER_WORD * word, min(FLAGS_PER_WORD * (word + 1), end)):
        if _is_set(flags, row):
            return row
    return end


def packed(flags: NDArray[np.bool_]) -> Flags:
    """Return the flags as words, the first row in the lowest byte."""
    padded = np.zeros(-(-len(flags) // FLAGS_PER_WORD) * FLAGS_PER_WORD, dtype=np.uint8)
    padded[: len(flags)] = flags
    return padded.view("<u8").astype(np.uint64, copy=False)


@kernel
def _follow(tape: Tape, state: State, plan: Plan, index: int, row: int, step: int, actions: int) -> int:
    """Put into the inbox what one symbol's signals ask for. Return how many actions are in it then."""
    held = state.symbols[index]["quantity"]
    if len(plan.exits) > 0 and _is_set(plan.exits, row) and held != 0.0:
        action = _ask(state, actions, index, -1 if held > 0.0 else 1, BY_UNITS, abs(held))
        state.inbox[action]["reduce_only"] = 1
        actions += 1
    if len(plan.target) > 0 and not math.isnan(plan.target[row]):
        actions = _follow_target(tape, state, plan, index, row, step, actions)
    side = 0
    if len(plan.entries) > 0 and _is_set(plan.entries, row):
        side = 1
    elif len(plan.short_entries) > 0 and _is_set(plan.short_entries, row):
        side = -1
    if side != 0 and held * side <= 0.0:
        actions = _follow_entry(state, plan, index, row, side, actions)
    return actions


@kernel
def _follow_target(tape: Tape, state: State, plan: Plan, index: int, row: int, step: int, actions: int) -> int:
    """Ask for the order that brings the position to a share of equity, judged at the last close or at its limit."""
    symbol = state.symbols[index]
    fraction, limit, held = plan.target[row], _value(plan.limit, row), symbol["quantity"]
    price = price_at(tape, state, index, step) if math.isnan(limit) else limit
    worth = price * symbol["multiplier"]
    if worth <= 0.0:
        return actions
    wanted = fraction * equity_now(tape, state) / worth
    if not math.isfinite(wanted) or abs(wanted - held) < symbol["lot"]:
        return actions
    place = _ask(state, actions, index, 1 if wanted > held else -1, TO_FRACTION, fraction)
    if not math.isnan(limit):
        state.inbox[place]["type"] = LIMIT
        state.inbox[place]["limit"] = limit
    return actions + 1


@kernel
def _follow_entry(state: State, plan: Plan, index: int, row: int, side: int, actions: int) -> int:
    """Ask for an entry with the exits that are attached to it."""
    size = plan.size[row] if len(plan.size) > 1 else plan.size[0]
    limit, stop = _value(plan.limit, row), _value(plan.stop, row)
    place = _ask(state, actions, index, side, BY_FRACTION, size)
    entry = state.inbox[place]
    entry["limit"], entry["stop"] = limit, stop
    if math.isnan(stop):
        entry["type"] = MARKET if math.isnan(limit) else LIMIT
    else:
        entry["type"] = STOP if math.isnan(limit) else STOP_LIMIT
    actions += 1
    loss, profit = _value(plan.stop_loss, row), _value(plan.take_profit, row)
    if not math.isnan(loss):
        child = state.inbox[_ask(state, actions, index, -side, BY_FRACTION, size)]
        child["type"], child["stop"] = STOP, loss
        _attach(child, entry)
        actions += 1
    if not math.isnan(profit):
        child = state.inbox[_ask(state, actions, index, -side, BY_FRACTION, size)]
        child["type"], child["limit"] = LIMIT, profit
        _attach(child, entry)
        actions += 1
    return actions


@kernel
def _value(column: FloatArray, row: int) -> float:
    return float(column[row]) if len(column) > 0 else math.nan


@kernel
def _attach(child: Any, entry: Any) -> None:
    """Attach an exit to its entry; the exits of one entry cancel each other, in a group that has the entry's id."""
    child["reduce_only"] = 1
    child["group"] = entry["id"]
    child["parent"] = entry["id"]
    child["is_waiting"] = 1


@kernel
def _ask(state: State, place: int, index: int, side: int, sizing: int, amount: float) -> int:
    """Write a market order into the inbox, its other terms blank, and return its place."""
    state.inbox[place] = state.inbox[-1]  # the last record stays blank
    action = state.inbox[place]
    action["action"] = SUBMIT
    action["id"] = state.core[0]["next_order"] + place
    action["symbol"] = index
    action["side"] = side
    action["type"] = MARKET
    action["time_in_force"] = GTC
    action["sizing"] = sizing
    action["quantity"] = amount
    return place
