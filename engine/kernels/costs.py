"""This module prices what a trade costs: slippage on its price, commission on its value. Each rule is one function."""

import math
from typing import Any

from engine.kernels.codes import LIMIT, SLIP_BASIS_POINTS, SLIP_FIXED, STOP_LIMIT
from engine.kernels.compiled import kernel
from engine.kernels.rounding import round_money


@kernel
def is_limit_like(order: Any) -> bool:
    """Tell whether the order fills as a limit order."""
    return bool(order["type"] == LIMIT or order["type"] == STOP_LIMIT)


@kernel
def slipped(core: Any, order: Any, price: float) -> float:
    """Move the price against the order. Fixed 0.02 on a buy at 100: 100.02; 5 basis points on a sell at 100: 99.95."""
    if is_limit_like(order) and not core["slippage_on_limits"]:
        return price
    if core["slippage"] == SLIP_FIXED:
        return float(max(price + order["side"] * core["slippage_value"], 0.0))
    if core["slippage"] == SLIP_BASIS_POINTS:
        return float(price * (1.0 + order["side"] * (core["slippage_value"] * 1e-4)))
    return price


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
