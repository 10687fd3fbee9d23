"""This module lists the questions behind the charts: the marks of a run, and what it did between two times."""

from datetime import datetime

from projections.queries import Query


def marks(backtest_id: str) -> Query:
    """All equity marks of a backtest, in order."""
    return Query(
        "SELECT time, equity, cash, exposure, drawdown FROM backtape.equity WHERE backtest_id = $1 ORDER BY mark", (backtest_id,)
    )


def fills_between(backtest_id: str, symbol: str, *, start: datetime, end: datetime, limit: int) -> Query:
    """Fills of one symbol in a span of market time, with their orders' tags, in order."""
    return Query(
        """
        SELECT f.fill_id, f.time, f.side, f.quantity, f.price, f.order_id, o.tag
        FROM backtape.fills AS f LEFT JOIN backtape.orders AS o ON o.backtest_id = f.backtest_id AND o.order_id = f.order_id
        WHERE f.backtest_id = $1 AND f.symbol = $2 AND f.time >= $3 AND f.time <= $4 ORDER BY f.fill_id LIMIT $5
        """,
        (backtest_id, symbol, start, end, limit),
    )


def count_of_fills(backtest_id: str, symbol: str, *, start: datetime, end: datetime) -> Query:
    """How many fills of one symbol a span has."""
    return Query(
        "SELECT count(*) AS count FROM backtape.fills WHERE backtest_id = $1 AND symbol = $2 AND time >= $3 AND time <= $4",
        (backtest_id, symbol, start, end),
    )


def trades_touching(backtest_id: str, symbol: str, *, start: datetime, end: datetime, limit: int) -> Query:
    """Closed positions of one symbol that lie at least partly in a span."""
    return Query(
        """
        SELECT trade_id, side, opened_at, closed_at, average_price, average_close, realized_pnl
        FROM backtape.trades WHERE backtest_id = $1 AND symbol = $2 AND closed_at >= $3 AND opened_at <= $4
        ORDER BY trade_id LIMIT $5
        """,
        (backtest_id, symbol, start, end, limit),
    )


def priced_orders_touching(backtest_id: str, symbol: str, *, start: datetime, end: datetime, limit: int) -> Query:
    """Orders of one symbol with a stop or a limit price that were there in a span."""
    return Query(
        """
        SELECT order_id, order_type, side, submitted_at, ended_at, is_open, stop_price, limit_price
        FROM backtape.orders
        WHERE backtest_id = $1 AND symbol = $2 AND submitted_at <= $4 AND (ended_at IS NULL OR ended_at >= $3)
          AND (stop_price IS NOT NULL OR limit_price IS NOT NULL)
        ORDER BY order_id LIMIT $5
        """,
        (backtest_id, symbol, start, end, limit),
    )
