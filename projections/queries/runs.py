"""This module lists the questions about what one backtest did: its rows by pages, its curve, its statistics.

A page's next one begins ``After(None, (row[key], …))`` of its last row, with the keys that each function names; or, where it was
sorted by a column, ``After(row[sort], (row[key], …))``.
"""

from projections.queries.query import After, Conditions, Order, Query, page_of

TRADE_SORTS = (
    "closed_at", "opened_at", "realized_pnl", "gross_pnl", "commission", "return_fraction", "bars_held", "quantity", "mae", "mfe",
    "symbol", "side",
)  # fmt: skip
ORDER_SORTS = ("submitted_at", "ended_at", "symbol", "status", "quantity", "filled_quantity")
FILL_SORTS = ("time", "symbol", "quantity", "price", "commission")
POSITION_SORTS = (
    "opened_at", "closed_at", "symbol", "side", "quantity", "average_price", "unrealized_pnl", "realized_pnl", "gross_pnl",
    "commission", "return_fraction", "mae", "mfe", "bars_held",
)  # fmt: skip


def orders(
    backtest_id: str, *, symbol: str | None = None, status: str | None = None, is_open: bool | None = None,
    sort: str | None = None, descending: bool = False, after: After | None = None, limit: int = 500,
) -> Query:  # fmt: skip
    """Orders in their current state; key ``order_id``."""
    conditions = _of(backtest_id, symbol)
    conditions.add("status = {}", status)
    _add_open(conditions, is_open)
    return page_of("orders", conditions, _order(sort, ORDER_SORTS, ("order_id",), descending), after, limit)


def fills(
    backtest_id: str, *, symbol: str | None = None, sort: str | None = None, descending: bool = False, after: After | None = None,
    limit: int = 500,
) -> Query:  # fmt: skip
    """Executions; key ``fill_id``."""
    return page_of("fills", _of(backtest_id, symbol), _order(sort, FILL_SORTS, ("fill_id",), descending), after, limit)


def positions(
    backtest_id: str, *, symbol: str | None = None, is_open: bool | None = None, sort: str | None = None,
    descending: bool = False, after: After | None = None, limit: int = 500,
) -> Query:  # fmt: skip
    """Positions in their current state; key ``position_id``."""
    conditions = _of(backtest_id, symbol)
    _add_open(conditions, is_open)
    return page_of("positions", conditions, _order(sort, POSITION_SORTS, ("position_id",), descending), after, limit)


def position_history(
    backtest_id: str, *, position_id: int | None = None, descending: bool = False, after: After | None = None, limit: int = 500
) -> Query:
    """Changes of positions; keys ``sequence, position_id``."""
    conditions = _of(backtest_id, None)
    conditions.add("position_id = {}", position_id)
    return page_of("position_history", conditions, Order(None, ("sequence", "position_id"), descending), after, limit)


def trades(
    backtest_id: str, *, symbol: str | None = None, sort: str | None = None, descending: bool = False, after: After | None = None,
    limit: int = 500,
) -> Query:  # fmt: skip
    """Closed positions; key ``trade_id``."""
    return page_of("trades", _of(backtest_id, symbol), _order(sort, TRADE_SORTS, ("trade_id",), descending), after, limit)


def account_events(backtest_id: str, *, after: After | None = None, limit: int = 500) -> Query:
    """Funding, borrow costs, dividends, splits, margin calls …; key ``sequence``."""
    return page_of("account_events", _of(backtest_id, None), Order(None, ("sequence",)), after, limit)


def equity(backtest_id: str, *, after: After | None = None, limit: int = 5_000) -> Query:
    """Equity marks; key ``mark``."""
    return page_of("equity", _of(backtest_id, None), Order(None, ("mark",)), after, limit)


