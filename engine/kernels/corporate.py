"""This module applies to one position what happens to it besides trading: splits, dividends, funding, the cost of borrowing."""

from engine.kernels.accounting import new_effect, realize
from engine.kernels.codes import BORROW_PAID, DIVIDEND_PAID, FUNDING_PAID, SPLIT_APPLIED
from engine.kernels.compiled import kernel
from engine.kernels.records import State
from engine.kernels.rounding import round_money, whole_lots
from engine.kernels.valuation import notional


@kernel
def apply_split(state: State, place: int, ratio: float, price: float, rate: float, step: int) -> float:
    """Split a position. Return what was less than a lot of it: paid in cash, at the price after the split.

    ratio : new price / old price. 100 at 100 with 0.49999 and lot 1: 200 at 49.999, 0.20000 for 0.004 of a share.
    price : the last price times the ratio; the fraction is sold (of a short position: bought) there, without commission
    """
    symbol = state.symbols[place]
    if symbol["quantity"] == 0.0:
        return 0.0
    side = 1.0 if symbol["quantity"] > 0.0 else -1.0
    quantity = abs(symbol["quantity"]) / ratio
    whole = whole_lots(quantity, symbol["lot"], symbol["lot_inverse"])
    symbol["average"] *= ratio
    symbol["basis"] *= ratio
    symbol["largest"] = max(symbol["largest"] / ratio, whole)
    symbol["entry_quantity"] /= ratio
    symbol["exit_quantity"] /= ratio
    symbol["quantity"] = side * whole
    fraction = quantity - whole
    cash = round_money(side * fraction * symbol["multiplier"] * price * rate)
    has_fraction = cash != 0.0  # else it is the noise of a float
    if has_fraction:
        if symbol["is_margined"]:
            cash = 0.0  # the fraction's gain is paid with the change of the position that follows
        state.core[0]["cash"] += cash
        realize(state, symbol, side * fraction, price, rate, 0.0)
        symbol["exit_value"] += price * fraction
        symbol["exit_quantity"] += fraction
    effect = state.effects[new_effect(state, SPLIT_APPLIED, step)]
    effect["symbol"] = symbol["base"]
    effect["position"] = symbol["position_id"]
    effect["rate"] = ratio
    effect["quantity"] = symbol["quantity"]
    effect["average"] = symbol["average"]
    effect["price"] = cash
    return fraction if has_fraction else 0.0


@kernel
def apply_dividend(state: State, place: int, per_share: float, rate: float, step: int) -> float:
    """Pay a cash dividend: a long position receives it, a short one pays it. Return what is added to cash."""
    symbol = state.symbols[place]
    amount = round_money(symbol["quantity"] * symbol["multiplier"] * per_share * rate)
    state.core[0]["cash"] += amount
    state.core[0]["dividends"] += amount
    _report_payment(state, place, DIVIDEND_PAID, per_share, 0.0, amount, step)
    return amount


@kernel
def apply_funding(state: State, place: int, funding: float, price: float, rate: float, step: int) -> float:
    """Pay a perpetual's funding on the position's value: a long position pays a positive rate. Return what cash gains."""
    symbol = state.symbols[place]
    amount = round_money(-notional(symbol, symbol["quantity"], price, rate) * funding)
    state.core[0]["cash"] += amount
    state.core[0]["funding"] += amount
    _report_payment(state, place, FUNDING_PAID, funding, price, amount, step)
    return amount


@kernel
def apply_borrow(state: State, place: int, days: int, price: float, rate: float, step: int) -> float:
    """Pay for the units that a short position has borrowed, for so many calendar days. Return what is taken from cash.

    100 short at 50, 3.65 percent a year, 3 days of 365: 100 * 50 * 0.0365 * 3 / 365 = 1.50.
    """
    core = state.core[0]
    symbol = state.symbols[place]
    worth = abs(notional(symbol, symbol["quantity"], price, rate))
    amount = round_money(worth * symbol["borrow_rate"] * (days / core["day_count"]))
    if amount == 0.0:
        return 0.0
    core["cash"] -= amount
    core["borrow"] += amount
    _report_payment(state, place, BORROW_PAID, symbol["borrow_rate"], price, amount, step)
    return amount


@kernel
def _report_payment(state: State, place: int, kind: int, rate: float, price: float, amount: float, step: int) -> None:
    symbol = state.symbols[place]
    effect = state.effects[new_effect(state, kind, step)]
    effect["symbol"] = symbol["base"]
    effect["position"] = symbol["position_id"]
    effect["rate"] = rate
    effect["price"] = price
    effect["quantity"] = amount
