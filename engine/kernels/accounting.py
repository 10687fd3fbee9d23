"""This module keeps the books: what a fill does to a position and to the account, by average cost.

An opening or adding fill moves the average price by quantity; a reducing fill leaves it and realises what the closed quantity
has gained (valuation.py); a fill that crosses zero is split pro rata into a close and an open. Commissions are part of the
realised PnL. ``place`` is that of a position record: an instrument's, or with hedging a lot's.
"""

from typing import Any

from engine.kernels.codes import CHANGED, CLOSED, OPENED
from engine.kernels.compiled import kernel
from engine.kernels.records import State, Tape
from engine.kernels.rounding import nearest_lot, round_money
from engine.kernels.tape import price_at, row_at
from engine.kernels.valuation import gain_of, mean_price, notional, rate_at, rate_now, value_of


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
    """Return cash + what the positions are worth at their last prices, at the core's price step."""
    core = state.core[0]
    equity = core["cash"]
    for index in range(core["symbols"]):
        symbol = state.symbols[index]
        if symbol["quantity"] != 0.0:
            equity += value_of(symbol, price_at(tape, state, index, core["price_step"]), rate_now(tape, state, index))
    return float(equity)


@kernel
def exposure_without(tape: Tape, state: State, left_out: int) -> float:
    """Return what all positions but one are worth by size, weighted by their initial margin (valuation.notional)."""
    core = state.core[0]
    exposure = 0.0
    for index in range(core["symbols"]):
        symbol = state.symbols[index]
        if index != left_out and symbol["quantity"] != 0.0:
            price = price_at(tape, state, index, core["price_step"])
            worth = notional(symbol, symbol["quantity"], price, rate_now(tape, state, index))
            exposure += abs(worth) * symbol["margin_weight"]
    return exposure


@kernel
def maintenance_now(tape: Tape, state: State) -> float:
    """Return the maintenance margin of all positions at their last prices."""
    core = state.core[0]
    required = 0.0
    for index in range(core["symbols"]):
        symbol = state.symbols[index]
        if symbol["quantity"] != 0.0:
            price = price_at(tape, state, index, core["price_step"])
            required += abs(notional(symbol, symbol["quantity"], price, rate_now(tape, state, index))) * symbol["maintenance"]
    return required


@kernel
def book_fill(
    tape: Tape, state: State, place: int, side: int, quantity: float, price: float, fee: float, step: int, is_at_open: bool
) -> None:
    """Apply a fill to the account and to the position, and report what became of the position."""
    core = state.core[0]
    symbol = state.symbols[place]
    worth = notional(symbol, quantity, price, rate_at(tape, symbol, step))
    if symbol["is_margined"]:
        core["cash"] -= fee
    else:
        core["cash"] -= side * worth + fee
    core["traded_value"] += worth
    core["commission"] += fee
    held = abs(symbol["quantity"])
    if symbol["quantity"] * side >= 0.0:
        _enter(tape, state, place, side, quantity, price, fee, step, is_at_open)
    elif quantity <= held:
        _leave(tape, state, place, side, quantity, price, fee, step)
    else:
        closing_fee = round_money(fee * (held / quantity))
        rest = nearest_lot(quantity - held, symbol["lot"], symbol["lot_inverse"])
        _leave(tape, state, place, side, held, price, closing_fee, step)
        _enter(tape, state, place, side, rest, price, fee - closing_fee, step, is_at_open)


@kernel
def _enter(
    tape: Tape, state: State, place: int, side: int, quantity: float, price: float, fee: float, step: int, is_at_open: bool
) -> None:
    """Open a position or add to it."""
    core = state.core[0]
    symbol = state.symbols[place]
    held = abs(symbol["quantity"])
    is_new = held == 0.0
    cost = symbol["multiplier"] * price * rate_at(tape, symbol, step)
    if is_new:
        core["next_position"] += 1
        symbol["position_id"] = core["next_position"]
        symbol["average"] = price
        symbol["basis"] = cost
        symbol["opened_step"] = step
        symbol["opened_row"] = row_at(tape, state, place, step)
        symbol["opened_at_open"] = is_at_open
    else:
        symbol["basis"] = (symbol["basis"] * held + cost * quantity) / (held + quantity)
        symbol["average"] = mean_price(symbol, held, quantity, price)
    symbol["quantity"] = nearest_lot(symbol["quantity"] + side * quantity, symbol["lot"], symbol["lot_inverse"])
    symbol["largest"] = max(symbol["largest"], abs(symbol["quantity"]))
    symbol["entry_value"] += _weighted(symbol, price, quantity)
    symbol["entry_quantity"] += quantity
    symbol["commission"] += fee
    symbol["realized"] -= fee
    effect = state.effects[new_effect(state, OPENED if is_new else CHANGED, step)]
    _describe(effect, symbol)


