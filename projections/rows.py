"""This module collects the rows that a batch of commits makes, until they are written together.

What is only appended is kept as tuples in the order of the table's columns. What later events change (backtests, orders,
positions) is kept as state objects: several changes of one row within a batch become one row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import pyarrow as pa
from sqlalchemy import Table

from projections.arrow import Form, Row, to_batch
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

Kind = Literal["insert", "update", "upsert"]


class State(Protocol):
    """A row that later events change."""

    is_new: bool
    is_touched: bool

    def row(self) -> Row:
        """Return the whole row."""
        ...

    def change(self) -> Row:
        """Return the key and the columns that events change."""
        ...


@dataclass(frozen=True, slots=True)
class RowChange:
    """Rows of one table to write in one way.

    names : the columns that the tuples hold; None: all of the table's, in its order
    """

    table: Table
    kind: Kind
    rows: list[Row]
    names: tuple[str, ...] | None = None

    def batch(self, form: Form) -> pa.RecordBatch:
        return to_batch(self.table, self.rows, form=form, names=self.names)


class Rows:
    """What a batch adds to the tables of runs, in the order of its commits."""

    def __init__(self) -> None:
        self.commits: list[Row] = []
        self.fills: list[Row] = []
        self.position_history: list[Row] = []
        self.trades: list[Row] = []
        self.equity: list[Row] = []
        self.account_events: list[Row] = []
        self.statistics: list[Row] = []
        self.backtests: list[State] = []
        self.orders: list[State] = []
        self.positions: list[State] = []

    def changes(self) -> list[RowChange]:
        """Return what is to be written, and mark the states as written."""
        return [change for change in self._all() if change.rows]

    def _all(self) -> Iterator[RowChange]:
        yield from _split(BACKTESTS, self.backtests)
        yield RowChange(COMMITS, "insert", self.commits)
        yield from _split(ORDERS, self.orders)
        yield RowChange(FILLS, "insert", self.fills)
        yield from _split(POSITIONS, self.positions)
        yield RowChange(POSITION_HISTORY, "insert", self.position_history)
        yield RowChange(TRADES, "insert", self.trades)
        yield RowChange(EQUITY, "insert", self.equity)
        yield RowChange(ACCOUNT_EVENTS, "insert", self.account_events)
        yield RowChange(STATISTICS, "insert", self.statistics)


def touch(state: State, states: list[State]) -> None:
    """Put a state on the batch's list, once."""
    if not state.is_touched:
        state.is_touched = True
        states.append(state)


def _split(table: Table, states: list[State]) -> Iterator[RowChange]:
    """Yield rows to insert and rows to update: what this batch created has no row yet."""
    yield RowChange(table, "insert", [state.row() for state in states if state.is_new])
    yield RowChange(table, "update", [state.change() for state in states if not state.is_new], key_of(table) + changing(table))
    for state in states:
        state.is_new = False
        state.is_touched = False
