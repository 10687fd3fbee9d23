"""This module makes events of the kernels' effects: one function for each kind, from the effect's values alone.

What an order was sent with (its tag, its group's name …) is known to who keeps its handle: ``engine.reporting``. Orders of an
array-driven run have no handles; all that they can have is in the effect: ``submitted``.
"""

import math
from typing import Any

from engine.kernels.records import EFFECT, packing
from schemas.events import (
    BorrowPaid,
    DividendPaid,
    FundingPaid,
    InstrumentDelisted,
    MarginCalled,
    OrderCancelled,
    OrderEnd,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderType,
    PositionChanged,
    PositionClosed,
    PositionOpened,
    RejectReason,
    Side,
    SplitApplied,
    SymbolChanged,
)

Row = tuple[Any, ...]

ROW = packing(EFFECT)
_PLACES = {name: place for place, name in enumerate(EFFECT.names or ())}
(KIND, STEP, ORDER, SYMBOL, SIDE, TYPE, REASON, FILL, POSITION, QUANTITY, PRICE, COMMISSION, LEAVES, LIMIT, STOP, AVERAGE,
 CLOSE, REALIZED, GROSS, MAE, MFE, OPENED, BARS, MAKER, PARENT, REDUCE, RATE, TRAIL, CAUSE) = (
    _PLACES[name]
    for name in (
        "kind", "step", "order", "symbol", "side", "type", "reason", "fill", "position", "quantity", "price", "commission",
        "leaves", "limit", "stop", "average", "close", "realized", "gross", "mae", "mfe", "opened_step", "bars", "is_maker",
        "parent", "reduce_only", "rate", "trail", "cause",
    )
)  # fmt: skip
REJECT_REASONS = list(RejectReason)
ENDS = list(OrderEnd)
SHORT_SYMBOL = 24  # characters; with more of them an event weighs more
CLOSED_WEIGHT = 512  # bytes; see ``engine.recorder``
CAUSES = ("", "margin_call", "delisted", "symbol_changed")  # tags of the engine's own orders, by codes.BY_...
LONG_WEIGHT = 1_024  # of an order with texts of its own
_TYPES = list(OrderType)
BUY, SELL = Side.BUY, Side.SELL  # to look an enum's member up takes as long as a call


def finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity: such a price is shown as absent. Its order is rejected."""
    return value if value is not None and math.isfinite(value) else None


def submitted(row: Row, sequence: int, time_ns: int, symbol: str) -> OrderSubmitted:
    """Return the submission of an order without a handle: a signal's, its attached exit's, or a liquidation."""
    parent, order_type = row[PARENT], _TYPES[row[TYPE]]
    tag, group = None, None
    if parent:
        tag, group = ("stop" if order_type is OrderType.STOP else "target"), f"bracket {parent}"
    elif row[CAUSE]:
        tag = CAUSES[row[CAUSE]]
    return OrderSubmitted(
        sequence=sequence,
        time_ns=time_ns,
        order_id=row[ORDER],
        symbol=symbol,
        side=BUY if row[SIDE] > 0 else SELL,
        order_type=order_type,
        quantity=finite(row[QUANTITY]),
        limit_price=finite(row[LIMIT]),
        stop_price=finite(row[STOP]),
        reduce_only=bool(row[REDUCE]),
        oco_group=group,
        parent_order_id=parent or None,
        tag=tag,
    )


def rejected(row: Row, sequence: int, time_ns: int) -> OrderRejected:
    return OrderRejected(sequence=sequence, time_ns=time_ns, order_id=row[ORDER], reason=REJECT_REASONS[row[REASON]])


def triggered(row: Row, sequence: int, time_ns: int) -> OrderTriggered:
    return OrderTriggered(sequence=sequence, time_ns=time_ns, order_id=row[ORDER], price=row[PRICE])


def cancelled(row: Row, sequence: int, time_ns: int) -> OrderCancelled:
    return OrderCancelled(
        sequence=sequence, time_ns=time_ns, order_id=row[ORDER], reason=ENDS[row[REASON]], quantity=row[LEAVES]
    )  # fmt: skip


def expired(row: Row, sequence: int, time_ns: int) -> OrderExpired:
    return OrderExpired(sequence=sequence, time_ns=time_ns, order_id=row[ORDER], quantity=row[LEAVES])


def filled(row: Row, sequence: int, time_ns: int, symbol: str) -> OrderFilled:
    return OrderFilled(
        sequence=sequence,
        time_ns=time_ns,
        fill_id=row[FILL],
        order_id=row[ORDER],
        symbol=symbol,
        side=BUY if row[SIDE] > 0 else SELL,
        quantity=row[QUANTITY],
        price=row[PRICE],
        commission=row[COMMISSION],
        leaves_quantity=row[LEAVES],
        is_maker=bool(row[MAKER]),
        conversion=row[RATE],
        position_id=row[POSITION] or None,
    )


def opened(row: Row, sequence: int, time_ns: int, symbol: str) -> PositionOpened:
    return PositionOpened(
        sequence=sequence,
        time_ns=time_ns,
        position_id=row[POSITION],
        symbol=symbol,
        quantity=row[QUANTITY],
        average_price=row[AVERAGE],
        commission=row[COMMISSION],
        realized_pnl=row[REALIZED],
    )


def changed(row: Row, sequence: int, time_ns: int, symbol: str) -> PositionChanged:
    return PositionChanged(
        sequence=sequence,
        time_ns=time_ns,
        position_id=row[POSITION],
        symbol=symbol,
        quantity=row[QUANTITY],
        average_price=row[AVERAGE],
        commission=row[COMMISSION],
        realized_pnl=row[REALIZED],
        gross_pnl=row[GROSS],
    )


def closed(row: Row, sequence: int, time_ns: int, symbol: str, opened_ns: int) -> PositionClosed:
    return PositionClosed(
        sequence=sequence,
        time_ns=time_ns,
        position_id=row[POSITION],
        symbol=symbol,
        side=BUY if row[SIDE] > 0 else SELL,
        quantity=row[QUANTITY],
        average_price=row[AVERAGE],
        average_close=row[CLOSE],
        commission=row[COMMISSION],
        realized_pnl=row[REALIZED],
        gross_pnl=row[GROSS],
        return_fraction=return_fraction(row),
        opened_ns=opened_ns,
        bars_held=row[BARS],
        mae=row[MAE],
        mfe=row[MFE],
    )


def return_fraction(row: Row) -> float | None:
    """Return side * (average close / average price - 1); None where the average price is not above 0.

    ddof: none. Annualisation: none. Source: Nautilus's realized return of a position (conformance case nt-4).

    >>> row = [0.0] * len(_PLACES)
    >>> row[SIDE], row[AVERAGE], row[CLOSE] = -1, 100.0, 75.0
    >>> return_fraction(tuple(row))  # short: -1 * (75 / 100 - 1)
    0.25
    """
    average: float = row[AVERAGE]
    return float(row[SIDE] * (row[CLOSE] / average - 1.0)) if average > 0.0 else None


def margin_called(row: Row, sequence: int, time_ns: int) -> MarginCalled:
    return MarginCalled(sequence=sequence, time_ns=time_ns, equity=row[QUANTITY], maintenance=row[PRICE])


# --- what happens besides trading -----------------------------------------------------------------------------------


def split_applied(row: Row, sequence: int, time_ns: int, symbol: str) -> SplitApplied:
    return SplitApplied(
        sequence=sequence,
        time_ns=time_ns,
        symbol=symbol,
        position_id=row[POSITION],
        ratio=row[RATE],
        quantity=row[QUANTITY],
        average_price=row[AVERAGE],
        cash=row[PRICE],
    )


def dividend_paid(row: Row, sequence: int, time_ns: int, symbol: str) -> DividendPaid:
    return DividendPaid(
        sequence=sequence, time_ns=time_ns, symbol=symbol, position_id=row[POSITION], per_share=row[RATE], amount=row[QUANTITY]
    )


def funding_paid(row: Row, sequence: int, time_ns: int, symbol: str) -> FundingPaid:
    return FundingPaid(
        sequence=sequence,
        time_ns=time_ns,
        symbol=symbol,
        position_id=row[POSITION],
        rate=row[RATE],
        price=row[PRICE],
        amount=row[QUANTITY],
    )


def borrow_paid(row: Row, sequence: int, time_ns: int, symbol: str) -> BorrowPaid:
    return BorrowPaid(
        sequence=sequence, time_ns=time_ns, symbol=symbol, position_id=row[POSITION], rate=row[RATE], amount=row[QUANTITY]
    )


def symbol_changed(row: Row, sequence: int, time_ns: int, symbol: str, new_symbol: str) -> SymbolChanged:
    return SymbolChanged(sequence=sequence, time_ns=time_ns, symbol=symbol, new_symbol=new_symbol)


def delisted(row: Row, sequence: int, time_ns: int, symbol: str) -> InstrumentDelisted:
    return InstrumentDelisted(sequence=sequence, time_ns=time_ns, symbol=symbol, price=row[PRICE])
