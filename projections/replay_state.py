"""This module defines what a replay returns, how it is said in JSON, and how a point of a run is named."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from projections.orders import OrderState
from schemas.errors import FieldError
from schemas.times import format_time, parse_time

Point = int | str | datetime | None

_ALLOWED = "a sequence (1 or more), an RFC 3339 time such as 2024-05-17T09:30:00Z, or a date"


class Mark(msgspec.Struct, frozen=True):
    """The newest recorded equity mark. Money in account currency; ``drawdown`` is a fraction, <= 0."""

    time_ns: int
    equity: float
    cash: float
    exposure: float
    drawdown: float


class WorkingOrder(msgspec.Struct, frozen=True):
    """An order that may still fill."""

    order_id: int
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    status: str
    quantity: float | None
    filled_quantity: float
    leaves_quantity: float | None
    limit_price: float | None
    stop_price: float | None
    trail_amount: float | None
    trail_percent: float | None
    trigger_price: float | None
    submitted_ns: int
    expires_ns: int | None
    oco_group: str | None
    parent_order_id: int | None
    tag: str | None


class OpenPosition(msgspec.Struct, frozen=True):
    """An open position. ``quantity`` is negative for short; values are None where no event names a price."""

    position_id: int
    symbol: str
    quantity: float
    average_price: float
    realized_pnl: float  # since it was opened, commissions inside
    commission: float
    opened_ns: int
    last_price: float | None  # the last one that the log names for the symbol
    last_price_ns: int | None
    value: float | None  # what it adds to equity at the last price: on margin, its unrealised PnL
    unrealized_pnl: float | None  # at the last price; None also where it depends on conversion rates of before


class Replayed(msgspec.Struct, frozen=True):
    """What was so at one point of a run. Money in account currency.

    equity : cash where nothing is held; the newest mark's where nothing has changed since; else at the last known prices; None
        where a position's price is unknown
    equity_ns : the market time that it is of
    """

    backtest_id: str
    status: str
    sequence: int  # of the last event that is in
    commit: int  # number of the commit that holds it
    time_ns: int  # market time of that event; of a time that was asked for: that time
    chain_head: str  # SHA-256 of the last commit that is in as a whole; before the first one: of the recorded spec
    currency: str
    initial_cash: float
    cash: float
    equity: float | None
    equity_ns: int
    realized_pnl: float  # of closed positions and of open ones so far, commissions inside
    commission: float
    funding: float  # added to cash
    dividends: float  # added to cash
    borrow: float  # taken from cash
    orders: int
    fills: int
    trades: int
    working_orders: tuple[WorkingOrder, ...]
    positions: tuple[OpenPosition, ...]
    mark: Mark | None


def working_order(state: OrderState) -> WorkingOrder:
    return WorkingOrder(
        order_id=state.order_id,
        symbol=state.symbol,
        side=str(state.side),
        order_type=str(state.order_type),
        time_in_force=str(state.time_in_force),
        status=state.status,
        quantity=state.quantity,
        filled_quantity=state.filled_quantity,
        leaves_quantity=state.leaves_quantity,
        limit_price=state.limit_price,
        stop_price=state.stop_price,
        trail_amount=state.trail_amount,
        trail_percent=state.trail_percent,
        trigger_price=state.trigger_price,
        submitted_ns=state.submitted_at,
        expires_ns=state.expires_at,
        oco_group=state.oco_group,
        parent_order_id=state.parent_order_id,
        tag=state.tag,
    )


def document(state: Replayed) -> dict[str, Any]:
    """Return the state as JSON has it, times as RFC 3339 text: ``time_ns`` is ``time``, ``opened_ns`` is ``opened_at``."""
    found: dict[str, Any] = _plain(msgspec.to_builtins(state))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(_field(name, each) for name, each in value.items())
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _field(name: str, value: Any) -> tuple[str, Any]:
    if not name.endswith("_ns"):
        return name, _plain(value)
    plain = name.removesuffix("_ns")
    return (plain if plain == "time" else f"{plain}_at"), format_time(value) if value else None


def point_of(to: Point) -> tuple[int | None, int | None]:
    """Return the sequence, or nanoseconds since 1970 UTC, that names a point of a run; two Nones: its end. Raises FieldError."""
    match to:
        case None:
            return None, None
        case bool():
            raise FieldError.of("to", to, _ALLOWED)
        case int():
            if to < 1:
                raise FieldError.of("to", to, _ALLOWED)
            return to, None
        case datetime():
            if to.tzinfo is None:
                raise FieldError.of("to", str(to), "a time with its zone")
            return None, parse_time(to.astimezone(UTC).isoformat())
        case str():
            if to.isascii() and to.isdecimal():
                return point_of(int(to))
            try:
                return None, parse_time(to)
            except ValueError as error:
                raise FieldError.of("to", to, _ALLOWED) from error
