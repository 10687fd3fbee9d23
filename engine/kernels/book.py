"""This module applies what the strategy asked for at a bar's close: submit, cancel, modify. Each answer is an effect."""

import math
from typing import Any

from engine.kernels.accounting import equity_now, new_effect
from engine.kernels.buying_power import sized
from engine.kernels.codes import (
    BY_STRATEGY,
    BY_UNITS,
    CANCEL,
    CANCELLED,
    EXPIRED,
    GTD,
    INVALID_PRICE,
    INVALID_QUANTITY,
    INVALID_TIME,
    LEFT_GROUP,
    LIMIT,
    MARKET,
    MARKET_CLOSED,
    ONE_CANCELS_OTHER,
    REJECT_CASH,
    REJECT_MARGIN,
    REJECT_POST_ONLY,
    REJECT_REDUCE_ONLY,
    REJECTED,
    SHORT_NOT_ALLOWED,
    SHORT_REFUSE,
    SUBMIT,
    SUBMITTED,
    UNKNOWN_ORDER,
    UNKNOWN_POSITION,
)
from engine.kernels.compiled import kernel
from engine.kernels.costs import commission
from engine.kernels.execution import end_order, report_modified
from engine.kernels.kinds import is_at_any_price, is_limit_like
from engine.kernels.lots import lot_place
from engine.kernels.placed import prefetch
from engine.kernels.records import State, Tape
from engine.kernels.rounding import whole_lots
from engine.kernels.tape import arrival_step, price_at, row_at
from engine.kernels.trailing import is_trailing, trail_from
from engine.kernels.valuation import notional, rate_now

NO_REASON = -1


@kernel
def apply_actions(tape: Tape, state: State, actions: int, step: int) -> None:
    """Apply the first ``actions`` records of the inbox, in their order, at the close of the step (-1: before the first)."""
    core = state.core[0]
    core["price_step"] = step
    for place in range(actions):
        action = state.inbox[place]
        if action["action"] == SUBMIT:
            _submit(tape, state, place, step)
        elif action["action"] == CANCEL:
            _ask_cancel(tape, state, action["id"], step)
        else:
            _ask_modify(tape, state, place, step)
    compact(state)


@kernel
def compact(state: State) -> None:
    """Drop orders that are done, keeping the order of submission."""
    core = state.core[0]
    kept = 0
    for place in range(core["orders"]):
        if not state.book[place]["is_done"]:
            if kept != place:
                state.book[kept] = state.book[place]
            kept += 1
    core["orders"] = kept


@kernel
def find_order(state: State, order_id: int) -> int:
    """Return the place of a working order on the book, -1 if there is none of this id."""
    for place in range(state.core[0]["orders"]):
        if state.book[place]["id"] == order_id and not state.book[place]["is_done"]:
            return place
    return -1


@kernel
def _submit(tape: Tape, state: State, inbox_place: int, step: int) -> None:
    """Put an order on the book, or report why not."""
    core = state.core[0]
    place = core["orders"]
    state.book[place] = state.inbox[inbox_place]
    order = state.book[place]
    row = row_at(tape, state, order["symbol"], step)
    prefetch(tape.open, row + 1)  # where it is likely to fill
    prefetch(tape.volume, row + 1)
    order["place"] = order["symbol"]
    if order["position"] != 0:
        order["place"] = max(lot_place(state, order["position"]), order["symbol"])
    core["next_order"] = max(core["next_order"], order["id"] + 1)
    amount = order["quantity"]
    reason = NO_REASON
    if is_trailing(order) and not order["is_waiting"]:
        last = price_at(tape, state, order["symbol"], step)
        if last > 0.0 and _has_good_trail(order):
            trail_from(order, last)
    price = _expected_price(tape, state, order, step)
    if order["is_waiting"] and order["sizing"] != BY_UNITS:
        parent = find_order(state, order["parent"])  # an exit is as large as its entry
        order["sizing"] = BY_UNITS
        order["follows"] = 1
        order["leaves"] = state.book[parent]["leaves"] if parent >= 0 else 0.0
    elif order["sizing"] == BY_UNITS:
        symbol = state.symbols[order["symbol"]]
        if math.isfinite(amount) and amount > 0.0:
            order["leaves"] = whole_lots(amount, symbol["lot"], symbol["lot_inverse"])
    elif math.isfinite(amount):
        if price <= 0.0:
            reason = INVALID_PRICE  # no bar yet: a value can't be turned into a quantity
        else:
            signed = sized(tape, state, order["place"], order["side"], order["sizing"], amount, price)
            order["leaves"] = max(signed * order["side"], 0.0)
    effect = state.effects[new_effect(state, SUBMITTED, step)]
    effect["order"] = order["id"]
    effect["symbol"] = order["symbol"]
    effect["side"] = order["side"]
    effect["type"] = order["type"]
    effect["quantity"] = order["leaves"] if math.isfinite(amount) else math.nan
    effect["limit"] = order["limit"]
    effect["stop"] = order["stop"]
    effect["parent"] = order["parent"]
    effect["reduce_only"] = order["reduce_only"]
    if reason == NO_REASON:
        reason = _refusal(tape, state, order, price, step)
    order["sent_step"] = step
    order["active_step"] = step + 1 + core["latency"]
    if core["latency_ns"] > 0:
        sent_after = core["timeframe_ns"] if step >= 0 else 0  # at the bar's close; before the first bar at its start
        order["active_step"] = arrival_step(tape, step, sent_after + core["latency_ns"])
    elif core["market_fill"] == 1 and order["type"] == MARKET:
        order["active_step"] = step + core["latency"]
    elif len(tape.ends) > 0 and step >= 0:  # it is sent when this step's bars end: bars that began before are no place for it
        order["active_step"] = arrival_step(tape, step, tape.ends[step] - tape.time_ns[step]) + core["latency"]
    if reason == NO_REASON:
        if order["sizing"] == BY_UNITS:
            order["quantity"] = order["leaves"]
        core["orders"] = place + 1
        return
    effect = state.effects[new_effect(state, REJECTED, step)]
    effect["order"] = order["id"]
    effect["reason"] = reason


