"""This module applies what is due when a step begins, before its bar is matched, and looks ahead for the next such step.

Positions are valued at their last price before the step. What concerns nobody (a dividend of what is not held) is passed over
without a call; a change of a borrow rate is taken in on the way.
"""

import math
from typing import Any

from engine.kernels.accounting import clear_position, end_position, new_effect, report_changed
from engine.kernels.book import compact
from engine.kernels.codes import (
    BY_DELISTING,
    BY_SYMBOL_CHANGE,
    BY_UNITS,
    CANCELLED,
    DELISTED,
    DUE_BORROW,
    DUE_BORROW_RATE,
    DUE_DELISTING,
    DUE_DIVIDEND,
    DUE_FUNDING,
    DUE_SPLIT,
    END_DELISTED,
    NOTHING_TO_DO,
    SYMBOL_CHANGED,
    TO_UNITS,
)
from engine.kernels.compiled import kernel
from engine.kernels.corporate import apply_borrow, apply_dividend, apply_funding, apply_split
from engine.kernels.execution import end_attached, end_order, report_modified
from engine.kernels.own_orders import close_position, end_orders_of
from engine.kernels.records import State, Tape
from engine.kernels.rounding import round_price, whole_lots
from engine.kernels.tape import price_at, row_at
from engine.kernels.valuation import rate_now

NOBODY = -1  # an end of attached orders that no order's fill has caused


@kernel
def next_due(tape: Tape, state: State, first: int, end: int) -> int:
    """Return the first step in [first, end) in which something is due that concerns a position or an order; else end."""
    core = state.core[0]
    place = core["next_happening"]
    while place < core["happenings"] and tape.happenings[place]["step"] < first:
        _take_in(tape, state, place)
        place += 1
    core["next_happening"] = place
    while place < core["happenings"] and tape.happenings[place]["step"] < end:
        if _concerns(tape, state, place):
            return int(tape.happenings[place]["step"])
        place += 1
    return end


@kernel
def apply_due(tape: Tape, state: State, step: int) -> None:
    """Apply all that is due when this step begins."""
    core = state.core[0]
    core["price_step"] = step - 1
    place = core["next_happening"]
    while place < core["happenings"] and tape.happenings[place]["step"] <= step:
        _take_in(tape, state, place)
        if tape.happenings[place]["step"] == step and _concerns(tape, state, place):
            _apply(tape, state, place, step)
        place += 1
    core["next_happening"] = place
    compact(state)


@kernel
def _take_in(tape: Tape, state: State, happening: int) -> None:
    """Keep a new borrow rate."""
    due = tape.happenings[happening]
    if due["kind"] == DUE_BORROW_RATE:
        for place in range(state.core[0]["symbols"]):
            if state.symbols[place]["base"] == due["symbol"]:
                state.symbols[place]["borrow_rate"] = due["value"]


@kernel
def _concerns(tape: Tape, state: State, happening: int) -> bool:
    core = state.core[0]
    due = tape.happenings[happening]
    kind, index = due["kind"], due["symbol"]
    if kind == DUE_BORROW_RATE:
        return False
    if kind > DUE_SPLIT:
        return True
    for place in range(core["symbols"]):
        symbol = state.symbols[place]
        if kind == DUE_BORROW:
            if symbol["quantity"] < 0.0 and symbol["has_borrow"]:
                return True
        elif symbol["base"] == index and symbol["quantity"] != 0.0:
            return True
    if kind == DUE_SPLIT:
        for place in range(core["orders"]):
            if state.book[place]["symbol"] == index:
                return True
    return False


@kernel
def _apply(tape: Tape, state: State, happening: int, step: int) -> None:
    due = tape.happenings[happening]
    kind, index, value = due["kind"], due["symbol"], due["value"]
    if kind == DUE_DELISTING:
        _delist(tape, state, index, value, step)
    elif kind > DUE_SPLIT:
        _change_symbol(tape, state, index, due["other"], step)
    else:
        for place in range(state.core[0]["symbols"]):
            symbol = state.symbols[place]
            if symbol["quantity"] == 0.0 or (symbol["base"] != index and kind != DUE_BORROW):
                continue
            price, rate = price_at(tape, state, place, step - 1), rate_now(tape, state, place)
            if kind == DUE_BORROW:
                if symbol["quantity"] < 0.0 and symbol["has_borrow"]:
                    apply_borrow(state, place, due["other"], price, rate, step)
            elif kind == DUE_FUNDING:
                apply_funding(state, place, value, price, rate, step)
            elif kind == DUE_DIVIDEND:
                apply_dividend(state, place, value, rate, step)
            else:
                _split(tape, state, place, value, price, rate, step)
        if kind == DUE_SPLIT:
            _split_orders(state, index, value, step)


# --- splits -----------------------------------------------------------------------------------------------------------


@kernel
def _split(tape: Tape, state: State, place: int, ratio: float, price: float, rate: float, step: int) -> None:
    """Split a position; say what a fraction paid in cash has realised, and end what less than a lot is left of."""
    symbol = state.symbols[place]
    side = 1 if symbol["quantity"] > 0.0 else -1
    index, position = symbol["base"], symbol["position_id"]
    fraction = apply_split(state, place, ratio, price * ratio, rate, step)
    if symbol["quantity"] == 0.0:
        end_position(tape, state, place, side, step)
        end_attached(state, index, NOBODY, position, step)
    elif fraction != 0.0:
        report_changed(state, symbol, step)


