"""This module folds position events into the rows of ``positions``, ``position_history`` and ``trades``."""

from typing import assert_never

import msgspec

from projections.forms import Row
from schemas.events import (
    BorrowPaid,
    DividendPaid,
    FundingPaid,
    PositionChanged,
    PositionClosed,
    PositionMarked,
    PositionOpened,
    SplitApplied,
    SymbolChanged,
)


class PositionState(msgspec.Struct, gc=False, array_like=True):
    """One row of ``positions``: the table's columns, in its order, so that the struct itself is the row; then two flags."""

    backtest_id: str
    position_id: int
    side: str
    opened_at: int
    symbol: str
    is_open: bool
    quantity: float
    average_price: float
    commission: float
    realized_pnl: float
    gross_pnl: float
    mark: float | None
    unrealized_pnl: float | None
    return_fraction: float | None
    mae: float | None
    mfe: float | None
    bars_held: int | None
    funding: float
    borrow: float
    dividends: float
    marked_at: int | None
    changed_at: int
    closed_at: int | None
    last_sequence: int
    is_new: bool = False
    is_touched: bool = False

    def history_row(self, change: str) -> Row:
        """Return the row of ``position_history`` after the event that was just folded in."""
        return (
            self.backtest_id, self.last_sequence, self.position_id, self.changed_at, self.symbol, change, self.quantity,
            self.average_price, self.commission, self.realized_pnl, self.gross_pnl,
        )  # fmt: skip


def opened(backtest_id: str, event: PositionOpened) -> PositionState:
    return PositionState(
        backtest_id, event.position_id, "long" if event.quantity > 0 else "short", event.time_ns, event.symbol, True,
        event.quantity, event.average_price, event.commission, event.realized_pnl, 0.0, None, None, None, None, None, None,
        0.0, 0.0, 0.0, None, event.time_ns, None, event.sequence, is_new=True,
    )  # fmt: skip


def changed(state: PositionState, event: PositionChanged) -> None:
    state.quantity = event.quantity
    state.average_price = event.average_price
    state.commission = event.commission
    state.realized_pnl = event.realized_pnl
    state.gross_pnl = event.gross_pnl
    state.changed_at = event.time_ns
    state.last_sequence = event.sequence


def closed(state: PositionState, event: PositionClosed) -> None:
    state.is_open = False
    state.quantity = 0.0
    state.average_price = event.average_price
    state.commission = event.commission
    state.realized_pnl = event.realized_pnl
    state.gross_pnl = event.gross_pnl
    state.mark = None
    state.unrealized_pnl = 0.0
    state.return_fraction = event.return_fraction
    state.mae = event.mae
    state.mfe = event.mfe
    state.bars_held = event.bars_held
    state.changed_at = state.closed_at = event.time_ns
    state.last_sequence = event.sequence


def marked(state: PositionState, event: PositionMarked) -> None:
    """Value an open position. Its quantity and average price are those of the same moment."""
    state.mark = event.price
    state.unrealized_pnl = event.unrealized_pnl
    sign = 1.0 if state.side == "long" else -1.0
    state.return_fraction = sign * (event.price / state.average_price - 1.0) if state.average_price else None
    state.mae = event.mae
    state.mfe = event.mfe
    state.bars_held = event.bars_held
    state.marked_at = event.time_ns
    state.last_sequence = event.sequence


def renamed(state: PositionState, event: SymbolChanged) -> None:
    state.symbol = event.new_symbol
    state.changed_at = event.time_ns
    state.last_sequence = event.sequence


def paid(state: PositionState, event: FundingPaid | BorrowPaid | DividendPaid) -> None:
    """Add a payment to what the position has had since its opening."""
    match event:
        case FundingPaid():
            state.funding += event.amount
        case BorrowPaid():
            state.borrow += event.amount
        case DividendPaid():
            state.dividends += event.amount
        case _:
            assert_never(event)
    state.changed_at = event.time_ns
    state.last_sequence = event.sequence


def split(state: PositionState, event: SplitApplied) -> None:
    state.quantity = event.quantity
    state.average_price = event.average_price
    state.changed_at = event.time_ns
    state.last_sequence = event.sequence


def trade_row(state: PositionState, event: PositionClosed) -> Row:
    """Return the row of ``trades``."""
    return (
        state.backtest_id, event.position_id, event.sequence, event.symbol, event.side, event.quantity, event.opened_ns,
        event.time_ns, event.bars_held, event.average_price, event.average_close, event.commission, event.realized_pnl,
        event.gross_pnl, event.return_fraction, event.mae, event.mfe, state.funding, state.borrow, state.dividends,
    )  # fmt: skip
