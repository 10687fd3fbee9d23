"""This module closes positions by market orders of the engine's own: liquidation, delisting, a symbol that ends in another."""

import math

from engine.kernels.accounting import book_fill, new_effect
from engine.kernels.codes import CANCELLED, FILLED, SUBMITTED
from engine.kernels.compiled import kernel
from engine.kernels.execution import end_order
from engine.kernels.records import State, Tape
from engine.kernels.valuation import rate_at


@kernel
def close_position(tape: Tape, state: State, place: int, price: float, fee: float, step: int, cause: int) -> None:
    """Close a position at this price, after all else of the step. ``cause`` names the order (codes.BY_...)."""
    core = state.core[0]
    symbol = state.symbols[place]
    quantity = abs(symbol["quantity"])
    side = -1 if symbol["quantity"] > 0.0 else 1
    order_id = core["next_order"]
    core["next_order"] += 1
    effect = state.effects[new_effect(state, SUBMITTED, step)]
    effect["order"] = order_id
    effect["symbol"] = symbol["base"]
    effect["side"] = side
    effect["quantity"] = quantity
    effect["limit"] = effect["stop"] = math.nan
    effect["cause"] = cause
    core["next_fill"] += 1
    effect = state.effects[new_effect(state, FILLED, step)]
    effect["fill"] = core["next_fill"]
    effect["order"] = order_id
    effect["symbol"] = symbol["base"]
    effect["side"] = side
    effect["quantity"] = quantity
    effect["price"] = price
    effect["commission"] = fee
    effect["rate"] = rate_at(tape, symbol, step)
    if core["is_hedging"]:
        effect["position"] = symbol["position_id"]
    book_fill(tape, state, place, side, quantity, price, fee, step, False)


@kernel
def end_orders_of(state: State, index: int, reason: int, step: int) -> None:
    """End the working orders of one symbol."""
    for place in range(state.core[0]["orders"]):
        if state.book[place]["symbol"] == index:
            end_order(state, state.book[place], CANCELLED, reason, step)
