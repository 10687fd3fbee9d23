"""This module says what orders of each type have in common: how they trigger, and at what prices they fill."""

from typing import Any

from engine.kernels.codes import (
    LIMIT,
    LIMIT_IF_TOUCHED,
    MARKET,
    MARKET_IF_TOUCHED,
    MARKET_ON_CLOSE,
    MARKET_ON_OPEN,
    STOP,
    STOP_LIMIT,
)
from engine.kernels.compiled import kernel


@kernel
def is_at_any_price(order: Any) -> bool:
    """Tell whether the order waits for no price: a market order, of whatever time."""
    return bool(order["type"] == MARKET or order["type"] == MARKET_ON_OPEN or order["type"] == MARKET_ON_CLOSE)


@kernel
def becomes_market(order: Any) -> bool:
    """Tell whether the order fills at any price once it was triggered."""
    return bool(order["type"] == STOP or order["type"] == MARKET_IF_TOUCHED)


@kernel
def becomes_limit(order: Any) -> bool:
    """Tell whether the order is a limit order once it was triggered."""
    return bool(order["type"] == STOP_LIMIT or order["type"] == LIMIT_IF_TOUCHED)


@kernel
def is_limit_like(order: Any) -> bool:
    """Tell whether the order fills as a limit order."""
    return bool(order["type"] == LIMIT or becomes_limit(order))


@kernel
def trigger_side(order: Any) -> int:
    """Return +1 where a rising price triggers the order: a stop to buy, or a sale if touched; else -1."""
    if order["type"] == MARKET_IF_TOUCHED or order["type"] == LIMIT_IF_TOUCHED:
        return int(-order["side"])
    return int(order["side"])
