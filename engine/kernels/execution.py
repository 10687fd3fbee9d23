"""This module executes one order at one price: how much of it, whether the account can carry it, what follows from it."""

import math
from typing import Any

from engine.kernels.accounting import book_fill, new_effect
from engine.kernels.buying_power import affordable_quantity, sized
from engine.kernels.codes import (
    BY_UNITS,
    CANCELLED,
    END_CASH,
    END_MARGIN,
    ENTRY_BY_ENTRY,
    ENTRY_WAIT,
    FILL_OR_KILL,
    FILLED,
    FOK,
    IMMEDIATE_OR_CANCEL,
    INDEPENDENT,
    IOC,
    LEFT_GROUP,
    LIMIT,
    MODIFIED,
    NOTHING_TO_DO,
    ONE_CANCELS_OTHER,
    PARENT_ENDED,
    POSITION_CLOSED,
    SHORT_ALLOW,
    SHORT_PARTIAL,
    SLIP_QUOTES,
    SLIP_VOLUME_SHARE,
    STOP,
)
from engine.kernels.compiled import kernel
from engine.kernels.costs import commission, has_slippage, quoted, slipped
from engine.kernels.kinds import is_at_any_price, is_limit_like
from engine.kernels.lots import find_lot, take_lot
from engine.kernels.records import State, Tape
from engine.kernels.rounding import nearest_lot, round_price, whole_lots
from engine.kernels.tape import row_at
from engine.kernels.touch import stop_touched
from engine.kernels.trailing import is_trailing, trail_from
from engine.kernels.valuation import notional, rate_at


@kernel
def end_order(state: State, order: Any, kind: int, reason: int, step: int) -> None:
    """Take the order off the book, and what waits for it."""
    if order["is_done"]:
        return
    order["is_done"] = 1
    effect = state.effects[new_effect(state, kind, step)]
    effect["order"] = order["id"]
    effect["reason"] = reason
    effect["leaves"] = order["leaves"]
    if not order["has_filled"]:
        _end_children(state, order["id"], step)


@kernel
def _end_children(state: State, parent: int, step: int) -> None:
    for place in range(state.core[0]["orders"]):
        child = state.book[place]
        if child["parent"] == parent and not child["is_done"]:
            child["is_done"] = 1
            effect = state.effects[new_effect(state, CANCELLED, step)]
            effect["order"] = child["id"]
            effect["reason"] = PARENT_ENDED
            effect["leaves"] = child["leaves"]


@kernel
def available_volume(tape: Tape, state: State, index: int, step: int) -> float:
    """Return what the volume limit still lets fills take of this bar, in whole lots; infinite without a limit."""
    core = state.core[0]
    if math.isnan(core["volume_limit"]):
        return math.inf
    symbol = state.symbols[index]
    used = symbol["used_volume"] if symbol["used_step"] == step else 0.0
    left = core["volume_limit"] * tape.volume[row_at(tape, state, index, step)] - used
    if left <= 0.0:
        return 0.0
    if core["whole_units"]:
        left = math.floor(left + 1e-9)
    return whole_lots(left, symbol["lot"], symbol["lot_inverse"])


@kernel
def resize(tape: Tape, state: State, order: Any, price: float, step: int) -> float:
    """Size an order that was given as a value, a share of equity or a target: at the price and equity of its first fill.

    It is never more than the account can carry: a share of 1 leaves room for the commission. Returns what was asked for
    before that bound; 0 when a target was reached in the meantime.
    """
    if order["sizing"] == BY_UNITS or order["has_filled"]:
        return float(order["leaves"])
    signed = sized(tape, state, order["place"], order["side"], order["sizing"], order["quantity"], price)
    asked = max(signed * order["side"], 0.0)
    quantity = asked
    if quantity > 0.0 and state.core[0]["cash_short"] != SHORT_ALLOW:
        quantity = affordable_quantity(tape, state, order["place"], order["side"], quantity, price)
    if quantity != order["leaves"]:
        order["leaves"] = quantity
        if quantity > 0.0:
            report_modified(state, order, step)
    return float(asked)


@kernel
def report_modified(state: State, order: Any, step: int) -> None:
    """Report an order's values after a change."""
    effect = state.effects[new_effect(state, MODIFIED, step)]
    effect["order"] = order["id"]
    effect["quantity"] = order["leaves"]
    effect["limit"] = order["limit"]
    effect["stop"] = order["stop"]
    effect["trail"] = order["trail_amount"]


