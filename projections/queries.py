"""This module lists the questions that the command line and the dashboard ask of the read model, as SQL over the views.

A ``Query`` is answered by the SqlReader port, one dict per row. Times are timestamps in UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """SQL with its arguments, ``$1`` first."""

    sql: str
    arguments: tuple[object, ...] = ()


_STATUS_COLUMNS = """
    backtest_id, status, strategy, symbols, dataset, dataset_version, timeframe, submitter, priority, tags,
    accepted_at, started_at, finished_at, bars_done, bars, equity, orders, fills, trades, initial_cash, final_equity, currency,
    total_return, cagr, sharpe, sortino, max_drawdown, win_rate, profit_factor,
    failure_reason, failure_detail, cancel_reason, last_number, last_sequence, chain_head, data_digest, spec_digest,
    log_id, partition, first_offset, manifest_key, quarantine_reason
"""


def backtest(backtest_id: str) -> Query:
    """One backtest: status, progress, results, where its log and its snapshot are. No row: it was never accepted."""
    return Query(f"SELECT {_STATUS_COLUMNS}, spec FROM backtape.backtests WHERE backtest_id = $1", (backtest_id,))


def backtests(*, status: str | None = None, submitter: str | None = None, tag: str | None = None, limit: int = 100) -> Query:
    """The newest backtests first."""
    return Query(
        f"""
        SELECT {_STATUS_COLUMNS} FROM backtape.backtests
        WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR submitter = $2) AND ($3::text IS NULL OR $3 = ANY(tags))
        ORDER BY accepted_at DESC, backtest_id LIMIT $4
        """,
        (status, submitter, tag, limit),
    )


def named_backtests(backtest_ids: Sequence[str]) -> Query:
    """These backtests, by their ids: a table of results, or the state of a live view."""
    return Query(
        f"SELECT {_STATUS_COLUMNS} FROM backtape.backtests WHERE backtest_id = ANY($1) ORDER BY accepted_at, backtest_id",
        (list(backtest_ids),),
    )


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


def finished_ids() -> Query:
    """All finished backtests that a log can prove, the oldest first."""
    return Query(
        "SELECT backtest_id, manifest_key FROM backtape.backtests"
        " WHERE status IN ('completed', 'cancelled', 'failed') AND origin = 'run' ORDER BY accepted_at, backtest_id"
    )


def commands(*, backtest_id: str | None = None, outcome: str | None = None, limit: int = 100) -> Query:
    """What came in and what became of it, the newest first."""
    return Query(
        """
        SELECT recorded_at, outcome, command_type, command_id, backtest_id, submitter, issued_at, reason, detail,
               partition, command_offset, receipt_offset
        FROM backtape.commands
        WHERE ($1::text IS NULL OR backtest_id = $1) AND ($2::text IS NULL OR outcome = $2)
        ORDER BY recorded_at DESC, partition, receipt_offset DESC LIMIT $3
        """,
        (backtest_id, outcome, limit),
    )


def receipt_counts() -> Query:
    """How many commands had each outcome."""
    return Query("SELECT outcome, count(*) AS count FROM backtape.commands GROUP BY outcome ORDER BY outcome")


def dead_letters(*, limit: int = 100) -> Query:
    """What could not be read as a command, the newest first."""
    return Query(
        """
        SELECT recorded_at, reason, detail, partition, command_offset, letter_offset, length, sha256, beginning
        FROM backtape.dead_letters ORDER BY recorded_at DESC, partition, letter_offset DESC LIMIT $1
        """,
        (limit,),
    )


def totals() -> Query:
    """One row: backtests by status, events, commits, fills, dead letters, quarantined records."""
    return Query(
        """
        SELECT count(*) AS backtests,
               count(*) FILTER (WHERE status = 'queued') AS queued,
               count(*) FILTER (WHERE status = 'running') AS running,
               count(*) FILTER (WHERE status = 'completed') AS completed,
               count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
               count(*) FILTER (WHERE status = 'failed') AS failed,
               coalesce(sum(last_sequence), 0)::bigint AS events,
               coalesce(sum(last_number), 0)::bigint AS commits,
               coalesce(sum(fills), 0)::bigint AS fills,
               (SELECT count(*) FROM backtape.dead_letters) AS dead_letters,
               (SELECT count(*) FROM backtape.quarantine) AS quarantined
        FROM backtape.backtests
        """
    )


def positions() -> Query:
    """How far each source has been read."""
    return Query(
        "SELECT topic, partition, log_id, next_offset, recorded_at, updated_at FROM backtape.projection_state ORDER BY 1, 2"
    )


def quarantine() -> Query:
    """Records that could not be projected, and why."""
    return Query('SELECT topic, partition, "offset", backtest_id, recorded_at, reason FROM backtape.quarantine ORDER BY 1, 2, 3')