@kernel
def _leave(tape: Tape, state: State, place: int, side: int, quantity: float, price: float, fee: float, step: int) -> None:
    """Reduce a position or close it."""
    symbol = state.symbols[place]
    rate = rate_at(tape, symbol, step)
    realize(state, symbol, -side * quantity, price, rate, fee)
    symbol["exit_value"] += _weighted(symbol, price, quantity)
    symbol["exit_quantity"] += quantity
    symbol["quantity"] = nearest_lot(symbol["quantity"] + side * quantity, symbol["lot"], symbol["lot_inverse"])
    excursion(symbol, price, rate)
    if symbol["quantity"] != 0.0:
        report_changed(state, symbol, step)
    else:
        end_position(tape, state, place, -side, step)


@kernel
def realize(state: State, symbol: Any, quantity: float, price: float, rate: float, fee: float) -> None:
    """Turn what a signed quantity has gained into realised PnL; on margin it is paid now."""
    gain = gain_of(symbol, quantity, price, rate)
    symbol["gross"] += gain
    symbol["realized"] += gain - fee
    symbol["commission"] += fee
    if symbol["is_margined"]:
        state.core[0]["cash"] += gain


@kernel
def report_changed(state: State, symbol: Any, step: int) -> None:
    """Report a position's values after a change."""
    _describe(state.effects[new_effect(state, CHANGED, step)], symbol)


@kernel
def end_position(tape: Tape, state: State, place: int, side: int, step: int) -> None:
    """Report that a position is closed, and forget it. ``side`` is the position's."""
    symbol = state.symbols[place]
    effect = state.effects[new_effect(state, CLOSED, step)]
    _describe(effect, symbol)
    effect["side"] = side
    effect["quantity"] = symbol["largest"]
    effect["average"] = _mean(symbol, symbol["entry_value"], symbol["entry_quantity"])
    effect["close"] = _mean(symbol, symbol["exit_value"], symbol["exit_quantity"])
    effect["opened_step"] = symbol["opened_step"]
    effect["bars"] = row_at(tape, state, place, step) - symbol["opened_row"]
    effect["mae"] = symbol["mae"]
    effect["mfe"] = symbol["mfe"]
    clear_position(symbol)


@kernel
def _weighted(symbol: Any, price: float, quantity: float) -> float:
    """Return what a quantity adds to the sum that its mean price is made of."""
    if symbol["is_inverse"]:
        return quantity / price
    return price * quantity


@kernel
def _mean(symbol: Any, weighted: float, quantity: float) -> float:
    if symbol["is_inverse"]:
        return quantity / weighted
    return weighted / quantity


@kernel
def excursion(symbol: Any, price: float, rate: float) -> None:
    """Keep the worst and the best gross PnL that the position has had, at this price and conversion rate."""
    gain = symbol["gross"] + gain_of(symbol, symbol["quantity"], price, rate)
    symbol["mae"] = min(symbol["mae"], gain)
    symbol["mfe"] = max(symbol["mfe"], gain)


@kernel
def clear_position(symbol: Any) -> None:
    """Forget a closed position."""
    symbol["quantity"] = 0.0
    symbol["average"] = 0.0
    symbol["basis"] = 0.0
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
def _describe(effect: Any, symbol: Any) -> None:
    effect["symbol"] = symbol["base"]
    effect["position"] = symbol["position_id"]
    effect["quantity"] = symbol["quantity"]
    effect["average"] = symbol["average"]
    effect["commission"] = symbol["commission"]
    effect["realized"] = symbol["realized"]
    effect["gross"] = symbol["gross"]
