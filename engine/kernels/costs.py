"""This module prices what a trade costs: slippage on its price, commission on its value. Each rule is one function."""

import math
from typing import Any

from engine.kernels.codes import (
    LIMIT,
    MARKET,
    SCOPE_ALL,
    SCOPE_MARKET,
    SLIP_FIXED,
    SLIP_NONE,
    SLIP_SPREAD,
    SLIP_VOLUME_SHARE,
    STOP_LIMIT,
)
from engine.kernels.compiled import kernel
from engine.kernels.rounding import round_money


@kernel
def is_limit_like(order: Any) -> bool:
    """Tell whether the order fills as a limit order."""
    return bool(order["type"] == LIMIT or order["type"] == STOP_LIMIT)


@kernel
def has_slippage(core: Any, order: Any) -> bool:
    """Tell whether the order is in the scope of the slippage rule."""
    if core["slippage"] == SLIP_NONE:
        return False
    if core["slippage_scope"] == SCOPE_ALL:
        return True
    if core["slippage_scope"] == SCOPE_MARKET:
        return bool(order["type"] == MARKET and order["parent"] == 0)
    return not is_limit_like(order)


@kernel
def slipped(core: Any, order: Any, price: float, held: float, quantity: float, volume: float) -> float:
    """Move the price against the order.

    held : the position before the fill; quantity : of the fill; volume : of the bar
    Fixed 0.02 on a buy at 100: 100.02. Percent 0.0005 on a sell at 100: 99.95. Spread 0.01 on a buy at 100 that opens: 101,
    that closes: 100. Volume share, impact 0.1, 5 of 200 at 3: 3 * (1 + 0.1 * 0.025^2) = 3.0001875.
    """
    side = order["side"]
    rate = core["slippage_value"]
    if not has_slippage(core, order):
        return price
    if core["slippage"] == SLIP_FIXED:
        return float(max(price + side * rate, 0.0))
    if core["slippage"] == SLIP_SPREAD:
        closing = min(abs(held), quantity) if held * side < 0.0 else 0.0
        rate = rate * ((quantity - closing) / quantity) if quantity > 0.0 else rate
    elif core["slippage"] == SLIP_VOLUME_SHARE:
        share = quantity / volume if volume > 0.0 else 0.0
        rate = rate * (share * share)
    return float(price * (1.0 + side * rate))


@kernel
def commission(core: Any, quantity: float, price: float, multiplier: float) -> float:
    """Return fixed + rate * traded value + per unit * quantity, within minimum and maximum, to 1e-8.

    Fixed 10 and rate 0.01 on 88 at 111.8575: 10 + 98.4346 = 108.4346. A negative rate is a rebate.
    """
    fee = core["fee_fixed"] + core["fee_rate"] * (quantity * multiplier * price) + core["fee_per_unit"] * quantity
    if core["fee_minimum"] > 0.0:
        fee = max(fee, core["fee_minimum"])
    if not math.isnan(core["fee_maximum"]):
        fee = min(fee, core["fee_maximum"])
    return round_money(fee)
