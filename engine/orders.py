"""This module holds what a strategy gets back from an order call: a handle that follows the order, and position views."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from schemas.events import OrderEnd, OrderType, RejectReason, Side, TimeInForce

if TYPE_CHECKING:
    from engine.broker import Broker


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    SENT = "sent"  # asked for in this callback; answered when the callback returns
    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


_SENT, _WORKING = OrderStatus.SENT, OrderStatus.WORKING  # to look an enum's member up takes longer than all else here


class Order:
    """A handle on one order. Its values are those of the latest event about it."""

    __slots__ = (
        "_broker",
        "_is_plain",
        "average_price",
        "expires_ns",
        "filled",
        "group",
        "id",
        "leaves",
        "limit",
        "limit_offset",
        "parent_id",
        "position_id",
        "post_only",
        "quantity",
        "reason",
        "reduce_only",
        "side",
        "status",
        "stop",
        "symbol",
        "tag",
        "time_in_force",
        "trail_amount",
        "trail_percent",
        "type",
    )  # fmt: skip

    def __init__(
        self,
        broker: "Broker | None",
        order_id: int,
        symbol: str,
        side: Side,
        order_type: OrderType,
        *,
        limit: float | None = None,
        stop: float | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        expires_ns: int | None = None,
        reduce_only: bool = False,
        group: str | None = None,
        parent_id: int | None = None,
        tag: str | None = None,
    ) -> None:
        self._broker = broker
        self._is_plain = False  # a market order of so many units, sent with nothing else
        self.id = order_id
        self.symbol = symbol
        self.side = side
        self.type = order_type
        self.quantity: float | None = None  # whole lots, once the order was taken
        self.leaves = 0.0
        self.limit = limit
        self.stop = stop  # of an order that waits for a touch: the price of the touch
        self.trail_amount: float | None = None
        self.trail_percent: float | None = None
        self.limit_offset: float | None = None
        self.time_in_force = time_in_force
        self.expires_ns = expires_ns
        self.reduce_only = reduce_only
        self.post_only = False
        self.group = group
        self.parent_id = parent_id
        self.position_id: int | None = None  # hedging: the lot that it closes
        self.tag = tag
        self.status = _SENT
        self.reason: RejectReason | OrderEnd | None = None
        self.average_price: float | None = None
        self.filled = 0.0

    @property
    def is_open(self) -> bool:
        """Tell whether the order may still fill."""
        return self.status is _SENT or self.status is _WORKING

    def cancel(self) -> None:
        """Ask to cancel what is open of the order. Nothing happens if it has ended meanwhile."""
        assert self._broker is not None, "an order of the engine can't be cancelled"
        self._broker.cancel(self)

    def modify(self, *, quantity: float | None = None, limit: float | None = None, stop: float | None = None) -> None:
        """Ask to change the order's open quantity or its prices; what is None stays."""
        assert self._broker is not None, "an order of the engine can't be modified"
        self._broker.modify(self, quantity=quantity, limit=limit, stop=stop)

    def __repr__(self) -> str:
        return f"Order({self.id}, {self.side} {self.quantity} {self.symbol} {self.type}, {self.status})"


@dataclass(slots=True)
class Position:
    """What is held of one symbol now. With hedging: a lot, or the net of all lots of a symbol, which has no id."""

    symbol: str
    quantity: float = 0.0  # negative: short
    average_price: float = 0.0
    realized_pnl: float = 0.0  # of the open position, commissions inside
    commission: float = 0.0
    id: int | None = None

    @property
    def is_open(self) -> bool:
        return self.quantity != 0.0

    @property
    def is_long(self) -> bool:
        return self.quantity > 0.0

    @property
    def is_short(self) -> bool:
        return self.quantity < 0.0

    def copy_to(self, other: "Position") -> None:
        """Make another symbol's position like this one."""
        other.quantity, other.average_price = self.quantity, self.average_price
        other.realized_pnl, other.commission, other.id = self.realized_pnl, self.commission, self.id

    def __bool__(self) -> bool:
        return self.quantity != 0.0


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution, as ``on_fill`` gets it."""

    order: Order
    symbol: str
    side: Side
    quantity: float
    price: float
    commission: float
    conversion: float = 1.0  # account currency per unit of the currency that price is in
    position_id: int | None = None  # hedging: the lot that it opened or reduced