def equity_curve(backtest_id: str, *, points: int) -> Query:
    """At most ``points`` of the equity marks, in order, for a picture: first and last, and of each stretch the highest and the
    lowest equity and the deepest drawdown. No extreme is lost.

    Raises ValueError for fewer than 5 points.
    """
    if points < 5:
        raise ValueError(f"points: {points} is not allowed: at least 5")
    return Query(
        """
        WITH last AS (SELECT max(mark) AS mark FROM backtape.equity WHERE backtest_id = $1),
        marks AS (
            SELECT e.mark, e.time, e.equity, e.cash, e.exposure, e.drawdown, (e.mark - 1) * $2 / last.mark AS stretch,
                   e.mark IN (1, last.mark) AS is_end
            FROM backtape.equity AS e, last WHERE e.backtest_id = $1
        ),
        extremes AS (
            SELECT stretch, min(equity) AS lowest, max(equity) AS highest, min(drawdown) AS deepest FROM marks GROUP BY stretch
        )
        SELECT mark, time, equity, cash, exposure, drawdown FROM (
            SELECT DISTINCT ON (kind) m.* FROM marks AS m JOIN extremes AS x USING (stretch)
            CROSS JOIN LATERAL unnest(ARRAY[
                CASE WHEN m.is_end THEN 'end ' || m.mark END,
                CASE WHEN m.equity = x.lowest THEN 'low ' || stretch END,
                CASE WHEN m.equity = x.highest THEN 'high ' || stretch END,
                CASE WHEN m.drawdown = x.deepest THEN 'deep ' || stretch END
            ]) AS kind
            WHERE kind IS NOT NULL ORDER BY kind, m.mark
        ) AS chosen
        GROUP BY mark, time, equity, cash, exposure, drawdown ORDER BY mark
        """,
        (backtest_id, (points - 2) // 3),
    )


def drawdowns(backtest_id: str, *, limit: int = 10) -> Query:
    """The deepest falls from a peak, the deepest first."""
    return Query(
        "SELECT * FROM backtape.drawdowns WHERE backtest_id = $1 ORDER BY depth, start LIMIT $2",
        (backtest_id, limit),
    )


def monthly_returns(backtest_id: str) -> Query:
    """Returns by month of the UTC calendar."""
    return Query("SELECT * FROM backtape.monthly_returns WHERE backtest_id = $1 ORDER BY month", (backtest_id,))


def symbol_statistics(backtest_id: str) -> Query:
    """Numbers of the closed positions of each symbol."""
    return Query("SELECT * FROM backtape.symbol_statistics WHERE backtest_id = $1 ORDER BY symbol", (backtest_id,))


def statistics(backtest_id: str) -> Query:
    """All statistics of a completed backtest: ``value`` is a number or null, ``text`` is set where it is no number."""
    return Query("SELECT name, value, text FROM backtape.statistics WHERE backtest_id = $1 ORDER BY name", (backtest_id,))


def commits(backtest_id: str, *, first_sequence: int = 1, last_sequence: int | None = None) -> Query:
    """Where the commits that hold these events lie in the log, in order."""
    return Query(
        """
        SELECT number, log_id, partition, "offset", first_sequence, last_sequence, author, digest, bytes, recorded_at
        FROM backtape.commits
        WHERE backtest_id = $1 AND last_sequence >= $2 AND ($3::bigint IS NULL OR first_sequence <= $3)
        ORDER BY number
        """,
        (backtest_id, first_sequence, last_sequence),
    )


def _of(backtest_id: str, symbol: str | None) -> Conditions:
    conditions = Conditions()
    conditions.add("backtest_id = {}", backtest_id)
    conditions.add("symbol = {}", symbol)
    return conditions


def _add_open(conditions: Conditions, is_open: bool | None) -> None:
    """Leave those that are open, or those that are not. In these words, and not as an argument: an index knows them."""
    if is_open is not None:
        conditions.parts.append("is_open" if is_open else "NOT is_open")


def _order(sort: str | None, allowed: tuple[str, ...], key: tuple[str, ...], descending: bool) -> Order:
    if sort is None:
        return Order(None, key, descending)
    if sort not in allowed:
        raise ValueError(f"sort: {sort!r} is not allowed: one of {', '.join(allowed)}")
    return Order(sort, key, descending, nullable=True)
