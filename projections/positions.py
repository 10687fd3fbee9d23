"""This module folds position events into the rows of ``positions``, ``position_history`` and ``trades``."""

import msgspec

from projections.arrow import Row
from schemas.events import PositionChanged, PositionClosed, PositionOpened, SplitApplied


class PositionState(msgspec.Struct, gc=False, array_like=True):
    """One row of ``positions``: the table's columns, in its order, so that the struct itself is the row; then two flags."""

    backtest_id: str
    position_id: int
    symbol: str
    opened_at: int
    is_open: bool
    quantity: float
    average_price: float
    commission: float
    realized_pnl: float
    gross_pnl: float
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
        backtest_id, event.position_id, event.symbol, event.time_ns, True, event.quantity, event.average_price,
        event.commission, event.realized_pnl, 0.0, event.time_ns, None, event.sequence, is_new=True,
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
    state.changed_at = state.closed_at = event.time_ns
    state.last_sequence = event.sequence


def split(state: PositionState, event: SplitApplied) -> None:
    state.quantity = event.quantity
    state.average_price = event.average_price
    state.changed_at = event.time_ns
    state.last_sequence = event.sequence


def trade_row(backtest_id: str, event: PositionClosed) -> Row:
    """Return the row of ``trades``."""
    return (
        backtest_id, event.position_id, event.sequence, event.symbol, event.side, event.quantity, event.opened_ns, event.time_ns,
        event.bars_held, event.average_price, event.average_close, event.commission, event.realized_pnl, event.gross_pnl,
        event.return_fraction, event.mae, event.mfe,
    )  # fmt: skip