@kernel
def _expected_price(tape: Tape, state: State, order: Any, step: int) -> float:
    """Return the price that the order's size and cover are judged by when it is sent: its limit, its stop, the last close."""
    if is_limit_like(order):
        return float(order["limit"]) if math.isfinite(order["limit"]) else 0.0
    if math.isfinite(order["stop"]):
        return float(order["stop"])
    return price_at(tape, state, order["symbol"], step)


@kernel
def _refusal(tape: Tape, state: State, order: Any, price: float, step: int) -> int:
    """Return the reason to refuse the order, NO_REASON to take it."""
    core = state.core[0]
    if state.symbols[order["symbol"]]["is_closed"]:
        return MARKET_CLOSED
    if not order["leaves"] > 0.0:
        return INVALID_QUANTITY
    if _has_bad_price(order):
        return INVALID_PRICE
    if order["time_in_force"] == GTD and (step >= 0 and order["expires_ns"] <= tape.time_ns[step]):
        return INVALID_TIME
    if order["parent"] != 0 and find_order(state, order["parent"]) < 0:
        return UNKNOWN_ORDER
    if order["post_only"] and order["side"] * (order["limit"] - price_at(tape, state, order["symbol"], step)) >= 0.0:
        return REJECT_POST_ONLY
    if order["position"] != 0 and order["place"] == order["symbol"]:
        return UNKNOWN_POSITION
    if order["is_waiting"]:
        return NO_REASON
    if order["reduce_only"]:
        return NO_REASON if _can_reduce(state, order) else REJECT_REDUCE_ONLY
    if order["side"] < 0 and not core["allow_short"] and _held_or_bought(state, order) <= 0.0:
        return SHORT_NOT_ALLOWED
    if core["cash_short"] == SHORT_REFUSE and order["sizing"] == BY_UNITS and price > 0.0:
        return _cover_refusal(tape, state, order, price)
    return NO_REASON


@kernel
def _has_bad_price(order: Any) -> bool:
    """Tell whether a price that the order's type needs is missing, infinite or not above 0."""
    needs_limit = is_limit_like(order)
    needs_stop = not is_at_any_price(order) and order["type"] != LIMIT
    if is_trailing(order):
        if not _has_good_trail(order):
            return True
        if needs_limit and not (math.isfinite(order["limit_offset"]) and order["limit_offset"] >= 0.0):
            return True
        needs_stop = not order["is_waiting"]
        needs_limit = needs_limit and needs_stop
    if needs_limit and not (math.isfinite(order["limit"]) and order["limit"] > 0.0):
        return True
    return bool(needs_stop and not (math.isfinite(order["stop"]) and order["stop"] > 0.0))


@kernel
def _has_good_trail(order: Any) -> bool:
    """Tell whether the distance of a trailing stop makes sense: above 0, and less than all of the price."""
    if not math.isnan(order["trail_percent"]):
        return bool(0.0 < order["trail_percent"] < 100.0)
    return bool(math.isfinite(order["trail_amount"]) and order["trail_amount"] > 0.0)


