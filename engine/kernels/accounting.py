"""This module keeps the books: what a fill does to a position and to the account, by average cost and netting.

An opening or adding fill moves the average price by quantity; a reducing fill leaves it and realises
``closed * multiplier * (price - average) * side``; a fill that crosses zero is split pro rata into a close and an open.
Commissions are part of the realised PnL.
"""

from typing import Any

from engine.kernels.codes import CHANGED, CLOSED, OPENED
from engine.kernels.compiled import kernel
from engine.kernels.records import State, Tape
from engine.kernels.rounding import nearest_lot, round_money
from engine.kernels.tape import price_at, row_at


@kernel
def new_effect(state: State, kind: int, step: int) -> int:
    """Clear one more effect and return its place. (A record that a compiled function returns is a copy.)"""
    core = state.core[0]
    position = core["effects"]
    core["effects"] = position + 1
    state.effects[position] = state.effects[-1]  # the last record stays blank
    effect = state.effects[position]
    effect["kind"] = kind
    effect["step"] = step
    return int(position)


@kernel
def equity_now(tape: Tape, state: State) -> float:
    """Return cash + sum of quantity * multiplier * last price, at the core's price step."""
    core = state.core[0]
    equity = core["cash"]
    for index in range(core["symbols"]):
        symbol = state.symbols[index]
        if symbol["quantity"] != 0.0:
            equity += symbol["quantity"] * symbol["multiplier"] * price_at(tape, state, index, core["price_step"])
    return float(equity)


@kernel
def exposure_without(tape: Tape, state: State, left_out: int) -> float:
    """Return the sum of |quantity * multiplier * last price| over all symbols but one (-1: over all)."""
    core = state.core[0]
    exposure = 0.0
    for index in range(core["symbols"]):
        symbol = state.symbols[index]
        if index != left_out and symbol["quantity"] != 0.0:
            price = price_at(tape, state, index, core["price_step"])
            exposure += abs(symbol["quantity"] * symbol["multiplier"] * price)
    return exposure


@kernel
def book_fill(
    tape: Tape, state: State, index: int, side: int, quantity: float, price: float, fee: float, step: int, is_at_open: bool
) -> None:
    """Apply a fill to the account and to the symbol's position, and report what became of the position."""
    core = state.core[0]
    symbol = state.symbols[index]
    core["cash"] -= side * quantity * symbol["multiplier"] * price + fee
    core["traded_value"] += quantity * symbol["multiplier"] * price
    core["commission"] += fee
    held = abs(symbol["quantity"])
    if symbol["quantity"] * side >= 0.0:
        _enter(tape, state, index, side, quantity, price, fee, step, is_at_open)
    elif quantity <= held:
        _leave(tape, state, index, side, quantity, price, fee, step)
    else:
        closing_fee = round_money(fee * (held / quantity))
        rest = nearest_lot(quantity - held, symbol["lot"], symbol["lot_inverse"])
        _leave(tape, state, index, side, held, price, closing_fee, step)
        _enter(tape, state, index, side, rest, price, fee - closing_fee, step, is_at_open)


@kernel
def _enter(
    tape: Tape, state: State, index: int, side: int, quantity: float, price: float, fee: float, step: int, is_at_open: bool
) -> None:
    """Open a position or add to it."""
    core = state.core[0]
    symbol = state.symbols[index]
    held = abs(symbol["quantity"])
    is_new = held == 0.0
    if is_new:
        core["next_position"] += 1
        symbol["position_id"] = core["next_position"]
        symbol["average"] = price
        symbol["opened_step"] = step
        symbol["opened_row"] = row_at(tape, state, index, step)
        symbol["opened_at_open"] = is_at_open
    else:
        symbol["average"] = (symbol["average"] * held + price * quantity) / (held + quantity)
    symbol["quantity"] = nearest_lot(symbol["quantity"] + side * quantity, symbol["lot"], symbol["lot_inverse"])
    symbol["largest"] = max(symbol["largest"], abs(symbol["quantity"]))
    symbol["entry_value"] += price * quantity
    symbol["entry_quantity"] += quantity
    symbol["commission"] += fee
    symbol["realized"] -= fee
    effect = state.effects[new_effect(state, OPENED if is_new else CHANGED, step)]
    _describe(effect, symbol, index)


@kernel
def _leave(tape: Tape, state: State, index: int, side: int, quantity: float, price: float, fee: float, step: int) -> None:
    """Reduce a position or close it."""
    symbol = state.symbols[index]
    gain = quantity * symbol["multiplier"] * (price - symbol["average"]) * -side
    symbol["gross"] += gain
    symbol["realized"] += gain - fee
    symbol["commission"] += fee
    symbol["exit_value"] += price * quantity
    symbol["exit_quantity"] += quantity
    symbol["quantity"] = nearest_lot(symbol["quantity"] + side * quantity, symbol["lot"], symbol["lot_inverse"])
    excursion(symbol, price)
    if symbol["quantity"] != 0.0:
        _describe(state.effects[new_effect(state, CHANGED, step)], symbol, index)
        return
    effect = state.effects[new_effect(state, CLOSED, step)]
    _describe(effect, symbol, index)
    effect["side"] = -side
    effect["quantity"] = symbol["largest"]
    effect["average"] = symbol["entry_value"] / symbol["entry_quantity"]
    effect["close"] = symbol["exit_value"] / symbol["exit_quantity"]
    effect["opened_step"] = symbol["opened_step"]
    effect["bars"] = row_at(tape, state, index, step) - symbol["opened_row"]
    effect["mae"] = symbol["mae"]
    effect["mfe"] = symbol["mfe"]
    clear_position(symbol)


@kernel
def excursion(symbol: Any, price: float) -> None:
    """Keep the worst and the best gross PnL that the position has had, at this price."""
    gain = symbol["gross"] + symbol["quantity"] * symbol["multiplier"] * (price - symbol["average"])
    symbol["mae"] = min(symbol["mae"], gain)
    symbol["mfe"] = max(symbol["mfe"], gain)


@kernel
def clear_position(symbol: Any) -> None:
    """Forget a closed position."""
    symbol["quantity"] = 0.0
    symbol["average"] = 0.0
    symbol["commission"] = 0.0
    symbol["realized"] = 0.0
    symbol["gross"] = 0.0
    symbol["entry_value"] = 0.0
    symbol["entry_quantity"] = 0.0
    symbol["exit_value"] = 0.0
    symbol["exit_quantity"] = 0.0
    symbol["largest"] = 0.0
    symbol["mae"] = 0.0
    symbol["mfe"] = 0.0


@kernel
def _describe(effect: Any, symbol: Any, index: int) -> None:
    effect["symbol"] = index
    effect["position"] = symbol["position_id"]
    effect["quantity"] = symbol["quantity"]
    effect["average"] = symbol["average"]
    effect["commission"] = symbol["commission"]
    effect["realized"] = symbol["realized"]
    effect["gross"] = symbol["gross"]