@kernel
def execute(tape: Tape, state: State, place: int, price: float, step: int, is_at_open: bool, is_maker: bool) -> None:
    """Fill the order as far as size, position, volume and account allow.

    place : the order's place on the book
    price : before slippage and rounding
    """
    core = state.core[0]
    order = state.book[place]
    index = order["symbol"]
    if core["is_hedging"]:
        find_lot(state, order)
    symbol = state.symbols[order["place"]]
    row = row_at(tape, state, index, step)
    volume = tape.volume[row]
    if core["slippage"] == SLIP_QUOTES and has_slippage(core, order):
        price = quoted(tape, state, order, price, row, is_at_open)
    available = available_volume(tape, state, index, step)
    guess = min(order["leaves"], available)
    asked = resize(tape, state, order, fill_price(core, symbol, order, price, guess, volume, step), step)
    open_quantity = order["leaves"]
    wanted = _permitted(core, symbol, order)
    if asked <= 0.0:
        end_order(state, order, CANCELLED, NOTHING_TO_DO, step)
        return
    if open_quantity <= 0.0:
        end_order(state, order, CANCELLED, END_CASH if core["is_cash_account"] else END_MARGIN, step)
        return
    if wanted <= 0.0:
        end_order(state, order, CANCELLED, POSITION_CLOSED, step)
        return
    quantity = min(wanted, available)
    if order["time_in_force"] == FOK and quantity < open_quantity:
        end_order(state, order, CANCELLED, FILL_OR_KILL, step)
        return
    if quantity <= 0.0:
        return
    final = fill_price(core, symbol, order, price, quantity, volume, step)
    if _is_past_limit(core, order, final):
        return
    carried = quantity
    if core["cash_short"] != SHORT_ALLOW:
        carried = affordable_quantity(tape, state, order["place"], order["side"], quantity, final)
    is_short_of_cash = carried < quantity
    if is_short_of_cash and order["sizing"] == BY_UNITS and core["cash_short"] != SHORT_PARTIAL:
        carried = 0.0
    if carried > 0.0:
        _fill(tape, state, place, carried, final, step, is_at_open, is_maker)
    if order["is_done"]:
        return
    if is_short_of_cash:
        end_order(state, order, CANCELLED, END_CASH if core["is_cash_account"] else END_MARGIN, step)
    elif wanted < open_quantity and carried == wanted:
        end_order(state, order, CANCELLED, POSITION_CLOSED, step)  # reduce-only, and nothing is left to reduce
    elif order["time_in_force"] == IOC:
        end_order(state, order, CANCELLED, IMMEDIATE_OR_CANCEL, step)


@kernel
def _permitted(core: Any, symbol: Any, order: Any) -> float:
    """Return how much of the order may fill: all that is open, or what there is to reduce."""
    is_long_only = not core["allow_short"] and order["side"] < 0
    if order["reduce_only"] or is_long_only:
        return float(min(order["leaves"], max(-order["side"] * symbol["quantity"], 0.0)))
    return float(order["leaves"])


@kernel
def fill_price(core: Any, symbol: Any, order: Any, price: float, quantity: float, volume: float, step: int) -> float:
    """Slip the price and round it to the tick, once. Without slippage rounding never takes a price beyond the limit."""
    moved = slipped(core, order, price, symbol["quantity"], quantity, volume, symbol["tick"], step)
    rounded = round_price(moved, symbol["tick"], symbol["tick_inverse"])
    if is_limit_like(order) and not has_slippage(core, order) and order["side"] * (rounded - order["limit"]) > 0.0:
        return round_price(price - order["side"] * symbol["tick"] / 2.0, symbol["tick"], symbol["tick_inverse"])
    return rounded


@kernel
def _is_past_limit(core: Any, order: Any, price: float) -> bool:
    """Volume-share slippage never takes a limit order past its limit: it waits instead."""
    if core["slippage"] != SLIP_VOLUME_SHARE or not is_limit_like(order):
        return False
    return bool(order["side"] * (price - order["limit"]) > 0.0)


