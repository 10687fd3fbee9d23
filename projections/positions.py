"""This module folds position events into the rows of ``positions``, ``position_history`` and ``trades``."""

from typing import Any

import msgspec

from projections.arrow import Row
from schemas.events import PositionChanged, PositionClosed, PositionOpened, SplitApplied


class PositionState(msgspec.Struct, gc=False):
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

    def history_row(self, change: str) -> Row:
        """Return the row of ``position_history`` after the event that was just folded in."""
        return (
            self.backtest_id, self.last_sequence, self.position_id, self.changed_at, self.symbol, change, self.quantity,
            self.average_price, self.commission, self.realized_pnl, self.gross_pnl,
        )  # fmt: skip


def columns(states: list[PositionState]) -> list[list[Any]]:
    """Return the columns of ``positions`` for positions that have no row yet."""
    return [
        [state.backtest_id for state in states],
        [state.position_id for state in states],
        [state.symbol for state in states],
        [state.opened_at for state in states],
        *_changing_columns(states),
    ]


def changed_columns(states: list[PositionState]) -> list[list[Any]]:
    """Return the key and the columns that change, for positions that have a row."""
    return [[state.backtest_id for state in states], [state.position_id for state in states], *_changing_columns(states)]


def _changing_columns(states: list[PositionState]) -> list[list[Any]]:
    return [
        [state.is_open for state in states],
        [state.quantity for state in states],
        [state.average_price for state in states],
        [state.commission for state in states],
        [state.realized_pnl for state in states],
        [state.gross_pnl for state in states],
        [state.changed_at for state in states],
        [state.closed_at for state in states],
        [state.last_sequence for state in states],
    ]


def opened(backtest_id: str, event: PositionOpened) -> PositionState:
    return PositionState(
        backtest_id, event.position_id, event.symbol, event.time_ns, event.quantity, event.average_price, event.commission,
        event.realized_pnl, 0.0, event.time_ns, event.sequence, is_new=True,
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


def trade_columns(trades: list[tuple[str, PositionClosed]]) -> list[list[Any]]:
    """Return the columns of ``trades``."""
    events = [event for _, event in trades]
    return [
        [backtest_id for backtest_id, _ in trades],
        [event.position_id for event in events],
        [event.sequence for event in events],
        [event.symbol for event in events],
        [event.side for event in events],
        [event.quantity for event in events],
        [event.opened_ns for event in events],
        [event.time_ns for event in events],
        [event.bars_held for event in events],
        [event.average_price for event in events],
        [event.average_close for event in events],
        [event.commission for event in events],
        [event.realized_pnl for event in events],
        [event.gross_pnl for event in events],
        [event.return_fraction for event in events],
        [event.mae for event in events],
        [event.mfe for event in events],
    ]
