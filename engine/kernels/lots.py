"""This module keeps the lots of a hedging account: every order that names no position opens one of its own.

A lot is a position record behind the instruments' (records.SYMBOL). An order's ``place`` is the record that it fills and
``position`` the lot's id; until an order has opened its lot, its place is the instrument's record, whose position is empty.
"""

from typing import Any

from engine.kernels.compiled import kernel
from engine.kernels.records import State


@kernel
def lot_place(state: State, position: int) -> int:
    """Return the place of an open lot by its id, -1 if there is none."""
    core = state.core[0]
    for place in range(core["instruments"], core["symbols"]):
        if state.symbols[place]["position_id"] == position and state.symbols[place]["quantity"] != 0.0:
            return place
    return -1


@kernel
def find_lot(state: State, order: Any) -> None:
    """Point the order at its lot; at the instrument's empty record when it has none, or when that is closed by now."""
    order["place"] = order["symbol"]
    if order["position"] != 0:
        place = lot_place(state, order["position"])
        if place >= 0:
            order["place"] = place
        elif not order["reduce_only"]:
            order["position"] = 0  # it opened a lot that was closed before all of it was filled: the rest opens another


@kernel
def take_lot(state: State, order: Any) -> int:
    """Give an order that opens a lot a free record for it. Return the id that its lot has, or will have once it is booked."""
    core = state.core[0]
    if order["place"] != order["symbol"]:
        return int(order["position"])
    place = core["instruments"]
    while place < core["symbols"] and state.symbols[place]["quantity"] != 0.0:
        place += 1
    if place == core["symbols"]:
        core["symbols"] += 1
    state.symbols[place] = state.symbols[order["symbol"]]
    order["place"] = place
    order["position"] = core["next_position"] + 1
    return int(order["position"])
