"""This package lists the questions that command line, HTTP API and dashboard ask of the read model, as SQL over its views.

A ``Query`` is answered by the SqlReader port, one dict per row. Times are timestamps in UTC.
"""

from projections.queries.backtests import (
    INDEXED_SORTS,
    MAX_COUNTED,
    SORTS,
    BacktestFilter,
    backtest,
    backtest_count,
    backtest_page,
    deletable,
    finished_ids,
    import_states,
    named_backtests,
    status_counts,
    totals,
)
from projections.queries.query import MAX_PAGE, After, Query
from projections.queries.runs import (
    FILL_SORTS,
    ORDER_SORTS,
    POSITION_SORTS,
    TRADE_SORTS,
    account_events,
    commits,
    drawdowns,
    equity,
    equity_curve,
    fills,
    monthly_returns,
    orders,
    position_history,
    positions,
    statistics,
    symbol_statistics,
    trades,
)
from projections.queries.system import (
    archived,
    archived_ranges,
    commands,
    dead_letter,
    dead_letters,
    health,
    is_projected,
    positions_of_sources,
    quarantine,
    receipt,
    receipt_counts,
    receipts,
    snapshots,
)

__all__ = [
    "FILL_SORTS", "INDEXED_SORTS", "MAX_COUNTED", "MAX_PAGE", "ORDER_SORTS", "POSITION_SORTS", "SORTS", "TRADE_SORTS",
    "After", "BacktestFilter", "Query",
    "account_events", "archived", "archived_ranges",
    "backtest", "backtest_count", "backtest_page", "commands", "commits", "dead_letter", "dead_letters",
    "deletable", "drawdowns", "equity", "equity_curve", "fills", "finished_ids", "health", "import_states", "is_projected",
    "monthly_returns",
    "named_backtests", "orders", "position_history", "positions", "positions_of_sources", "quarantine", "receipt",
    "receipt_counts", "receipts", "snapshots", "statistics", "status_counts", "symbol_statistics", "totals", "trades",
]  # fmt: skip
