"""This module liquidates an account that is under its maintenance margin.

The rule: at the close of the bar, all working orders are cancelled and every position is closed at that close, as a
market order of the engine's own, with slippage and commission, in the order of the spec's symbols.
"""

import math

from engine.kernels.accounting import book_fill, equity_now, exposure_without, new_effect
from engine.kernels.book import compact
from engine.kernels.codes import CANCELLED, FILLED, MARGIN_CALL, MARGIN_CALLED, MARKET, SUBMITTED
from engine.kernels.compiled import kernel
from engine.kernels.costs import commission
from engine.kernels.execution import end_order, fill_price
from engine.kernels.records import State, Tape
from engine.kernels.scanning import is_under_margin
from engine.kernels.tape import price_at


@kernel
def call_margin(tape: Tape, state: State, step: int) -> None:
    """Liquidate if equity at the step's close is below maintenance * exposure."""
    core = state.core[0]
    if core["maintenance"] <= 0.0 or not is_under_margin(tape, state, step):
        return
    core["price_step"] = step
    effect = state.effects[new_effect(state, MARGIN_CALLED, step)]
    effect["quantity"] = equity_now(tape, state)
    effect["price"] = core["maintenance"] * exposure_without(tape, state, -1)
    for place in range(core["orders"]):
        end_order(state, state.book[place], CANCELLED, MARGIN_CALL, step)
    compact(state)
    for index in range(core["symbols"]):
        if state.symbols[index]["quantity"] != 0.0:
            _liquidate(tape, state, index, step)


@kernel
def _liquidate(tape: Tape, state: State, index: int, step: int) -> None:
    core = state.core[0]
    symbol = state.symbols[index]
    quantity = abs(symbol["quantity"])
    order = state.book[core["orders"]]  # the free record after the working ones
    order["type"] = MARKET
    order["side"] = -1 if symbol["quantity"] > 0.0 else 1
    order["id"] = core["next_order"]
    core["next_order"] += 1
    order["parent"] = 0
    price = fill_price(core, symbol, order, price_at(tape, state, index, step), quantity, 0.0)
    fee = commission(state, quantity, price, symbol["multiplier"], False)
    effect = state.effects[new_effect(state, SUBMITTED, step)]
    effect["order"] = order["id"]
    effect["symbol"] = index
    effect["side"] = order["side"]
    effect["quantity"] = quantity
    effect["limit"] = effect["stop"] = math.nan
    effect["reason"] = MARGIN_CALL
    core["next_fill"] += 1
    effect = state.effects[new_effect(state, FILLED, step)]
    effect["fill"] = core["next_fill"]
    effect["order"] = order["id"]
    effect["symbol"] = index
    effect["side"] = order["side"]
    effect["quantity"] = quantity
    effect["price"] = price
    effect["commission"] = fee
    book_fill(tape, state, index, order["side"], quantity, price, fee, step, False)
