"""This module prices what a trade costs: slippage on its price, commission on its value. Each rule is one function."""

import math
from typing import Any

from engine.kernels.chance import throw
from engine.kernels.codes import (
    SCOPE_ALL,
    SCOPE_MARKET,
    SLIP_FIXED,
    SLIP_NONE,
    SLIP_QUOTES,
    SLIP_SPREAD,
    SLIP_TICKS,
    SLIP_VOLUME_SHARE,
)
from engine.kernels.compiled import kernel
from engine.kernels.kinds import is_at_any_price, is_limit_like
from engine.kernels.records import State, Tape
from engine.kernels.rounding import round_money

# Added to an order's number, so that whether it slips does not hang on whether it was lucky at its limit in that bar.
OTHER_DICE = 1_000_000_007


@kernel
def has_slippage(core: Any, order: Any) -> bool:
    """Tell whether the order is in the scope of the slippage rule."""
    if core["slippage"] == SLIP_NONE:
        return False
    if core["slippage_scope"] == SCOPE_ALL:
        return True
    if core["slippage_scope"] == SCOPE_MARKET:
        return bool(is_at_any_price(order) and order["parent"] == 0)
    return not is_limit_like(order)


@kernel
def slipped(core: Any, order: Any, price: float, held: float, quantity: float, volume: float, tick: float, step: int) -> float:
    """Move the price against the order.

    held : the position before the fill; quantity : of the fill; volume : of the bar
    Fixed 0.02 on a buy at 100: 100.02. Ticks 2 of 0.01 on a sale at 100: 99.98. Percent 0.0005 on a sale at 100: 99.95.
    Spread 0.01 on a buy at 100 that opens: 101,
    that closes: 100. Volume share, impact 0.1, 5 of 200 at 3: 3 * (1 + 0.1 * 0.025^2) = 3.0001875.
    """
    side = order["side"]
    rate = core["slippage_value"]
    if not has_slippage(core, order):
        return price
    if core["slippage"] == SLIP_QUOTES:
        return price  # quoted() has moved it
    if core["slippage"] == SLIP_FIXED:
        return float(max(price + side * rate, 0.0))
    if core["slippage"] == SLIP_TICKS:
        if throw(core["seed"], order["id"] + OTHER_DICE, step) >= core["slippage_probability"]:
            return price
        return float(max(price + side * (rate * tick), 0.0))
    if core["slippage"] == SLIP_SPREAD:
        closing = min(abs(held), quantity) if held * side < 0.0 else 0.0
        rate = rate * ((quantity - closing) / quantity) if quantity > 0.0 else rate
    elif core["slippage"] == SLIP_VOLUME_SHARE:
        share = quantity / volume if volume > 0.0 else 0.0
        rate = rate * (share * share)
    return float(price * (1.0 + side * rate))


@kernel
def quoted(tape: Tape, state: State, order: Any, price: float, row: int, is_at_open: bool) -> float:
    """Move the price as far as the quote lies from the close: a buy to the ask, a sale to the bid.

    At a bar's open the last quote known is that of the symbol's bar before (of its own bar where there is none before); at
    any other price the bar's own is taken. Close 100, bid 99.9, ask 100.2: a market buy at the next open 101 pays 101.2, a
    sale at this close gets 99.9.
    """
    before = row - 1 if is_at_open and row > state.symbols[order["symbol"]]["first_row"] else row
    quote = tape.ask[before] if order["side"] > 0 else tape.bid[before]
    return float(max(price + (quote - tape.close[before]), 0.0))


@kernel
def commission(state: State, quantity: float, worth: float, is_maker: bool) -> float:
    """Return fixed + rate * traded value + per unit * quantity, within minimum and maximum, to 1e-8.

    worth : of the quantity, in account currency, as fixed, per unit, minimum and maximum are

    The rate is the maker's or the taker's, and that of the last tier that the value traded before this fill has reached.
    Fixed 10 and rate 0.01 on 88 at 111.8575: 10 + 98.4346 = 108.4346. A negative rate is a rebate.
    """
    core = state.core[0]
    rate = core["fee_maker_rate"] if is_maker else core["fee_rate"]
    for place in range(len(state.tiers)):
        if core["traded_value"] >= state.tiers[place, 0]:
            rate = state.tiers[place, 1] if is_maker else state.tiers[place, 2]
    fee = core["fee_fixed"] + rate * worth + core["fee_per_unit"] * quantity
    if core["fee_minimum"] > 0.0:
        fee = max(fee, core["fee_minimum"])
    if not math.isnan(core["fee_maximum"]):
        fee = min(fee, core["fee_maximum"])
    return round_money(fee)
