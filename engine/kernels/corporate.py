"""This module applies corporate actions to a position: splits with the fraction paid in cash, and cash dividends."""

from engine.kernels.compiled import kernel
from engine.kernels.records import State
from engine.kernels.rounding import round_money, whole_lots


@kernel
def apply_split(state: State, index: int, ratio: float) -> float:
    """Split a position. Return the cash paid for what is less than a lot, at the new average price.

    ratio : new price / old price. 100 at 100 with 0.49999 and lot 1: 200 at 49.999, 0.20000 for 0.004 of a share.
    """
    core = state.core[0]
    symbol = state.symbols[index]
    if symbol["quantity"] == 0.0:
        return 0.0
    side = 1.0 if symbol["quantity"] > 0.0 else -1.0
    quantity = abs(symbol["quantity"]) / ratio
    whole = whole_lots(quantity, symbol["lot"], symbol["lot_inverse"])
    symbol["average"] *= ratio
    cash = round_money(side * (quantity - whole) * symbol["average"] * symbol["multiplier"])
    symbol["quantity"] = side * whole
    symbol["largest"] = max(symbol["largest"] / ratio, whole)
    symbol["entry_quantity"] /= ratio
    symbol["exit_quantity"] /= ratio
    core["cash"] += cash
    return cash


@kernel
def apply_dividend(state: State, index: int, per_share: float) -> float:
    """Pay a cash dividend: a long position receives it, a short one pays it. Return what is added to cash."""
    symbol = state.symbols[index]
    amount = round_money(symbol["quantity"] * symbol["multiplier"] * per_share)
    state.core[0]["cash"] += amount
    return amount


@kernel
def apply_funding(state: State, index: int, rate: float, price: float) -> float:
    """Pay a perpetual's funding on the position's value: a long position pays a positive rate. Return what cash gains."""
    symbol = state.symbols[index]
    amount = round_money(-symbol["quantity"] * symbol["multiplier"] * price * rate)
    state.core[0]["cash"] += amount
    return amount
