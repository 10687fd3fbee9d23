"""This module folds position events into the rows of ``positions`` and ``position_changes``.

A position's row holds its opening, its closing and what it came to: ``trades`` and ``position_history`` are shown from these two
tables, by views in SQL and by ``trade_row`` and ``history_rows`` elsewhere.
"""

from collections.abc import Iterator
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
    """One row of ``positions``: the table's columns, in its order, so that the struct itself is the row; then two flags.

    What no later event changes is left empty where the row exists already.
    """

    backtest_id: str
    position_id: int
    side: str
    opened_at: int
    opened_sequence: int = 0
    opened_symbol: str = ""
    opened_quantity: float = 0.0
    opened_price: float = 0.0
    opened_commission: float = 0.0
    opened_pnl: float = 0.0
    symbol: str = ""
    is_open: bool = True
    quantity: float = 0.0
    largest_quantity: float | None = None
    average_price: float = 0.0
    average_close: float | None = None
    commission: float = 0.0
    realized_pnl: float = 0.0
    gross_pnl: float = 0.0
    mark: float | None = None
    unrealized_pnl: float | None = None
    return_fraction: float | None = None
    mae: float | None = None
    mfe: float | None = None
    bars_held: int | None = None
    funding: float = 0.0
    borrow: float = 0.0
    dividends: float = 0.0
    marked_at: int | None = None
    changed_at: int = 0
    closed_at: int | None = None
    last_sequence: int = 0
    is_new: bool = False
    is_touched: bool = False

    def change_row(self, change: str) -> Row:
        """Return the row of ``position_changes`` after the event that was just folded in."""
        return (
            self.backtest_id, self.last_sequence, self.position_id, self.changed_at, self.symbol, change, self.quantity,
            self.average_price, self.commission, self.realized_pnl, self.gross_pnl,
        )  # fmt: skip


def opened(backtest_id: str, event: PositionOpened) -> PositionState:
    return PositionState(
        backtest_id, event.position_id, "long" if event.quantity > 0 else "short", event.time_ns, event.sequence, event.symbol,
        event.quantity, event.average_price, event.commission, event.realized_pnl, event.symbol, True, event.quantity, None,
        event.average_price, None, event.commission, event.realized_pnl, changed_at=event.time_ns,
        last_sequence=event.sequence, is_new=True,
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
    state.largest_quantity = event.quantity
    state.average_price = event.average_price
    state.average_close = event.average_close
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


def trade_row(state: PositionState) -> Row:
    """Return the row of ``trades`` for a closed position, as the view has it."""
    return (
        state.backtest_id, state.position_id, state.last_sequence, state.symbol, "buy" if state.side == "long" else "sell",
        state.largest_quantity, state.opened_at, state.closed_at, state.bars_held, state.average_price, state.average_close,
        state.commission, state.realized_pnl, state.gross_pnl, state.return_fraction, state.mae, state.mfe, state.funding,
        state.borrow, state.dividends,
    )  # fmt: skip


def history_rows(state: PositionState) -> Iterator[Row]:
    """Yield the rows of ``position_history`` for a position's opening and closing, as the view has them."""
    yield (
        state.backtest_id, state.opened_sequence, state.position_id, state.opened_at, state.opened_symbol, "opened",
        state.opened_quantity, state.opened_price, state.opened_commission, state.opened_pnl, 0.0,
    )  # fmt: skip
    if not state.is_open:
        yield state.change_row("closed")
