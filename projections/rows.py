"""This module collects the rows that a batch of commits makes, until they are written together.

What is only appended is kept as tuples in the order of the table's columns. What later events change (backtests, orders,
positions) is kept as state objects: several changes of one row within a batch become one row. States of orders and positions
are rows themselves, so that nothing is done for each of their columns in Python (docs/performance.md).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import msgspec
from sqlalchemy import Table

from projections.forms import Form, Row
from projections.orders import OrderState
from projections.packed import PackedColumn, pack, packed_columns
from projections.positions import PositionState
from projections.tables import (
    ACCOUNT_EVENTS,
    BACKTESTS,
    COMMITS,
    EQUITY,
    FILLS,
    MONTHLY_RETURNS,
    ORDERS,
    POSITION_CHANGES,
    POSITIONS,
    STATISTICS,
    SYMBOL_STATISTICS,
    changing,
    key_of,
    shown,
)
from schemas.events import EquityMarked

if TYPE_CHECKING:
    import pyarrow as pa

    from projections.backtests import BacktestState

Kind = Literal["insert", "update", "upsert", "delete"]


class State(Protocol):
    """A row that later events change."""

    is_new: bool
    is_touched: bool


class Openable(State, Protocol):
    """A row that later events change until it is closed, and never after."""

    is_open: bool


S = TypeVar("S", bound=State)
T = TypeVar("T", bound=Openable)

_APPENDED = (
    "commits",
    "fills",
    "position_changes",
    "equity",
    "account_events",
    "statistics",
    "monthly_returns",
    "symbol_statistics",
)


@dataclass(frozen=True, slots=True)
class RowChange:
    """Rows of one table to write in one way.

    values : a tuple for each row, or a struct that counts as an array
    settled : rows before these that are packed already
    places : the name of each value's column, None for a value that is none; None: all of the table's columns, in its order
    """

    table: Table
    kind: Kind
    values: Sequence[Any]
    places: tuple[str | None, ...] | None = None
    settled: "Settled | None" = None

    def __len__(self) -> int:
        return len(self.values) + (self.settled.count if self.settled is not None else 0)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        places = self.places if self.places is not None else tuple(column.name for column in self.table.columns)
        return tuple(name for name in places if name is not None)

    @property
    def rows(self) -> list[Row]:
        """Return the rows as tuples, in the order of ``names``."""
        return list(zip(*self._columns(self.names), strict=True))

    def batch(self, form: Form) -> "pa.RecordBatch":
        from projections.arrow import columns_to_batch  # here: it brings pyarrow, 30 MB that a projector does not need

        names = self.names if form == "sql" else tuple(name for name in self.names if name in shown(self.table))
        return columns_to_batch(self.table, self._columns(names), form=form, names=names)

    def packed(self) -> tuple[bytes, ...]:
        """Return the rows as projections/packed.py packs them, and ``columns`` says, in chunks."""
        settled = self.settled.chunks if self.settled is not None else []
        return (*settled, pack(self.values)) if self.values else tuple(settled)

    @property
    def columns(self) -> tuple[PackedColumn, ...]:
        return packed_columns(self.table, self.places)

    def _columns(self, names: tuple[str, ...]) -> list[list[Any]]:
        assert self.settled is None or not self.settled.count, "rows that are packed have no columns"
        if self.values and isinstance(self.values[0], msgspec.Struct):
            return [list(map(attrgetter(name), self.values)) for name in names]
        # One comprehension for each column: transposing by zip(*rows) takes three times as long.
        return [[row[place] for row in self.values] for place in map(self.names.index, names)]


@dataclass(slots=True)
class Settled:
    """Rows of one table that nothing in the batch changes any more, packed."""

    chunks: list[bytes] = field(default_factory=list)
    count: int = 0

    def add(self, values: Sequence[Any]) -> None:
        if values:
            self.chunks.append(pack(values))
            self.count += len(values)


class Rows:
    """What a batch adds to the tables of runs, in the order of its commits. Events come with their backtest's id."""

    def __init__(self) -> None:
        self.commits: list[Row] = []
        self.fills: list[Row] = []
        self.position_changes: list[Row] = []
        self.equity: list[Row] = []
        self.account_events: list[Row] = []
        self.statistics: list[Row] = []
        self.monthly_returns: list[Row] = []
        self.symbol_statistics: list[Row] = []
        self.backtests: list[BacktestState] = []
        self.orders: list[OrderState] = []
        self.positions: list[PositionState] = []
        self._settled: defaultdict[str, Settled] = defaultdict(Settled)

    def settle(self) -> None:
        """Pack the rows that no later event changes, and forget them: what is only appended, what began and ended here.

        A fold of many commits calls this every few hundred events, while these are still in the processor's cache; at the end
        of a large batch packing takes twice as long. Afterwards the rows can be written, but not be looked at.
        """
        for name in _APPENDED:
            values = getattr(self, name)
            self._settled[name].add(values)
            values.clear()
        self.orders = self._settle("orders", self.orders)
        self.positions = self._settle("positions", self.positions)

    def hold_back(self) -> "Rows":
        """Take out what later events may change, and return it as the beginning of the next batch's rows.

        A rebuild writes each row once, in its last state: no row that it has written is looked for and changed.
        """
        held = Rows()
        held.backtests, self.backtests = _parted(self.backtests, lambda state: not state.is_finished)
        held.orders, self.orders = _parted(self.orders, lambda state: state.is_open)
        held.positions, self.positions = _parted(self.positions, lambda state: state.is_open)
        return held

    def _settle(self, name: str, states: list[T]) -> list[T]:
        """Pack the states that will not change, and return the others."""
        self._settled[name].add([state for state in states if state.is_new and not state.is_open])
        return [state for state in states if state.is_open or not state.is_new]

    def changes(self) -> list[RowChange]:
        """Return what is to be written, and mark the states as written."""
        return [change for change in self._all() if len(change)]

    def _all(self) -> Iterator[RowChange]:
        created, changed = _split(self.backtests)
        yield RowChange(BACKTESTS, "insert", [state.row() for state in created])
        yield RowChange(BACKTESTS, "update", [state.change() for state in changed], key_of(BACKTESTS) + changing(BACKTESTS))
        yield self._appended(COMMITS, self.commits)
        new_orders, old_orders = _split(self.orders)
        yield self._appended(ORDERS, new_orders, NEW_ORDER)
        yield RowChange(ORDERS, "update", old_orders, CHANGED_ORDER)
        yield self._appended(FILLS, self.fills)
        new_positions, old_positions = _split(self.positions)
        yield self._appended(POSITIONS, new_positions, NEW_POSITION)
        yield RowChange(POSITIONS, "update", old_positions, CHANGED_POSITION)
        yield self._appended(POSITION_CHANGES, self.position_changes)
        yield self._appended(EQUITY, self.equity)
        yield self._appended(ACCOUNT_EVENTS, self.account_events)
        yield self._appended(STATISTICS, self.statistics)
        yield self._appended(MONTHLY_RETURNS, self.monthly_returns)
        yield self._appended(SYMBOL_STATISTICS, self.symbol_statistics)

    def _appended(self, table: Table, values: Sequence[Any], places: tuple[str | None, ...] | None = None) -> RowChange:
        """Return the new rows of a table: the settled ones, then these."""
        return RowChange(table, "insert", values, places, self._settled.get(table.name))