@kernel
def _can_reduce(state: State, order: Any) -> bool:
    """Tell whether a reduce-only order has something to reduce: its position, or one that a working order may open first."""
    if state.symbols[order["place"]]["quantity"] * order["side"] < 0.0:
        return True
    if state.core[0]["is_hedging"]:
        return False
    for place in range(state.core[0]["orders"]):
        other = state.book[place]
        if other["symbol"] == order["symbol"] and other["side"] != order["side"] and not other["is_done"]:
            return True
    return False


@kernel
def _held_or_bought(state: State, order: Any) -> float:
    """Return what is there to sell: the position, and what working buy orders may add to it; with hedging the lot."""
    quantity = state.symbols[order["place"]]["quantity"]
    if state.core[0]["is_hedging"]:
        return float(quantity)
    for place in range(state.core[0]["orders"]):
        other = state.book[place]
        if other["symbol"] == order["symbol"] and other["side"] > 0:
            quantity += other["leaves"]
    return float(quantity)


@kernel
def _cover_refusal(tape: Tape, state: State, order: Any, price: float) -> int:
    """Refuse an order that the whole account could not carry, were everything else sold for it."""
    core = state.core[0]
    symbol = state.symbols[order["place"]]
    after = abs(symbol["quantity"] + order["side"] * order["leaves"])
    if after <= abs(symbol["quantity"]):
        return NO_REASON
    rate = rate_now(tape, state, order["place"])
    fee = commission(state, order["leaves"], notional(symbol, order["leaves"], price, rate), False)
    bound = (equity_now(tape, state) - fee) * (1.0 + 1e-12)
    exposure = notional(symbol, after, price, rate) * symbol["margin_weight"]
    if core["is_cash_account"]:
        return REJECT_CASH if exposure > bound else NO_REASON
    return REJECT_MARGIN if exposure > core["leverage"] * bound else NO_REASON


@kernel
def _ask_cancel(tape: Tape, state: State, order_id: int, step: int) -> None:
    """Cancel an order, or let the cancel be on its way when there is latency. An order that is gone stays as it is."""
    place = find_order(state, order_id)
    if place < 0:
        return
    arrival = _request_step(tape, state, step)
    if arrival > step:
        state.book[place]["cancel_step"] = arrival
    else:
        end_order(state, state.book[place], CANCELLED, BY_STRATEGY, step)


@kernel
def _ask_modify(tape: Tape, state: State, inbox_place: int, step: int) -> None:
    """Change an order's open quantity or prices, or let the change be on its way when there is latency."""
    action = state.inbox[inbox_place]
    place = find_order(state, action["id"])
    if place < 0:
        return
    order = state.book[place]
    order["new_quantity"] = action["quantity"]
    order["new_limit"] = action["limit"]
    order["new_stop"] = action["stop"]
    arrival = _request_step(tape, state, step)
    if arrival > step:
        order["modify_step"] = arrival
    else:
        _modify(state, place, step)


@kernel
def _request_step(tape: Tape, state: State, step: int) -> int:
    """Return the step at whose close a cancel or a change arrives that is sent at the close of this one."""
    core = state.core[0]
    if core["latency_ns"] > 0:
        return arrival_step(tape, step, core["latency_ns"])
    return int(step + core["latency"])


@kernel
def _modify(state: State, place: int, step: int) -> None:
    """Apply a change; values of NaN stay. A change to a price or quantity that no order may have is left out."""
    order = state.book[place]
    symbol = state.symbols[order["symbol"]]
    order["modify_step"] = -1
    if order["new_quantity"] > 0.0 and math.isfinite(order["new_quantity"]):
        quantity = whole_lots(order["new_quantity"], symbol["lot"], symbol["lot_inverse"])
        if quantity > 0.0:
            order["leaves"] = quantity
            order["sizing"] = BY_UNITS
    if order["new_limit"] > 0.0 and math.isfinite(order["new_limit"]) and not math.isnan(order["limit"]):
        order["limit"] = order["new_limit"]
    if order["new_stop"] > 0.0 and math.isfinite(order["new_stop"]) and not math.isnan(order["stop"]):
        order["stop"] = order["new_stop"]
    report_modified(state, order, step)


@kernel
def settle_requests(state: State, step: int) -> None:
    """Apply cancels and modifications whose latency ends with this step."""
    for place in range(state.core[0]["orders"]):
        order = state.book[place]
        if order["is_done"]:
            continue
        if order["modify_step"] == step:
            _modify(state, place, step)
        if order["cancel_step"] == step:
            end_order(state, order, CANCELLED, ONE_CANCELS_OTHER if order["group"] == LEFT_GROUP else BY_STRATEGY, step)


@kernel
def expire_order(state: State, place: int, step: int) -> None:
    """The order's time in force is over."""
    end_order(state, state.book[place], EXPIRED, 0, step)