@kernel
def _fill(
    tape: Tape, state: State, place: int, quantity: float, price: float, step: int, is_at_open: bool, is_maker: bool
) -> None:
    """Report the fill, book it, and let follow what hangs on the order."""
    core = state.core[0]
    order = state.book[place]
    index = order["symbol"]
    symbol = state.symbols[index]  # the instrument's: what its fills take of a bar's volume is counted there
    is_maker = is_maker and order["type"] == LIMIT
    rate = rate_at(tape, symbol, step)
    fee = commission(state, quantity, notional(symbol, quantity, price, rate), is_maker)
    order["leaves"] = nearest_lot(order["leaves"] - quantity, symbol["lot"], symbol["lot_inverse"])
    order["has_filled"] = 1
    order["is_done"] = order["leaves"] <= 0.0
    core["next_fill"] += 1
    if symbol["used_step"] != step:
        symbol["used_step"] = step
        symbol["used_volume"] = 0.0
    symbol["used_volume"] += quantity
    effect = state.effects[new_effect(state, FILLED, step)]
    effect["fill"] = core["next_fill"]
    effect["order"] = order["id"]
    effect["symbol"] = index
    effect["side"] = order["side"]
    effect["quantity"] = quantity
    effect["price"] = price
    effect["commission"] = fee
    effect["leaves"] = order["leaves"]
    effect["is_maker"] = is_maker
    effect["rate"] = rate
    if core["is_hedging"]:
        effect["position"] = take_lot(state, order)
    position = state.symbols[order["place"]]
    was = position["position_id"] if position["quantity"] != 0.0 else 0
    book_fill(tape, state, order["place"], order["side"], quantity, price, fee, step, is_at_open)
    is_closed = was != 0 and (position["quantity"] == 0.0 or position["position_id"] != was)
    _release_children(tape, state, place, quantity, price, step)
    _reduce_group(state, place, quantity, step)
    if is_closed:
        end_attached(state, index, place, was, step)


@kernel
def _release_children(tape: Tape, state: State, filled: int, quantity: float, price: float, step: int) -> None:
    """Attached orders come to life with what their parent, at the place ``filled``, has filled."""
    core = state.core[0]
    parent = state.book[filled]
    first_step = step + 1
    has_checked = False
    for place in range(core["orders"]):
        child = state.book[place]
        if child["parent"] != parent["id"] or child["is_done"]:
            continue
        if child["is_waiting"]:
            if not has_checked:
                has_checked = True
                first_step = step + 1 if _children_wait(tape, state, filled, step) else step
            child["is_waiting"] = 0
            child["leaves"] = 0.0
            child["active_step"] = first_step
            child["from_step"] = step
            child["from_price"] = price
            if is_trailing(child):
                trail_from(child, price)
            if child["reduce_only"]:
                child["place"] = parent["place"]
                child["position"] = parent["position"]
        # An entry that was given as a value or a share is sized again at its fill: its exits follow, up as well as down.
        brought = quantity if child["follows"] else min(quantity, child["quantity"] - child["released"])
        child["released"] += brought
        child["leaves"] += brought
        if parent["is_done"] and (child["leaves"] < child["quantity"] or child["released"] > child["quantity"]):
            report_modified(state, child, step)


@kernel
def _children_wait(tape: Tape, state: State, filled: int, step: int) -> bool:
    """Tell whether attached orders wait for the bar after their parent's fill (policy entry_bar).

    By entry: after a market entry they are live; after a limit entry they wait; after a stop entry they are live unless
    the bar touches an attached stop.
    """
    core = state.core[0]
    parent = state.book[filled]
    if core["entry_bar"] == ENTRY_WAIT:
        return True
    if core["entry_bar"] != ENTRY_BY_ENTRY or is_at_any_price(parent):
        return False
    if parent["type"] != STOP:
        return True
    row = row_at(tape, state, parent["symbol"], step)
    for place in range(core["orders"]):
        child = state.book[place]
        is_stop = child["parent"] == parent["id"] and child["type"] == STOP and not child["is_done"]
        if is_stop and stop_touched(core, child["side"], child["stop"], tape.low[row], tape.high[row], tape.close[row]):
            return True
    return False


@kernel
def _reduce_group(state: State, place: int, quantity: float, step: int) -> None:
    """One cancels other: what one order of a group fills, the others lose."""
    core = state.core[0]
    group = state.book[place]["group"]
    if group <= 0:
        return
    for other in range(core["orders"]):
        order = state.book[other]
        if other == place or order["group"] != group or order["is_done"]:
            continue
        if state.book[place]["is_done"] or order["leaves"] <= quantity:
            if core["same_bar"] == INDEPENDENT and order["active_step"] <= step:
                order["cancel_step"] = step  # each alone: it may still fill in this bar
                order["group"] = LEFT_GROUP
            else:
                end_order(state, order, CANCELLED, ONE_CANCELS_OTHER, step)
        else:
            symbol = state.symbols[order["symbol"]]
            order["leaves"] = nearest_lot(order["leaves"] - quantity, symbol["lot"], symbol["lot_inverse"])


@kernel
def end_attached(state: State, index: int, filled: int, position: int, step: int) -> None:
    """A closed position takes its attached orders (stop loss, take profit) with it; a lot takes what would close it."""
    for place in range(state.core[0]["orders"]):
        order = state.book[place]
        is_attached = order["parent"] != 0 and order["symbol"] == index and not order["is_waiting"]
        if state.core[0]["is_hedging"]:
            is_attached = order["reduce_only"] and order["position"] == position
        if is_attached and place != filled and not order["is_done"]:
            end_order(state, order, CANCELLED, POSITION_CLOSED, step)
