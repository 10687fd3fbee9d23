"""This module matches working orders against one step's bars.

Which of several orders of one bar comes first is the policy ``same_bar``: stops before limits, the order of submission,
each alone, or the order in which a price path through the bar reaches them.
"""

import math
from typing import Any

from engine.kernels.accounting import new_effect
from engine.kernels.book import compact, expire_order, settle_requests
from engine.kernels.chance import throw
from engine.kernels.codes import (
    ADAPTIVE_PATH,
    CANCELLED,
    DAY,
    FILL_OR_KILL,
    FOK,
    GTD,
    IMMEDIATE_OR_CANCEL,
    IOC,
    LIMIT,
    LIMIT_IF_TOUCHED,
    MARKET,
    MARKET_ON_CLOSE,
    MARKET_ON_OPEN,
    NEXT_OPEN,
    ON_PATH,
    PATH,
    SAME_CLOSE,
    STOP_FIRST,
    STOP_LIMIT,
    TRAIL_BEFORE_TEST,
    TRIGGERED,
)
from engine.kernels.compiled import kernel
from engine.kernels.execution import end_order, execute
from engine.kernels.kinds import becomes_limit, becomes_market, is_at_any_price, trigger_side
from engine.kernels.path import NOWHERE, PATH_END, place_on_path
from engine.kernels.records import State, Tape
from engine.kernels.tape import begins_day, day_at, has_bar, is_first_of_day, is_last_of_day, row_at
from engine.kernels.touch import resting_price, stop_price, triggered_price
from engine.kernels.trailing import follow_bar


@kernel
def is_live(tape: Tape, state: State, order: Any, step: int) -> bool:
    """Tell whether the order may fill in this step at all."""
    if order["is_done"] or order["is_waiting"] or step < order["active_step"]:
        return False
    if order["type"] == MARKET_ON_CLOSE and not is_last_of_day(tape, order["symbol"], step):
        return False
    if order["type"] == MARKET_ON_OPEN and (not is_first_of_day(tape, order["symbol"], step) or order["from_step"] == step):
        return False  # attached to an order that filled in this bar, it has missed this day's open
    return has_bar(tape, state, order["symbol"], step)


@kernel
def match_step(tape: Tape, state: State, step: int) -> None:
    """Expire, fill in the order of the policy, expire what ends with the day, settle requests that arrive at the close."""
    core = state.core[0]
    core["price_step"] = step - 1
    for place in range(core["orders"]):
        order = state.book[place]
        if order["time_in_force"] == GTD and tape.time_ns[step] >= order["expires_ns"]:
            expire_order(state, place, step)
        elif order["time_in_force"] == DAY and order["day"] >= 0 and begins_day(tape, order["symbol"], step):
            expire_order(state, place, step)  # its session had no bar that reached the close
    if core["trail"] == TRAIL_BEFORE_TEST:
        follow_bar(tape, state, step)
    if core["same_bar"] == PATH or core["same_bar"] == ADAPTIVE_PATH:
        match_path(tape, state, step)
    else:
        fills = -1
        while fills != core["next_fill"]:  # again after fills: they may have brought attached orders to life
            fills = core["next_fill"]
            _match_once(tape, state, step)
    follow_bar(tape, state, step)
    _end_step(tape, state, step)
    core["price_step"] = step
    compact(state)


@kernel
def _match_once(tape: Tape, state: State, step: int) -> None:
    core = state.core[0]
    if core["same_bar"] == STOP_FIRST:
        for rank in range(4):
            for place in range(core["orders"]):
                if rank_of(state.book[place]) == rank:
                    match_order(tape, state, place, step, True)
    else:
        for place in range(core["orders"]):
            match_order(tape, state, place, step, True)


@kernel
def _end_step(tape: Tape, state: State, step: int) -> None:
    """Orders for the day end at the close of their day's last bar; requests on their way arrive."""
    core = state.core[0]
    for place in range(core["orders"]):
        order = state.book[place]
        if order["is_done"] or order["is_waiting"] or step < order["active_step"]:
            continue
        if order["time_in_force"] == DAY:
            day = day_at(tape, step)
            if order["day"] < 0:
                order["day"] = day
            if order["day"] <= day and is_last_of_day(tape, order["symbol"], step):
                expire_order(state, place, step)
    settle_requests(state, step)


@kernel
def match_close(tape: Tape, state: State, step: int) -> None:
    """Fill market orders at the close of the step they were sent in (policy same_close)."""
    core = state.core[0]
    if core["market_fill"] != SAME_CLOSE:
        return
    core["price_step"] = step
    for place in range(core["orders"]):
        order = state.book[place]
        if order["type"] == MARKET and order["sent_step"] == step and is_live(tape, state, order, step):
            match_order(tape, state, place, step, True)
    compact(state)


@kernel
def is_market_like(order: Any) -> bool:
    """Tell whether the order fills at any price: a market order, or a stop that was triggered before."""
    return bool(is_at_any_price(order) or (becomes_market(order) and order["is_triggered"]))


@kernel
def is_resting_limit(order: Any) -> bool:
    """Tell whether the order rests as a limit: a limit order, or a stop-limit that was triggered before."""
    return bool(order["type"] == LIMIT or (becomes_limit(order) and order["is_triggered"]))


@kernel
def rank_of(order: Any) -> int:
    """Return the order's place in the policy stop_first: market orders, stops, limits, what fills at the day's close."""
    if order["type"] == MARKET_ON_CLOSE:
        return 3
    if is_market_like(order):
        return 0
    if is_resting_limit(order):
        return 2
    return 1


