"""This module answers what the account can carry: whether a fill is affordable, and how much of it is."""

from engine.kernels.accounting import equity_now, exposure_without
from engine.kernels.codes import BY_FRACTION, BY_UNITS, BY_VALUE, TO_FRACTION, TO_VALUE
from engine.kernels.compiled import kernel
from engine.kernels.costs import commission
from engine.kernels.records import State, Tape
from engine.kernels.rounding import on_grid, steps_in, whole_lots
from engine.kernels.tape import price_at
from engine.kernels.valuation import notional, rate_now, value_of

SLACK = 1e-12  # relative: a fill of exactly all the cash passes in spite of the last float digit


@kernel
def is_affordable(tape: Tape, state: State, place: int, side: int, quantity: float, price: float) -> bool:
    """Tell whether the account can carry the fill.

    place : of the position record that the fill goes to
    A fill that only reduces a position always passes. Cash account: cash after it is not negative. Margin account: the
    exposure after it is at most leverage * equity, this symbol valued at the fill's price, commission paid; an instrument
    with an initial margin of its own counts with that margin in place of 1 / leverage. Lots of both sides add up.
    """
    core = state.core[0]
    symbol = state.symbols[place]
    held = symbol["quantity"]
    after = held + side * quantity
    if held * side < 0.0 and quantity <= abs(held):
        return True
    rate = rate_now(tape, state, place)
    worth = notional(symbol, quantity, price, rate)
    fee = commission(state, quantity, worth, False)
    if core["is_cash_account"]:
        return bool(side * worth + fee <= core["cash"] + SLACK * abs(core["cash"]))
    last = price_at(tape, state, place, core["price_step"])
    if symbol["is_plain"]:
        change = held * symbol["multiplier"] * (price - last)
    else:
        change = value_of(symbol, price, rate) - value_of(symbol, last, rate)
    equity = equity_now(tape, state) + change - fee
    exposure = exposure_without(tape, state, place) + notional(symbol, abs(after), price, rate) * symbol["margin_weight"]
    return bool(exposure <= core["leverage"] * equity * (1.0 + SLACK))


@kernel
def affordable_quantity(tape: Tape, state: State, place: int, side: int, quantity: float, price: float) -> float:
    """Return the largest quantity of whole lots, up to ``quantity``, that the account can carry; 0 if none.

    Halving over the count of lots: needs no inverse of the commission's rule.
    """
    if is_affordable(tape, state, place, side, quantity, price):
        return quantity
    symbol = state.symbols[place]
    low = 0.0
    high = steps_in(quantity, symbol["lot"], symbol["lot_inverse"])
    for _ in range(64):
        middle = (low + high) / 2.0
        count = middle - middle % 1.0
        if count <= low:
            count = low + 1.0
        if count >= high:
            break
        if is_affordable(tape, state, place, side, on_grid(count, symbol["lot"], symbol["lot_inverse"]), price):
            low = count
        else:
            high = count
    return on_grid(low, symbol["lot"], symbol["lot_inverse"])


@kernel
def sized(tape: Tape, state: State, place: int, side: int, sizing: int, amount: float, price: float) -> float:
    """Return the signed quantity, in whole lots, that an amount means at this price.

    By value 1000 at 30 and lot 1: 33. By fraction 0.5 of equity 10000 at 30: 166. To fraction: what brings the position
    to that share of equity. Positive buys. The amount of a target has its own sign, that of the others the side's.
    """
    symbol = state.symbols[place]
    worth = notional(symbol, 1.0, price, rate_now(tape, state, place))
    if sizing == BY_UNITS:
        return side * whole_lots(amount, symbol["lot"], symbol["lot_inverse"])
    if worth <= 0.0:
        return 0.0
    wanted = amount
    if sizing in (BY_VALUE, TO_VALUE):
        wanted = amount / worth
    elif sizing in (BY_FRACTION, TO_FRACTION):
        wanted = amount * equity_now(tape, state) / worth
    if sizing in (BY_VALUE, BY_FRACTION):
        if wanted <= 0.0:
            return 0.0
        return side * whole_lots(wanted, symbol["lot"], symbol["lot_inverse"])
    whole = whole_lots(abs(wanted), symbol["lot"], symbol["lot_inverse"])
    change = (whole if wanted > 0.0 else -whole) - symbol["quantity"]
    lots = whole_lots(abs(change), symbol["lot"], symbol["lot_inverse"])
    return lots if change > 0.0 else -lots
