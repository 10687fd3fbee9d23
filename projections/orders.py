"""This module folds order events into the rows of ``orders`` and ``fills``."""

import msgspec

from projections.forms import Row
from schemas.events import (
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    SymbolChanged,
)


class OrderState(msgspec.Struct, gc=False, array_like=True):
    """One row of ``orders``: the table's columns, in its order, so that the struct itself is the row; then two flags.

    What no later event changes is left empty where the row exists already.
    """

    backtest_id: str
    order_id: int
    sequence: int = 0
    submitted_at: int = 0
    side: str = ""
    order_type: str = ""
    time_in_force: str = ""
    expires_at: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    oco_group: str | None = None
    parent_order_id: int | None = None
    tag: str | None = None
    position_id: int | None = None
    symbol: str = ""
    status: str = "working"
    is_open: bool = True
    quantity: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    filled_quantity: float = 0.0
    leaves_quantity: float | None = None
    average_fill_price: float | None = None
    commission: float = 0.0
    fills: int = 0
    triggered_at: int | None = None
    trigger_price: float | None = None
    ended_at: int | None = None
    reason: str | None = None
    detail: str | None = None
    last_sequence: int = 0
    is_new: bool = False
    is_touched: bool = False


def submitted(backtest_id: str, event: OrderSubmitted) -> OrderState:
    # By position, not by name: twice as fast, and a third of all events are orders.
    return OrderState(
        backtest_id, event.order_id, event.sequence, event.time_ns, event.side, event.order_type,
        event.time_in_force, event.expires_ns, event.post_only, event.reduce_only, event.oco_group, event.parent_order_id,
        event.tag, event.position_id, event.symbol, "working", True, event.quantity, event.limit_price, event.stop_price,
        event.trail_amount, event.trail_percent, 0.0, event.quantity, last_sequence=event.sequence, is_new=True,
    )  # fmt: skip


def rejected(state: OrderState, event: OrderRejected) -> None:
    _end(state, event, "rejected")
    state.reason = event.reason.value
    state.detail = event.detail


def modified(state: OrderState, event: OrderModified) -> None:
    state.quantity = event.quantity
    state.leaves_quantity = event.quantity - state.filled_quantity
    state.limit_price = event.limit_price
    state.stop_price = event.stop_price
    state.trail_amount = event.trail_amount
    state.trail_percent = event.trail_percent
    state.last_sequence = event.sequence


def triggered(state: OrderState, event: OrderTriggered) -> None:
    state.status = "triggered"
    state.triggered_at = event.time_ns
    state.trigger_price = event.price
    state.last_sequence = event.sequence


def renamed(state: OrderState, event: SymbolChanged) -> None:
    state.symbol = event.new_symbol
    state.last_sequence = event.sequence


def cancelled(state: OrderState, event: OrderCancelled) -> None:
    _end(state, event, "cancelled")
    state.reason = event.reason.value


def expired(state: OrderState, event: OrderExpired) -> None:
    _end(state, event, "expired")


def filled(state: OrderState, event: OrderFilled) -> None:
    """Add a fill. The mean price is kept by steps, so that it goes on from a row that was read back."""
    if state.average_fill_price is None:
        state.average_fill_price = event.price
    else:
        value = state.average_fill_price * state.filled_quantity + event.price * event.quantity
        state.average_fill_price = value / (state.filled_quantity + event.quantity)
    state.filled_quantity += event.quantity
    state.commission += event.commission
    state.fills += 1
    if event.leaves_quantity > 0:
        state.status = "partially_filled"
        state.leaves_quantity = event.leaves_quantity
        state.last_sequence = event.sequence
    else:
        _end(state, event, "filled")


def fill_row(backtest_id: str, event: OrderFilled) -> Row:
    """Return the row of ``fills``."""
    return (
        backtest_id, event.fill_id, event.sequence, event.time_ns, event.order_id, event.symbol, event.side, event.quantity,
        event.price, event.commission, event.leaves_quantity, event.is_maker, event.conversion, event.position_id,
    )  # fmt: skip


def _end(state: OrderState, event: OrderRejected | OrderCancelled | OrderExpired | OrderFilled, status: str) -> None:
    state.status = status
    state.is_open = False
    state.leaves_quantity = 0.0
    state.ended_at = event.time_ns
    state.last_sequence = event.sequence
