"""This module lists the questions about one backtest, or about some, that the web service asks of the read model."""

from collections.abc import Sequence

from projections.queries import Query


def status(backtest_id: str) -> Query:
    """What a status tells of a backtest. No row: it was never accepted."""
    return Query(
        """
        SELECT backtest_id, submitter, status, bars_done, bars, equity, last_sequence, priority, partition, first_offset,
               issued_at, accepted_at, started_at, finished_at, failure_reason, failure_detail, cancel_reason,
               initial_cash, final_equity, currency, total_return, cagr, sharpe, sortino, max_drawdown, win_rate, profit_factor,
               trades, fills
        FROM backtape.backtests WHERE backtest_id = $1
        """,
        (backtest_id,),
    )


def owner(backtest_id: str) -> Query:
    """Who submitted it, and how far it is."""
    return Query(
        "SELECT backtest_id, submitter, status, origin, last_sequence FROM backtape.backtests WHERE backtest_id = $1",
        (backtest_id,),
    )


def backtest(backtest_id: str) -> Query:
    """Everything that the view has of one backtest."""
    return Query("SELECT * FROM backtape.backtests WHERE backtest_id = $1", (backtest_id,))


def newest_receipt(backtest_id: str) -> Query:
    """What became of the newest command about a backtest that reached a decision, and who sent it."""
    return Query(
        """
        SELECT command_id, command_type, outcome, reason, detail, submitter, issued_at, recorded_at
        FROM backtape.commands WHERE backtest_id = $1 AND outcome <> 'forwarded'
        ORDER BY recorded_at DESC, receipt_offset DESC LIMIT 1
        """,
        (backtest_id,),
    )


def answered(backtest_id: str, min_offset: int) -> Query:
    """A row once a command about a backtest, from this offset on, was answered; ``is_shown``: its effect is here, too."""
    return Query(
        """
        SELECT CASE WHEN c.outcome <> 'accepted' THEN true
                    WHEN c.command_type = 'SubmitBacktest' THEN b.backtest_id IS NOT NULL
                    WHEN c.command_type = 'CancelBacktest' THEN b.finished_at IS NOT NULL
                    WHEN c.command_type = 'DeleteBacktest' THEN b.backtest_id IS NULL
                    ELSE true END AS is_shown
        FROM backtape.commands AS c LEFT JOIN backtape.backtests AS b USING (backtest_id)
        WHERE c.backtest_id = $1 AND c.command_offset >= $2 AND c.outcome <> 'forwarded'
        ORDER BY c.command_offset LIMIT 1
        """,
        (backtest_id, min_offset),
    )


def queue_position(*, partition: int, priority: int, first_offset: int) -> Query:
    """How many of the partition's queued backtests come before one, by priority and then by order, plus one."""
    return Query(
        """
        SELECT count(*) + 1 AS position FROM backtape.backtests
        WHERE status = 'queued' AND partition = $1 AND (priority > $2 OR (priority = $2 AND first_offset < $3))
        """,
        (partition, priority, first_offset),
    )


def counts(submitter: str | None) -> Query:
    """How many backtests are in each state; of one submitter, or of all."""
    return Query(
        "SELECT status, count(*) AS count FROM backtape.backtests WHERE $1::text IS NULL OR submitter = $1 GROUP BY status",
        (submitter,),
    )


def owners(backtest_ids: Sequence[str]) -> Query:
    """Who submitted each of these."""
    return Query("SELECT backtest_id, submitter FROM backtape.backtests WHERE backtest_id = ANY($1)", (list(backtest_ids),))


def compared(backtest_ids: Sequence[str]) -> Query:
    """What a comparison tells of each of these beside curves and statistics."""
    return Query(
        """
        SELECT backtest_id, submitter, strategy, symbols, status, initial_cash, spec
        FROM backtape.backtests WHERE backtest_id = ANY($1)
        """,
        (list(backtest_ids),),
    )


def statistics_of(backtest_ids: Sequence[str]) -> Query:
    """All statistics of several backtests."""
    return Query(
        "SELECT backtest_id, name, value, text FROM backtape.statistics WHERE backtest_id = ANY($1) ORDER BY 1, 2",
        (list(backtest_ids),),
    )


def position_totals(backtest_id: str) -> Query:
    """All positions of a backtest in one row."""
    return Query(
        """
        SELECT count(*) AS positions, count(*) FILTER (WHERE is_open) AS open,
               coalesce(sum(realized_pnl), 0) AS realized_pnl, coalesce(sum(gross_pnl), 0) AS gross_pnl,
               coalesce(sum(commission), 0) AS commission, coalesce(sum(funding), 0) AS funding,
               coalesce(sum(borrow), 0) AS borrow, coalesce(sum(dividends), 0) AS dividends,
               CASE WHEN count(*) FILTER (WHERE is_open AND unrealized_pnl IS NULL) = 0
                    THEN coalesce(sum(unrealized_pnl), 0) END AS unrealized_pnl
        FROM backtape.positions WHERE backtest_id = $1
        """,
        (backtest_id,),
    )


def positions_by_symbol(backtest_id: str) -> Query:
    """Positions of a backtest, one row for each symbol."""
    return Query(
        """
        SELECT symbol, count(*) AS positions, count(*) FILTER (WHERE is_open) AS open,
               sum(realized_pnl) AS realized_pnl, sum(gross_pnl) AS gross_pnl, sum(commission) AS commission
        FROM backtape.positions WHERE backtest_id = $1 GROUP BY symbol ORDER BY symbol
        """,
        (backtest_id,),
    )


def trades_by_side(backtest_id: str) -> Query:
    """Closed positions of a backtest: one row for all of them (side null), and one for each side."""
    return Query(
        """
        SELECT side, count(*) AS trades,
               count(*) FILTER (WHERE realized_pnl > 0) AS wins, count(*) FILTER (WHERE realized_pnl < 0) AS losses,
               avg(realized_pnl) AS expectancy,
               avg(realized_pnl) FILTER (WHERE realized_pnl > 0) AS average_win,
               avg(realized_pnl) FILTER (WHERE realized_pnl < 0) AS average_loss,
               coalesce(sum(realized_pnl), 0) AS realized_pnl, coalesce(sum(gross_pnl), 0) AS gross_pnl,
               coalesce(sum(commission), 0) AS commission,
               sum(realized_pnl) FILTER (WHERE realized_pnl > 0) / nullif(-sum(realized_pnl) FILTER (WHERE realized_pnl < 0), 0)
                   AS profit_factor,
               avg(bars_held)::double precision AS average_bars_held
        FROM backtape.trades WHERE backtest_id = $1 GROUP BY GROUPING SETS ((), (side))
        """,
        (backtest_id,),
    )


def snapshot_counts() -> Query:
    """How many snapshots there are, how many runs that finished lately have none yet, and since when."""
    return Query(
        """
        SELECT (SELECT count(*) FROM backtape.snapshots) AS snapshots,
               count(*) AS without_snapshot, min(finished_at) AS oldest_without_snapshot
        FROM backtape.backtests
        WHERE status IN ('completed', 'cancelled', 'failed') AND manifest_key IS NULL
          AND finished_at > now() - interval '30 days'
        """
    )


def newest_positions(backtest_id: str, limit: int) -> Query:
    """Open positions first, then closed ones, the newest first."""
    return Query(
        "SELECT * FROM backtape.positions WHERE backtest_id = $1 ORDER BY is_open DESC, position_id DESC LIMIT $2",
        (backtest_id, limit),
    )
