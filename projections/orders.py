"""This module folds order events into the rows of ``orders`` and ``fills``."""

from typing import Any, cast

import msgspec

from schemas.events import (
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
)


class OrderState(msgspec.Struct, gc=False):
    """One row of ``orders``; fields are named as its columns. ``submitted`` is what no later event changes."""

    backtest_id: str
    order_id: int
    quantity: float | None
    leaves_quantity: float | None
    last_sequence: int
    submitted: OrderSubmitted | None = None  # None where the row exists already
    status: str = "working"
    is_open: bool = True
    limit_price: float | None = None
    stop_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    filled_quantity: float = 0.0
    average_fill_price: float | None = None
    commission: float = 0.0
    fills: int = 0
    triggered_at: int | None = None
    trigger_price: float | None = None
    ended_at: int | None = None
    reason: str | None = None
    detail: str | None = None
    is_new: bool = False
    is_touched: bool = False


def columns(states: list[OrderState]) -> list[list[Any]]:
    """Return the columns of ``orders`` for orders that have no row yet."""
    events = cast(list[OrderSubmitted], [state.submitted for state in states])  # a new row knows its order
    return [
        [state.backtest_id for state in states],
        [state.order_id for state in states],
        [event.sequence for event in events],
        [event.time_ns for event in events],
        [event.symbol for event in events],
        [event.side for event in events],
        [event.order_type for event in events],
        [event.time_in_force for event in events],
        [event.expires_ns for event in events],
        [event.post_only for event in events],
        [event.reduce_only for event in events],
        [event.oco_group for event in events],
        [event.parent_order_id for event in events],
        [event.tag for event in events],
        *_changing_columns(states),
    ]


def changed_columns(states: list[OrderState]) -> list[list[Any]]:
    """Return the key and the columns that change, for orders that have a row."""
    return [[state.backtest_id for state in states], [state.order_id for state in states], *_changing_columns(states)]


def _changing_columns(states: list[OrderState]) -> list[list[Any]]:
    return [
        [state.status for state in states],
        [state.is_open for state in states],
        [state.quantity for state in states],
        [state.limit_price for state in states],
        [state.stop_price for state in states],
        [state.trail_amount for state in states],
        [state.trail_percent for state in states],
        [state.filled_quantity for state in states],
        [state.leaves_quantity for state in states],
        [state.average_fill_price for state in states],
        [state.commission for state in states],
        [state.fills for state in states],
        [state.triggered_at for state in states],
        [state.trigger_price for state in states],
        [state.ended_at for state in states],
        [state.reason for state in states],
        [state.detail for state in states],
        [state.last_sequence for state in states],
    ]


def submitted(backtest_id: str, event: OrderSubmitted) -> OrderState:
    # By position, not by name: twice as fast, and a third of all events are orders.
    return OrderState(
        backtest_id, event.order_id, event.quantity, event.quantity, event.sequence, event, "working", True,
        event.limit_price, event.stop_price, event.trail_amount, event.trail_percent, is_new=True,
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


def fill_columns(fills: list[tuple[str, OrderFilled]]) -> list[list[Any]]:
    """Return the columns of ``fills``."""
    events = [event for _, event in fills]
    return [
        [backtest_id for backtest_id, _ in fills],
        [event.fill_id for event in events],
        [event.sequence for event in events],
        [event.time_ns for event in events],
        [event.order_id for event in events],
        [event.symbol for event in events],
        [event.side for event in events],
        [event.quantity for event in events],
        [event.price for event in events],
        [event.commission for event in events],
        [event.leaves_quantity for event in events],
        [event.is_maker for event in events],
    ]


def _end(state: OrderState, event: OrderRejected | OrderCancelled | OrderExpired | OrderFilled, status: str) -> None:
    state.status = status
    state.is_open = False
    state.leaves_quantity = 0.0
    state.ended_at = event.time_ns
    state.last_sequence = event.sequence
