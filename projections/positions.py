"""This module folds position events into the rows of ``positions``, ``position_history`` and ``trades``."""

from operator import attrgetter

import msgspec

from projections.arrow import Row
from projections.tables import POSITIONS, changing
from schemas.events import PositionChanged, PositionClosed, PositionOpened, SplitApplied


class PositionState(msgspec.Struct):
    """One row of ``positions``; fields are named as its columns."""

    backtest_id: str
    position_id: int
    symbol: str
    opened_at: int
    quantity: float
    average_price: float
    commission: float
    realized_pnl: float
    gross_pnl: float
    changed_at: int
    last_sequence: int
    closed_at: int | None = None
    is_open: bool = True
    is_new: bool = False
    is_touched: bool = False

    def row(self) -> Row:
        return (self.backtest_id, self.position_id, self.symbol, self.opened_at, *_CHANGING(self))

    def change(self) -> Row:
        return (self.backtest_id, self.position_id, *_CHANGING(self))

    def history_row(self, change: str) -> Row:
        """Return the row of ``position_history`` after the event that was just folded in."""
        return (
            self.backtest_id, self.last_sequence, self.position_id, self.changed_at, self.symbol, change, self.quantity,
            self.average_price, self.commission, self.realized_pnl, self.gross_pnl,
        )  # fmt: skip


_CHANGING = attrgetter(*changing(POSITIONS))


def opened(backtest_id: str, event: PositionOpened) -> PositionState:
    return PositionState(
        backtest_id=backtest_id,
        position_id=event.position_id,
        symbol=event.symbol,
        opened_at=event.time_ns,
        quantity=event.quantity,
        average_price=event.average_price,
        commission=event.commission,
        realized_pnl=event.realized_pnl,
        gross_pnl=0.0,
        changed_at=event.time_ns,
        last_sequence=event.sequence,
        is_new=True,
    )


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
    return (
        backtest_id, event.position_id, event.sequence, event.symbol, event.side, event.quantity, event.opened_ns,
        event.time_ns, event.bars_held, event.average_price, event.average_close, event.commission, event.realized_pnl,
        event.gross_pnl, event.return_fraction, event.mae, event.mfe,
    )  # fmt: skip
