"""This module puts queries together: conditions with numbered arguments, and pages by keyset.

A page begins after the last row of the one before, named by its sort value and its key, so that its cost does not grow with its
number and rows that come or go meanwhile neither repeat nor hide others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_PAGE = 5_000  # rows


@dataclass(frozen=True, slots=True)
class Query:
    """SQL with its arguments, ``$1`` first."""

    sql: str
    arguments: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class After:
    """The last row of a page: the value of the column that the page was sorted by, and its key."""

    value: object
    key: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """How pages are sorted.

    column : an expression over the view's columns; None: by the key alone
    key : columns that tell rows apart; the last of the order
    nullable : whether the column may be null; nulls come last, in either direction,
    nulls_first : or, in descending order, first: what has not ended yet before what has
    """

    column: str | None
    key: tuple[str, ...]
    descending: bool = False
    nullable: bool = False
    nulls_first: bool = False

    @property
    def sql(self) -> str:
        way = "DESC" if self.descending else "ASC"
        keys = [f"{name} {way}" for name in self.key]
        if self.column is None:
            return ", ".join(keys)
        # Without a word, PostgreSQL puts nulls first in descending order and last in ascending order.
        nulls = " NULLS LAST" if self.nullable and self.descending and not self.nulls_first else ""
        return ", ".join([f"{self.column} {way}{nulls}", *keys])


@dataclass(slots=True)
class Conditions:
    """What rows must fulfil, joined by AND, with the arguments so far."""

    arguments: list[object] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    def argument(self, value: object) -> str:
        """Return the placeholder of one more argument."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def add(self, condition: str, value: object) -> None:
        """Add a condition, with ``{}`` where its value stands. None is no condition."""
        if value is not None:
            self.parts.append(condition.format(self.argument(value)))

    def add_after(self, order: Order, after: After | None) -> None:
        """Leave out everything up to the last row of the page before."""
        if after is None:
            return
        sign = "<" if order.descending else ">"
        is_past_nulls = order.nulls_first and order.descending and after.value is not None
        if order.column is None or not order.nullable or is_past_nulls:
            columns, values = self._compared(order, after)
            self.parts.append(f"({', '.join(columns)}) {sign} ({', '.join(values)})")
            return
        keys = ", ".join(order.key)
        places = ", ".join(self.argument(value) for value in after.key)
        beyond = f"({keys}) {sign} ({places})"
        is_first = order.nulls_first and order.descending
        if after.value is None:
            rest = f" OR {order.column} IS NOT NULL" if is_first else ""
            self.parts.append(f"(({order.column} IS NULL AND {beyond}){rest})")
            return
        value = self.argument(after.value)
        self.parts.append(f"({order.column} {sign} {value} OR ({order.column} = {value} AND {beyond}) OR {order.column} IS NULL)")

    def _compared(self, order: Order, after: After) -> tuple[Sequence[str], Sequence[str]]:
        columns, values = list(order.key), list(after.key)
        if order.column is not None:
            columns, values = [order.column, *columns], [after.value, *values]
        return columns, [self.argument(value) for value in values]

    @property
    def where(self) -> str:
        return f"WHERE {' AND '.join(self.parts)}" if self.parts else ""

    def query(self, sql: str) -> Query:
        return Query(sql, tuple(self.arguments))


def page_of(view: str, conditions: Conditions, order: Order, after: After | None, limit: int, *, columns: str = "*") -> Query:
    """Return one page of a view.

    Raises ValueError for a limit that is not 1 to MAX_PAGE.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"limit: {limit} is not allowed: 1 to {MAX_PAGE}")
    conditions.add_after(order, after)
    place = conditions.argument(limit)
    return conditions.query(f"SELECT {columns} FROM backtape.{view} {conditions.where} ORDER BY {order.sql} LIMIT {place}")
