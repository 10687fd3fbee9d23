"""This module lists the tables of a backtest that can be asked for: their rows' model, their key, what they may be sorted by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from projections import queries
from projections.queries import After, Query
from projections.views import VIEWS
from web.models.common import Answer
from web.models.rows import EquityMark, Fill, Order, Position, Trade

_ARROW = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "integer": pa.int32(),
    "double precision": pa.float64(),
    "boolean": pa.bool_(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """One table. ``ask`` makes the query of a page: of a backtest, with its filters, sorted, behind a row."""

    view: str
    model: type[Answer]
    key: str
    sorts: tuple[str, ...]
    ask: Callable[..., Query]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.model.model_fields)

    def schema(self) -> pa.Schema:
        """Return the Arrow schema of its rows."""
        view = next(each for each in VIEWS if each.name == self.view)
        return pa.schema([pa.field(name, _ARROW[view.type_of(name)]) for name in self.columns])

    def page(self, backtest_id: str, sort: str | None, descending: bool, **filters: Any) -> Callable[[After | None, int], Query]:
        """Return what makes the query of a page."""
        if self.sorts:
            filters |= {"sort": sort, "descending": descending}

        def make(after: After | None, limit: int) -> Query:
            return self.ask(backtest_id, after=after, limit=limit, **filters)

        return make


ORDERS = Table("orders", Order, "order_id", queries.ORDER_SORTS, queries.orders)
FILLS = Table("fills", Fill, "fill_id", queries.FILL_SORTS, queries.fills)
POSITIONS = Table("positions", Position, "position_id", queries.POSITION_SORTS, queries.positions)
TRADES = Table("trades", Trade, "trade_id", queries.TRADE_SORTS, queries.trades)
EQUITY = Table("equity", EquityMark, "mark", (), queries.equity)