def touch(state: S, states: list[S]) -> None:
    """Put a state on the batch's list, once."""
    if not state.is_touched:
        state.is_touched = True
        states.append(state)


MARK_COLUMNS = ("times_ns", "equity", "cash", "exposure", "drawdown")


def mark_rows(backtest_id: str, first: int, block: EquityMarked) -> Iterator[Row]:
    """Yield the rows of ``equity``: a block is columns, and each mark is a row with a running number, from ``first`` on."""
    return zip(repeat(backtest_id), count(first), *(getattr(block, name) for name in MARK_COLUMNS), strict=False)


def _parted(states: list[S], belongs: Callable[[S], bool]) -> tuple[list[S], list[S]]:
    return [state for state in states if belongs(state)], [state for state in states if not belongs(state)]


def _split(states: list[S]) -> tuple[list[S], list[S]]:
    """Return those to insert and those to update: what this batch created has no row yet."""
    parts = [state for state in states if state.is_new], [state for state in states if not state.is_new]
    for state in states:
        state.is_new = False
        state.is_touched = False
    return parts


def _places(table: Table, state: type[msgspec.Struct], *, is_new: bool) -> tuple[str | None, ...]:
    """Return what the fields of a state are when it is written: all columns, or the key and what changes; never its flags."""
    names = tuple(column.name for column in table.columns)
    fields = state.__struct_fields__
    assert fields == (*names, "is_new", "is_touched"), f"{state.__name__} has the columns of {table.name}, in their order"
    written = names if is_new else key_of(table) + changing(table)
    return tuple(name if name in written else None for name in fields)


NEW_ORDER, CHANGED_ORDER = (_places(ORDERS, OrderState, is_new=is_new) for is_new in (True, False))
NEW_POSITION, CHANGED_POSITION = (_places(POSITIONS, PositionState, is_new=is_new) for is_new in (True, False))
