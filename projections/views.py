"""This module lists the views of schema ``backtape``: what people query, whatever version of the tables lies behind.

A view shows its table's columns with their comments, without the inner ones. What joins several sources is a view, never a
table; what is computed stands in projections/computed_views.py. The roles ``backtape_reader`` and ``backtape_web`` may read the
views and nothing else.
"""

from dataclasses import dataclass

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from projections.computed_views import COMPUTED_VIEWS, Computed
from projections.ddl import quoted_text
from projections.functions import functions_sql
from projections.roles import VIEW_SCHEMA, view_grants_sql
from projections.tables import (
    ACCOUNT_EVENTS,
    ARCHIVED_RANGES,
    BACKTESTS,
    COMMANDS,
    COMMITS,
    DEAD_LETTERS,
    DELETED_BACKTESTS,
    EQUITY,
    FILLS,
    MONTHLY_RETURNS,
    ORDERS,
    POSITION_HISTORY,
    POSITIONS,
    PROJECTION_STATE,
    QUARANTINE,
    SNAPSHOTS,
    STATISTICS,
    SYMBOL_STATISTICS,
    TRADES,
    shown,
)


@dataclass(frozen=True, slots=True)
class Joined:
    """A column that comes from another table than the view's own."""

    name: str
    expression: str
    comment: str


@dataclass(frozen=True, slots=True)
class View:
    """One view.

    query : SQL for its rows, where these are no rows of the table's own
    joins : SQL after the table, which has the alias ``t``; at most one row each. ``{schema}`` is the generation's schema
    """

    table: Table
    query: str = ""
    joined: tuple[Joined, ...] = ()
    joins: str = ""

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def comment(self) -> str:
        return str(self.table.comment)

    @property
    def columns(self) -> dict[str, str]:
        """Return the comment of each column, in order."""
        own = {name: str(self.table.columns[name].comment) for name in shown(self.table)}
        return own | {column.name: column.comment for column in self.joined}

    def type_of(self, name: str) -> str:
        """Return a column's type, as people write it."""
        column = self.table.columns.get(name)
        if column is None:
            return "text"
        kind = column.type.compile(postgresql.dialect()).lower()  # type: ignore[no-untyped-call]
        return kind.removesuffix(' collate "c"').replace("timestamp with time zone", "timestamptz")

    def select(self, schema: str) -> str:
        """Return the view's query over the tables of a schema."""
        if self.query:
            return " ".join(self.query.format(schema=schema).split())
        own = [f't."{name}"' for name in self.columns if name not in {column.name for column in self.joined}]
        joined = [f'{column.expression.format(schema=schema)} AS "{column.name}"' for column in self.joined]
        return f"SELECT {', '.join(own + joined)} FROM {schema}.{self.table.name} AS t{self.joins.format(schema=schema)}"


# A subquery in the list of columns, not a join: it costs nothing where the column is not asked for.
_QUARANTINE_REASON = (
    "(SELECT q.reason FROM {schema}.quarantine AS q WHERE q.backtest_id = t.backtest_id"
    ' ORDER BY q.topic, q.partition, q."offset" LIMIT 1)'
)

# What projections/positions.py says for results in process: history_rows and trade_row.
_POSITION_HISTORY = """
    SELECT backtest_id, opened_sequence AS sequence, position_id, opened_at AS time, opened_symbol AS symbol, 'opened' AS change,
           opened_quantity AS quantity, opened_price AS average_price, opened_commission AS commission,
           opened_pnl AS realized_pnl, 0::double precision AS gross_pnl
    FROM {schema}.positions
    UNION ALL
    SELECT backtest_id, last_sequence, position_id, closed_at, symbol, 'closed', quantity, average_price, commission,
           realized_pnl, gross_pnl
    FROM {schema}.positions WHERE NOT is_open
    UNION ALL
    SELECT backtest_id, sequence, position_id, time, symbol, change, quantity, average_price, commission, realized_pnl, gross_pnl
    FROM {schema}.position_changes
"""
_TRADES = """
    SELECT backtest_id, position_id AS trade_id, last_sequence AS sequence, symbol,
           CASE side WHEN 'long' THEN 'buy' ELSE 'sell' END AS side, largest_quantity AS quantity, opened_at, closed_at,
           bars_held, average_price, average_close, commission, realized_pnl, gross_pnl, return_fraction, mae, mfe, funding,
           borrow, dividends
    FROM {schema}.positions WHERE NOT is_open
"""

VIEWS: tuple[View | Computed, ...] = (
    View(
        BACKTESTS,
        joined=(
            Joined("manifest_key", "s.manifest_key", "key of its snapshot's manifest in the blob store; null before it has one"),
            Joined("quarantine_reason", _QUARANTINE_REASON, "why its rows stand still at last_sequence; null while they do not"),
        ),
        joins=(" LEFT JOIN {schema}.snapshots AS s ON s.backtest_id = t.backtest_id"),
    ),
    View(ORDERS),
    View(FILLS),
    View(POSITIONS),
    View(POSITION_HISTORY, query=_POSITION_HISTORY),
    View(TRADES, query=_TRADES),
    View(EQUITY),
    View(ACCOUNT_EVENTS),
    View(STATISTICS),
    View(MONTHLY_RETURNS),
    View(SYMBOL_STATISTICS),
    View(COMMITS),
    View(COMMANDS),
    View(DEAD_LETTERS),
    View(SNAPSHOTS),
    View(ARCHIVED_RANGES),
    View(QUARANTINE),
    View(PROJECTION_STATE),
    View(DELETED_BACKTESTS),
    *COMPUTED_VIEWS,
)


def views_sql(schema: str) -> list[str]:
    """Return the statements that put the views over a generation's schema, in one transaction, whatever was there before."""
    statements = [
        f"CREATE SCHEMA IF NOT EXISTS {VIEW_SCHEMA}",
        *(f"DROP VIEW IF EXISTS {VIEW_SCHEMA}.{view.name}" for view in VIEWS),
    ]
    for view in VIEWS:
        statements.append(f"CREATE VIEW {VIEW_SCHEMA}.{view.name} AS {view.select(schema)}")
        statements.append(f"COMMENT ON VIEW {VIEW_SCHEMA}.{view.name} IS {quoted_text(view.comment)}")
        for name, comment in view.columns.items():
            statements.append(f'COMMENT ON COLUMN {VIEW_SCHEMA}.{view.name}."{name}" IS {quoted_text(comment)}')
    return [*statements, *functions_sql(), *view_grants_sql()]
