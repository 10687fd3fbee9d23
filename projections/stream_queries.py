"""This module lists the questions that keep event streams going: what is new of a run since a sequence and a mark."""

from collections.abc import Sequence

from projections.queries import Query


def heads(backtest_ids: Sequence[str]) -> Query:
    """How far each of these is: its status and its last sequence."""
    return Query(
        "SELECT backtest_id, status, last_sequence FROM backtape.backtests WHERE backtest_id = ANY($1)", (list(backtest_ids),)
    )


def rows(backtest_ids: Sequence[str], columns: Sequence[str]) -> Query:
    """These backtests, as a list shows them."""
    selected = ", ".join(f'"{column}"' for column in columns)
    return Query(f"SELECT {selected} FROM backtape.backtests WHERE backtest_id = ANY($1)", (list(backtest_ids),))


def open_or_recent(seconds: float, limit: int) -> Query:
    """Backtests that may have changed within so many seconds: the open ones, and those that came or ended since."""
    return Query(
        """
        (SELECT backtest_id, last_sequence FROM backtape.backtests WHERE status IN ('queued', 'running')
         ORDER BY accepted_at DESC LIMIT $2)
        UNION
        (SELECT backtest_id, last_sequence FROM backtape.backtests WHERE accepted_at > now() - make_interval(secs => $1) LIMIT $2)
        """,
        (seconds, limit),
    )


def fills_after(backtest_id: str, after: int, until: int, limit: int, columns: Sequence[str]) -> Query:
    """Fills of a run behind a sequence, up to another one, in order."""
    selected = ", ".join(f'"{column}"' for column in columns)
    return Query(
        f"""
        SELECT {selected} FROM backtape.fills
        WHERE backtest_id = $1 AND fill_id > coalesce((SELECT max(fill_id) FROM backtape.fills
                                                       WHERE backtest_id = $1 AND sequence <= $2), 0) AND sequence <= $3
        ORDER BY fill_id LIMIT $4
        """,
        (backtest_id, after, until, limit),
    )


def positions_changed(backtest_id: str, after: int, until: int, limit: int, columns: Sequence[str]) -> Query:
    """Positions that changed behind a sequence, in their present state, the latest changes first."""
    selected = ", ".join(f'"{column}"' for column in columns)
    return Query(
        f"""
        SELECT {selected} FROM backtape.positions
        WHERE backtest_id = $1 AND last_sequence > $2 AND last_sequence <= $3 ORDER BY last_sequence DESC LIMIT $4
        """,
        (backtest_id, after, until, limit),
    )


def marks_after(backtest_id: str, after: int, limit: int) -> Query:
    """Equity marks of a run behind a mark, in order."""
    return Query(
        """
        SELECT mark, time, equity, cash, exposure, drawdown FROM backtape.equity
        WHERE backtest_id = $1 AND mark > $2 ORDER BY mark LIMIT $3
        """,
        (backtest_id, after, limit),
    )


def last_mark(backtest_id: str) -> Query:
    """The number of a run's last equity mark; null without one."""
    return Query("SELECT max(mark) AS mark FROM backtape.equity WHERE backtest_id = $1", (backtest_id,))