@kernel
def open_for(tape: Tape, order: Any, row: int, step: int) -> float:
    """Return the first price of the bar that the order can see: the open, or where its parent filled in this bar."""
    if order["parent"] != 0 and order["from_step"] == step:
        return float(order["from_price"])
    return float(tape.open[row])


@kernel
def match_order(tape: Tape, state: State, place: int, step: int, uses_gaps: bool) -> None:
    """Fill one order in this step's bar if the bar reaches it; end it if it lives for one bar only.

    uses_gaps : False when a price path has passed the open already: a level is then met exactly
    """
    core = state.core[0]
    order = state.book[place]
    if not is_live(tape, state, order, step):
        return
    row = row_at(tape, state, order["symbol"], step)
    bar_open, high, low, close = open_for(tape, order, row, step), tape.high[row], tape.low[row], tape.close[row]
    side = order["side"]
    if is_market_like(order):
        is_open = _fills_at_open(core, order)
        execute(tape, state, place, bar_open if is_open else close, step, is_open, False)
    elif is_resting_limit(order):
        price = resting_price(core, order, bar_open, high, low, close)
        if price == order["limit"] and price == (low if side > 0 else high) and not _is_lucky(core, order, step):
            price = math.nan
        if not math.isnan(price):
            if not uses_gaps and not _is_passed(order, step, -side, order["limit"]):
                price = order["limit"]
            execute(tape, state, place, price, step, price == bar_open, price != bar_open)
    else:
        price = stop_price(core, trigger_side(order), order["stop"], bar_open, high, low, close)
        if not math.isnan(price):
            if not uses_gaps and not _is_passed(order, step, trigger_side(order), order["stop"]):
                price = order["stop"]
            _report_trigger(state, place, price, step)
            if order["type"] == STOP_LIMIT:
                price = triggered_price(core, order, price, bar_open, high, low, close)
            elif order["type"] == LIMIT_IF_TOUCHED and side * (order["limit"] - price) < 0.0:
                price = math.nan  # the limit does not allow the price of the touch: it rests from the next bar on
            if not math.isnan(price):
                execute(tape, state, place, price, step, price == bar_open, False)
            if not order["is_done"] and not (order["type"] == STOP_LIMIT and core["stop_limit"] == ON_PATH):
                order["active_step"] = step + 1
    _end_immediate(state, place, step)


@kernel
def _is_passed(order: Any, step: int, side: int, level: float) -> bool:
    """Tell whether the price had passed the level already when the order came to life in this bar: nobody trades there now.

    side : +1 where a rising price reaches the level
    """
    return bool(order["from_step"] == step and side * (order["from_price"] - level) >= 0.0)


@kernel
def _fills_at_open(core: Any, order: Any) -> bool:
    """Tell whether an order at any price fills at the bar's open, not at its close."""
    if order["type"] == MARKET_ON_OPEN or order["type"] == MARKET_ON_CLOSE:
        return bool(order["type"] == MARKET_ON_OPEN)
    return bool(core["market_fill"] == NEXT_OPEN)


@kernel
def _is_lucky(core: Any, order: Any, step: int) -> bool:
    """Tell whether a limit order fills that the bar touches and does not pass: the queue before it may take it all."""
    if core["limit_probability"] >= 1.0:
        return True
    return bool(throw(core["seed"], order["id"], step) < core["limit_probability"])


@kernel
def _report_trigger(state: State, place: int, price: float, step: int) -> None:
    order = state.book[place]
    order["is_triggered"] = 1
    effect = state.effects[new_effect(state, TRIGGERED, step)]
    effect["order"] = order["id"]
    effect["price"] = price


@kernel
def _end_immediate(state: State, place: int, step: int) -> None:
    """Immediate-or-cancel and fill-or-kill orders live for the first bar that they could fill in."""
    order = state.book[place]
    if order["is_done"]:
        return
    if order["time_in_force"] == IOC:
        end_order(state, order, CANCELLED, IMMEDIATE_OR_CANCEL, step)
    elif order["time_in_force"] == FOK:
        end_order(state, order, CANCELLED, FILL_OR_KILL, step)


@kernel
def match_path(tape: Tape, state: State, step: int) -> None:
    """Fill in the order in which the price path reaches the orders; ties in the order of submission."""
    core = state.core[0]
    reached = 0.0
    while True:
        best, best_at = -1, NOWHERE
        for place in range(core["orders"]):
            order = state.book[place]
            if is_live(tape, state, order, step):
                row = row_at(tape, state, order["symbol"], step)
                at = _reached_at(core, order, tape.open[row], tape.high[row], tape.low[row], tape.close[row], reached)
                if at < best_at:
                    best, best_at = place, at
        if best < 0:
            return
        reached = best_at
        was_triggered = state.book[best]["is_triggered"]
        match_order(tape, state, best, step, reached <= 0.0)
        if not state.book[best]["is_done"] and state.book[best]["is_triggered"] == was_triggered:
            state.book[best]["active_step"] = step + 1


@kernel
def _reached_at(core: Any, order: Any, bar_open: float, high: float, low: float, close: float, reached: float) -> float:
    """Return where on the path the order fills or is triggered, at or after ``reached``."""
    if is_market_like(order):
        return reached if _fills_at_open(core, order) else PATH_END
    is_high_first = True
    if core["same_bar"] == ADAPTIVE_PATH:
        is_high_first = high - bar_open < bar_open - low
    first, second = (high, low) if is_high_first else (low, high)
    if is_resting_limit(order):
        return place_on_path(-order["side"], order["limit"], bar_open, first, second, close, reached)
    return place_on_path(trigger_side(order), order["stop"], bar_open, first, second, close, reached)
