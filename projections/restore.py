"""This module turns rows that were read back into the state that the fold goes on from.

Only unfinished runs are restored with orders and positions: nothing is appended after a run's end.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from projections.backtests import BacktestState
from projections.fold import RunFold
from projections.forms import Row
from projections.orders import OrderState
from projections.positions import PositionState
from projections.tables import BACKTESTS, ORDERS, POSITIONS, changing

RUN_COLUMNS = ("backtest_id", "records_orders", "initial_cash", *changing(BACKTESTS))
ORDER_COLUMNS = ("backtest_id", "order_id", *changing(ORDERS))
POSITION_COLUMNS = ("backtest_id", "position_id", "side", "opened_at", *changing(POSITIONS))

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def restore_folds(runs: Iterable[Row], open_orders: Iterable[Row], open_positions: Iterable[Row]) -> dict[str, RunFold]:
    """Return the folds of runs by their ids, from rows of RUN_COLUMNS, ORDER_COLUMNS and POSITION_COLUMNS."""
    folds = {row[0]: RunFold(row[0], BacktestState(**_fields(RUN_COLUMNS, row))) for row in runs}
    for row in open_orders:
        order = OrderState(**_fields(ORDER_COLUMNS, row))
        folds[order.backtest_id].orders[order.order_id] = order
    for row in open_positions:
        position = PositionState(**_fields(POSITION_COLUMNS, row))
        folds[position.backtest_id].positions[position.position_id] = position
    return folds


def _fields(names: tuple[str, ...], row: Row) -> dict[str, Any]:
    return {name: to_ns(value) if isinstance(value, datetime) else value for name, value in zip(names, row, strict=True)}


def to_ns(moment: datetime) -> int:
    """Return nanoseconds since 1970 UTC, exactly."""
    return (moment - _EPOCH) // _MICROSECOND * 1_000
