"""This module liquidates an account that is under its maintenance margin, at the close of a bar.

Positions are closed at that close by market orders of the engine's own, with slippage and commission. Rule ``all``: all working
orders end, every position is closed, in the order of the spec's symbols. Rule ``largest_loss_first``: the position with the
largest unrealised loss is closed, then the next one, until equity covers the margin of the rest; orders end that belong to a
closed position's symbol or could open or enlarge one; what only reduces the others goes on.
"""

from engine.kernels.accounting import equity_now, maintenance_now, new_effect
from engine.kernels.book import compact
from engine.kernels.codes import BY_MARGIN_CALL, CANCELLED, LARGEST_LOSS_FIRST, MARGIN_CALL, MARGIN_CALLED, MARKET
from engine.kernels.compiled import kernel
from engine.kernels.costs import commission
from engine.kernels.execution import end_order, fill_price
from engine.kernels.own_orders import close_position, end_orders_of
from engine.kernels.records import State, Tape
from engine.kernels.scanning import is_under_margin
from engine.kernels.tape import price_at
from engine.kernels.valuation import gain_of, notional, rate_at


@kernel
def call_margin(tape: Tape, state: State, step: int) -> None:
    """Liquidate if equity at the step's close is below the maintenance margin of the positions."""
    core = state.core[0]
    if not core["calls_margin"] or not is_under_margin(tape, state, step):
        return
    core["price_step"] = step
    effect = state.effects[new_effect(state, MARGIN_CALLED, step)]
    effect["quantity"] = equity_now(tape, state)
    effect["price"] = maintenance_now(tape, state)
    is_gradual = core["liquidation"] == LARGEST_LOSS_FIRST
    for place in range(core["orders"]):
        if not (is_gradual and state.book[place]["reduce_only"]):
            end_order(state, state.book[place], CANCELLED, MARGIN_CALL, step)
    if is_gradual:
        while is_under_margin(tape, state, step):
            place = _largest_loss(tape, state, step)
            end_orders_of(state, state.symbols[place]["base"], MARGIN_CALL, step)
            _liquidate(tape, state, place, step)
    else:
        for place in range(core["symbols"]):
            if state.symbols[place]["quantity"] != 0.0:
                _liquidate(tape, state, place, step)
    compact(state)


@kernel
def _largest_loss(tape: Tape, state: State, step: int) -> int:
    """Return the place of the position that has lost the most, or gained the least; the first of equals."""
    worst, worst_gain = -1, 0.0
    for place in range(state.core[0]["symbols"]):
        symbol = state.symbols[place]
        if symbol["quantity"] != 0.0:
            gain = gain_of(symbol, symbol["quantity"], price_at(tape, state, place, step), rate_at(tape, symbol, step))
            if worst < 0 or gain < worst_gain:
                worst, worst_gain = place, gain
    return worst


@kernel
def _liquidate(tape: Tape, state: State, place: int, step: int) -> None:
    core = state.core[0]
    symbol = state.symbols[place]
    quantity = abs(symbol["quantity"])
    order = state.book[core["orders"]]  # the free record after the working ones
    order["id"] = 0  # what an earlier order has left there has no part in a throw of dice
    order["type"] = MARKET
    order["side"] = -1 if symbol["quantity"] > 0.0 else 1
    order["parent"] = 0
    price = fill_price(core, symbol, order, price_at(tape, state, place, step), quantity, 0.0, step)
    fee = commission(state, quantity, notional(symbol, quantity, price, rate_at(tape, symbol, step)), False)
    close_position(tape, state, place, price, fee, step, BY_MARGIN_CALL)