@kernel
def _split_orders(state: State, index: int, ratio: float, step: int) -> None:
    """Working orders of every kind follow a split: prices times the ratio, to the tick; quantities over it, whole lots.

    What comes to less than a lot ends. Amounts of money and shares of equity stay what they are.
    """
    symbol = state.symbols[index]
    for place in range(state.core[0]["orders"]):
        order = state.book[place]
        if order["symbol"] != index or order["is_done"]:
            continue
        if order["sizing"] == BY_UNITS or order["sizing"] == TO_UNITS:
            order["quantity"] /= ratio
            order["released"] /= ratio
        order["leaves"] = whole_lots(order["leaves"] / ratio, symbol["lot"], symbol["lot_inverse"])
        order["new_quantity"] /= ratio
        order["limit"] = _scaled(symbol, order["limit"], ratio)
        order["stop"] = _scaled(symbol, order["stop"], ratio)
        order["new_limit"] *= ratio
        order["new_stop"] *= ratio
        order["trail_amount"] *= ratio
        order["limit_offset"] *= ratio
        order["from_price"] *= ratio
        if order["leaves"] > 0.0 or order["is_waiting"]:
            report_modified(state, order, step)
        else:
            end_order(state, order, CANCELLED, NOTHING_TO_DO, step)


@kernel
def _scaled(symbol: Any, price: float, ratio: float) -> float:
    if math.isnan(price):
        return price
    return round_price(price * ratio, symbol["tick"], symbol["tick_inverse"])


# --- the end of a symbol ----------------------------------------------------------------------------------------------


@kernel
def _delist(tape: Tape, state: State, index: int, price: float, step: int) -> None:
    """End a symbol's orders, close its positions at the price (NaN: its last close), take no more orders for it."""
    if math.isnan(price):
        price = price_at(tape, state, index, step - 1)
    effect = state.effects[new_effect(state, DELISTED, step)]
    effect["symbol"] = index
    effect["price"] = price
    end_orders_of(state, index, END_DELISTED, step)
    for place in range(state.core[0]["symbols"]):
        if state.symbols[place]["base"] == index and state.symbols[place]["quantity"] != 0.0:
            close_position(tape, state, place, price, 0.0, step, BY_DELISTING)
    state.symbols[index]["is_closed"] = 1


@kernel
def _change_symbol(tape: Tape, state: State, index: int, successor: int, step: int) -> None:
    """Let positions and orders go on under another symbol, at unchanged prices.

    With netting a position whose successor is held already is closed at its last price instead: one can't become part of
    the other without changing what both have cost.
    """
    core = state.core[0]
    if state.symbols[index]["quantity"] != 0.0 and state.symbols[successor]["quantity"] != 0.0:
        close_position(tape, state, index, price_at(tape, state, index, step - 1), 0.0, step, BY_SYMBOL_CHANGE)
    effect = state.effects[new_effect(state, SYMBOL_CHANGED, step)]
    effect["symbol"] = index
    effect["type"] = successor
    if state.symbols[index]["quantity"] != 0.0:
        _move(tape, state, index, successor, step)
    for place in range(core["instruments"], core["symbols"]):
        lot = state.symbols[place]
        if lot["base"] == index and lot["quantity"] != 0.0:
            _rebase(tape, state, place, index, successor, step)
    for place in range(core["orders"]):
        order = state.book[place]
        if order["symbol"] == index:
            if order["place"] == index:
                order["place"] = successor
            order["symbol"] = successor
    state.symbols[index]["is_closed"] = 1


@kernel
def _move(tape: Tape, state: State, index: int, successor: int, step: int) -> None:
    """Make an instrument's position that of its successor: the old record with the new instrument in it; empty the old one."""
    spare = len(state.symbols) - 1  # always free
    state.symbols[spare] = state.symbols[index]
    _rebase(tape, state, spare, index, successor, step)
    state.symbols[successor] = state.symbols[spare]
    state.symbols[spare]["quantity"] = 0.0
    clear_position(state.symbols[index])


@kernel
def _rebase(tape: Tape, state: State, place: int, index: int, successor: int, step: int) -> None:
    """Put another instrument under a position. Bars are counted on: so many of the old one, then those of the new one."""
    position, new = state.symbols[place], state.symbols[successor]
    held = row_at(tape, state, index, step - 1) - position["opened_row"]
    position["opened_row"] = row_at(tape, state, successor, step) - held - 1
    position["base"] = successor
    position["offset"] = new["offset"]
    position["tick"], position["tick_inverse"] = new["tick"], new["tick_inverse"]
    position["lot"], position["lot_inverse"] = new["lot"], new["lot_inverse"]
    position["margin_weight"], position["maintenance"] = new["margin_weight"], new["maintenance"]
    position["has_borrow"], position["borrow_rate"] = new["has_borrow"], new["borrow_rate"]
    position["used_volume"], position["used_step"] = new["used_volume"], new["used_step"]
