"""This module holds the price rules: whether a bar fills an order, and at what price before slippage.

``side`` is +1 for a buy, -1 for a sell; a sell mirrors a buy. A price of NaN means: not in this bar.
"""

import math
from typing import Any

from engine.kernels.codes import (
    AT_STOP,
    GAP_CLOSE,
    GAP_LIMIT,
    GAP_OPEN,
    GAP_STOP_CLOSE,
    GAP_STOP_OPEN,
    GAP_STOP_STOP,
    ON_CLOSE,
    ON_PATH,
    SAME_BAR,
    STOP_CLOSE,
    STOP_INCLUSIVE,
    STOP_LIMIT,
    TOUCH_CLOSE,
    TOUCH_INCLUSIVE,
    TOUCH_RANGE,
)
from engine.kernels.compiled import kernel


@kernel
def limit_touched(core: Any, side: int, limit: float, low: float, high: float, close: float) -> bool:
    """Inclusive: the bar reaches the limit. Strict: it goes beyond. Close: it closes at or beyond. Range: it holds the limit."""
    if core["limit_touch"] == TOUCH_RANGE:
        return bool(low <= limit <= high)
    if core["limit_touch"] == TOUCH_CLOSE:
        return bool(side * (limit - close) >= 0.0)
    best = low if side > 0 else high
    if core["limit_touch"] == TOUCH_INCLUSIVE:
        return bool(side * (limit - best) >= 0.0)
    return bool(side * (limit - best) > 0.0)


@kernel
def limit_price(core: Any, side: int, limit: float, bar_open: float, high: float, low: float, close: float) -> float:
    """Return the price of a limit order in this bar: the limit, or by the gap rule when the bar opens beyond it.

    Buy at 98 in 96/103/95/101: open 96, gap rule limit 98, gap rule within 98, gap rule close 98 (a close of 97 would be 97).
    """
    if not limit_touched(core, side, limit, low, high, close):
        return math.nan
    if side * (limit - bar_open) >= 0.0:
        if core["gap_limit"] == GAP_OPEN:
            return bar_open
        if core["gap_limit"] == GAP_LIMIT:
            return limit
        if core["gap_limit"] == GAP_CLOSE:
            return close if side * (limit - close) >= 0.0 else limit
        return min(max(limit, low), high)
    if core["limit_touch"] == TOUCH_CLOSE:
        return close
    return limit


@kernel
def stop_touched(core: Any, side: int, stop: float, low: float, high: float, close: float) -> bool:
    """Inclusive: the bar reaches the stop. Range: the stop lies inside the bar. Close: the bar closes at or beyond it."""
    if core["stop_touch"] == STOP_CLOSE:
        return bool(side * (close - stop) >= 0.0)
    if core["stop_touch"] == STOP_INCLUSIVE:
        worst = high if side > 0 else low
        return bool(side * (worst - stop) >= 0.0)
    return bool(low <= stop <= high)


@kernel
def stop_price(core: Any, side: int, stop: float, bar_open: float, high: float, low: float, close: float) -> float:
    """Return the price at which a stop is triggered in this bar: the stop, or by the gap rule when the bar opens beyond.

    Buy stop 103 in 105/106/104/105: open 105, gap rule stop 103, within 105 (the whole bar is beyond the stop).
    """
    if not stop_touched(core, side, stop, low, high, close):
        return math.nan
    if side * (bar_open - stop) >= 0.0:
        if core["gap_stop"] == GAP_STOP_OPEN:
            return bar_open
        if core["gap_stop"] == GAP_STOP_STOP:
            return stop
        if core["gap_stop"] == GAP_STOP_CLOSE:
            return close
        return stop if low <= stop <= high else bar_open
    if core["stop_touch"] == STOP_CLOSE:
        return close
    return stop


@kernel
def resting_price(core: Any, order: Any, bar_open: float, high: float, low: float, close: float) -> float:
    """Return the price of an order that rests as a limit; a stop-limit under ``on_close`` fills by the close alone."""
    side, limit = order["side"], order["limit"]
    if order["type"] == STOP_LIMIT and core["stop_limit"] == ON_CLOSE:
        return on_close_price(side, limit, high, low, close)
    return limit_price(core, side, limit, bar_open, high, low, close)


@kernel
def on_close_price(side: int, limit: float, high: float, low: float, close: float) -> float:
    """A buy fills when the close is below the limit, at the lower of high and limit; a sell mirrors it."""
    if side * (limit - close) <= 0.0:
        return math.nan
    return min(high, limit) if side > 0 else max(low, limit)


@kernel
def triggered_price(core: Any, order: Any, trigger: float, bar_open: float, high: float, low: float, close: float) -> float:
    """Return the price of a stop-limit order in the bar that triggers it, NaN if it is to rest as a limit.

    trigger : the price of the trigger: the stop, or by the gap rule
    """
    side, limit, stop = order["side"], order["limit"], order["stop"]
    rule = core["stop_limit"]
    is_limit_beyond = side * (limit - stop) >= 0.0  # the usual way: the limit leaves room behind the stop
    if rule == AT_STOP:
        return float(stop) if is_limit_beyond else math.nan
    if rule == ON_CLOSE:
        return on_close_price(side, limit, high, low, close)
    if rule == SAME_BAR:
        return limit_price(core, side, limit, bar_open, high, low, close)
    if rule == ON_PATH:
        return float(stop) if side * (limit - trigger) >= 0.0 else math.nan
    if side * (bar_open - stop) >= 0.0:
        return limit_price(core, side, limit, bar_open, high, low, close)
    if is_limit_beyond:
        return float(stop)
    if side * (limit - close) >= 0.0 and side * (bar_open - close) > 0.0:
        return float(limit)
    return math.nan
