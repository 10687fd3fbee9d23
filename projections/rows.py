"""This module collects the rows that a batch of commits makes, until they are written together.

What is only appended is kept as the events themselves, or as tuples in the order of the table's columns. What later events
change (backtests, orders, positions) is kept as state objects: several changes of one row within a batch become one row.

The tables that grow with every trade are turned into columns without a tuple for each row: one comprehension for each column,
written out. With the conversion to Arrow that takes two thirds of the time (docs/performance.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import pyarrow as pa
from sqlalchemy import Table

from projections import orders, positions
from projections.arrow import Form, Row, columns_to_batch, to_batch
from projections.orders import OrderState
from projections.positions import PositionState
from projections.tables import (
    ACCOUNT_EVENTS,
    BACKTESTS,
    COMMITS,
    EQUITY,
    FILLS,
    ORDERS,
    POSITION_HISTORY,
    POSITIONS,
    STATISTICS,
    TRADES,
    changing,
    key_of,
)
from schemas.events import EquityMarked, OrderFilled, PositionClosed

if TYPE_CHECKING:
    from projections.backtests import BacktestState

Kind = Literal["insert", "update", "upsert"]
Columns = list[list[Any]]


class State(Protocol):
    """A row that later events change."""

    is_new: bool
    is_touched: bool


S = TypeVar("S", bound=State)


class Change(Protocol):
    """Rows of one table to write in one way."""

    @property
    def table(self) -> Table: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def rows(self) -> list[Row]:
        """Return the rows as tuples."""
        ...

    def __len__(self) -> int: ...

    def batch(self, form: Form) -> pa.RecordBatch: ...


@dataclass(frozen=True, slots=True)
class RowChange:
    """Rows that are at hand as tuples.

    names : the columns that the tuples hold; None: all of the table's, in its order
    """

    table: Table
    kind: Kind
    rows: list[Row]
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, form: Form) -> pa.RecordBatch:
        return to_batch(self.table, self.rows, form=form, names=self.names)


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """Rows that are at hand as columns: one list for each name, or for each of the table's columns."""

    table: Table
    kind: Kind
    columns: Columns
    names: tuple[str, ...] | None = None

    @property
    def rows(self) -> list[Row]:
        return list(zip(*self.columns, strict=True))

    def __len__(self) -> int:
        return len(self.columns[0])

    def batch(self, form: Form) -> pa.RecordBatch:
        return columns_to_batch(self.table, self.columns, form=form, names=self.names)


class Rows:
    """What a batch adds to the tables of runs, in the order of its commits. Events come with their backtest's id."""

    def __init__(self) -> None:
        self.commits: list[Row] = []
        self.fills: list[tuple[str, OrderFilled]] = []
        self.position_history: list[Row] = []
        self.trades: list[tuple[str, PositionClosed]] = []
        self.marks: list[tuple[str, int, EquityMarked]] = []  # with the number of the block's first mark
        self.account_events: list[Row] = []
        self.statistics: list[Row] = []
        self.backtests: list[BacktestState] = []
        self.orders: list[OrderState] = []
        self.positions: list[PositionState] = []

    def changes(self) -> list[Change]:
        """Return what is to be written, and mark the states as written."""
        return [change for change in self._all() if len(change)]

    def _all(self) -> Iterator[Change]:
        created, changed = _split(self.backtests)
        yield RowChange(BACKTESTS, "insert", [state.row() for state in created])
        yield RowChange(BACKTESTS, "update", [state.change() for state in changed], _names_of_update(BACKTESTS))
        yield RowChange(COMMITS, "insert", self.commits)
        new_orders, old_orders = _split(self.orders)
        yield ColumnChange(ORDERS, "insert", orders.columns(new_orders))
        yield ColumnChange(ORDERS, "update", orders.changed_columns(old_orders), _names_of_update(ORDERS))
        yield ColumnChange(FILLS, "insert", orders.fill_columns(self.fills))
        new_positions, old_positions = _split(self.positions)
        yield ColumnChange(POSITIONS, "insert", positions.columns(new_positions))
        yield ColumnChange(POSITIONS, "update", positions.changed_columns(old_positions), _names_of_update(POSITIONS))
        yield RowChange(POSITION_HISTORY, "insert", self.position_history)
        yield ColumnChange(TRADES, "insert", positions.trade_columns(self.trades))
        yield ColumnChange(EQUITY, "insert", equity_columns(self.marks))
        yield RowChange(ACCOUNT_EVENTS, "insert", self.account_events)
        yield RowChange(STATISTICS, "insert", self.statistics)


def touch(state: S, states: list[S]) -> None:
    """Put a state on the batch's list, once."""
    if not state.is_touched:
        state.is_touched = True
        states.append(state)


def equity_columns(blocks: list[tuple[str, int, EquityMarked]]) -> Columns:
    """Return the columns of ``equity``: blocks are columns already, and each mark is a row with a running number."""
    return [
        [backtest_id for backtest_id, _, block in blocks for _ in block.times_ns],
        [number for _, first, block in blocks for number in range(first, first + len(block.times_ns))],
        *(list(chain.from_iterable(getattr(block, name) for _, _, block in blocks)) for name in MARK_COLUMNS),
    ]


MARK_COLUMNS = ("times_ns", "equity", "cash", "exposure", "drawdown")


def _split(states: list[S]) -> tuple[list[S], list[S]]:
    """Return those to insert and those to update: what this batch created has no row yet."""
    parts = [state for state in states if state.is_new], [state for state in states if not state.is_new]
    for state in states:
        state.is_new = False
        state.is_touched = False
    return parts


def _names_of_update(table: Table) -> tuple[str, ...]:
    return key_of(table) + changing(table)
