"""This module moves trailing stops. A stop trails the best price that the order has seen, by an amount or by a fraction.

Policy ``trail``: after_bar, the bar is matched against the stop as it was, then moves it (what a bar's close can know);
before_test, the bar's own extreme moves the stop before the bar is matched against it; after_close, as after_bar, but the
bar's close moves it and not its extreme.
"""

import math
from typing import Any

from engine.kernels.codes import TRAIL_AFTER_CLOSE
from engine.kernels.compiled import kernel
from engine.kernels.records import State, Tape
from engine.kernels.tape import has_bar, row_at


@kernel
def is_trailing(order: Any) -> bool:
    """Tell whether the order's stop trails."""
    return not (math.isnan(order["trail_amount"]) and math.isnan(order["trail_percent"]))


@kernel
def trail_from(order: Any, price: float) -> None:
    """Let the stop trail this price if it is better than what it trails. Sell, 10 percent, from 5250: 4725.

    A limit trails with it, by its own distance beyond the stop.
    """
    side = order["side"]
    distance = order["trail_amount"] if math.isnan(order["trail_percent"]) else price * (order["trail_percent"] / 100.0)
    stop = price + side * distance
    if math.isnan(order["stop"]) or side * (order["stop"] - stop) > 0.0:
        order["stop"] = stop
        if not math.isnan(order["limit_offset"]):
            order["limit"] = stop + side * order["limit_offset"]


@kernel
def follow_bar(tape: Tape, state: State, step: int) -> None:
    """Move the trailing stops by this step's bars: its high for a sell, its low for a buy; or its close, by the policy.

    In the bar of its parent's fill an order sees the extreme only when the fill was at the open, else the close.
    """
    core = state.core[0]
    for place in range(core["orders"]):
        order = state.book[place]
        if order["is_done"] or order["is_waiting"] or order["is_triggered"] or not is_trailing(order):
            continue
        if step <= order["sent_step"] or not has_bar(tape, state, order["symbol"], step):
            continue
        row = row_at(tape, state, order["symbol"], step)
        price = tape.high[row] if order["side"] < 0 else tape.low[row]
        is_inside = order["from_step"] == step and order["from_price"] != tape.open[row]
        if is_inside or core["trail"] == TRAIL_AFTER_CLOSE:
            price = tape.close[row]
        trail_from(order, price)
