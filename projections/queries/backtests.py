"""This module lists the questions about backtests as a whole: one, some, a page of all, counts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from projections.queries.query import After, Conditions, Order, Query, page_of

STATUS_COLUMNS = """
    backtest_id, origin, status, strategy, symbols, dataset, dataset_version, timeframe, submitter, priority, tags,
    issued_at, accepted_at, started_at, finished_at, first_bar, last_bar, bars_done, bars, equity, orders, fills, trades,
    initial_cash, final_equity, currency, total_return, cagr, volatility, sharpe, sortino, max_drawdown, calmar, win_rate,
    profit_factor, sqn, failure_reason, failure_detail, cancel_reason, last_number, last_sequence, chain_head, data_digest,
    spec_digest, log_id, partition, first_offset, manifest_key, quarantine_reason
"""

# What a list may be sorted by. The first eight have an index; the others sort what the filter leaves: seconds, of a million rows.
INDEXED_SORTS = (
    "accepted_at", "finished_at", "sharpe", "total_return", "max_drawdown", "cagr", "final_equity", "backtest_id",
)  # fmt: skip
SORTS = (
    *INDEXED_SORTS,
    "started_at", "volatility", "sortino", "calmar", "win_rate", "profit_factor", "sqn", "trades",
    "fills", "status", "strategy", "dataset", "submitter",
)  # fmt: skip
NEVER_NULL = ("accepted_at", "backtest_id", "trades", "fills", "status")
MAX_COUNTED = 10_000  # rows; beyond, a count says "more"
MAX_WORDS = 8  # of a search

_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class BacktestFilter:
    """Which backtests are wanted; all conditions must hold.

    statuses : one of these; empty: any
    symbol, tag : one of the backtest's
    accepted_from, accepted_before : with their zone; from is inclusive
    text : words that id, strategy, data set, symbols, submitter or tags begin with, as in ``sma demo``
    """

    statuses: tuple[str, ...] = ()
    strategy: str | None = None
    dataset: str | None = None
    symbol: str | None = None
    submitter: str | None = None
    tag: str | None = None
    text: str | None = None
    accepted_from: datetime | None = None
    accepted_before: datetime | None = None

    def conditions(self) -> Conditions:
        found = Conditions()
        found.add("status = ANY({}::text[])", list(self.statuses) or None)
        found.add("strategy = {}", self.strategy)
        found.add("dataset = {}", self.dataset)
        found.add("symbols @> ARRAY[{}::text]", self.symbol)
        found.add("submitter = {}", self.submitter)
        found.add("tags @> ARRAY[{}::text]", self.tag)
        found.add("accepted_at >= {}", self.accepted_from)
        found.add("accepted_at < {}", self.accepted_before)
        found.add("to_tsvector('simple', words) @@ to_tsquery('simple', {})", search_of(self.text))
        return found


def search_of(text: str | None) -> str | None:
    """Return what ``to_tsquery`` makes of words and beginnings of words; None without any."""
    words = _NOT_WORD.sub(" ", text.lower()).split() if text else []
    return " & ".join(f"{word}:*" for word in words[:MAX_WORDS]) or None


def order_of(sort: str, *, descending: bool = True) -> Order:
    """Return the order of a list. Raises ValueError for what it can't be sorted by."""
    if sort not in SORTS:
        raise ValueError(f"sort: {sort!r} is not allowed: one of {', '.join(SORTS)}")
    column = None if sort == "backtest_id" else sort
    return Order(
        column, ("backtest_id",), descending, nullable=sort not in NEVER_NULL, nulls_first=sort in ("started_at", "finished_at")
    )


def backtest(backtest_id: str) -> Query:
    """One backtest: status, progress, results, where its log and its snapshot are. No row: it was never accepted."""
    return Query(f"SELECT {STATUS_COLUMNS}, spec FROM backtape.backtests WHERE backtest_id = $1", (backtest_id,))


def backtest_page(
    wanted: BacktestFilter | None = None,
    *,
    sort: str = "accepted_at",
    descending: bool = True,
    after: After | None = None,
    limit: int = 100,
) -> Query:
    """One page of the list. The next one begins ``After(row[sort], (row["backtest_id"],))`` of its last row.

    Raises ValueError for a sort or a limit that is not allowed.
    """
    conditions = (wanted or BacktestFilter()).conditions()
    return page_of("backtests", conditions, order_of(sort, descending=descending), after, limit, columns=STATUS_COLUMNS)


def backtest_count(wanted: BacktestFilter | None = None, *, most: int = MAX_COUNTED) -> Query:
    """One row: how many backtests the filter leaves, ``count``; ``most`` + 1 means more than ``most``."""
    conditions = (wanted or BacktestFilter()).conditions()
    place = conditions.argument(most + 1)
    return conditions.query(
        f"SELECT count(*) AS count FROM (SELECT FROM backtape.backtests {conditions.where} LIMIT {place}) AS found"
    )


def status_counts() -> Query:
    """How many backtests are in each state."""
    return Query("SELECT status, count(*) AS count FROM backtape.backtests GROUP BY status ORDER BY status")


def named_backtests(backtest_ids: Sequence[str]) -> Query:
    """These backtests, by their ids: a table of results, or the state of a live view."""
    return Query(
        f"SELECT {STATUS_COLUMNS} FROM backtape.backtests WHERE backtest_id = ANY($1) ORDER BY accepted_at, backtest_id",
        (list(backtest_ids),),
    )


def finished_ids() -> Query:
    """All finished backtests, the oldest first; imported results among them."""
    return Query(
        "SELECT backtest_id, manifest_key FROM backtape.backtests"
        " WHERE status IN ('completed', 'cancelled', 'failed') ORDER BY accepted_at, backtest_id"
    )


def deletable(
    *, finished_before: object = None, keep: int | None = None, after: After | None = None, limit: int = 1_000
) -> Query:
    """Finished backtests, the newest first, that retention may delete: those that ended before a time, or all but the newest.

    finished_before : datetime with its zone
    keep : so many of the newest are left out
    after : as in ``backtest_page``, sorted by ``finished_at``
    """
    conditions = Conditions()
    conditions.parts.append("finished_at IS NOT NULL")
    conditions.add("finished_at < {}", finished_before)
    if keep is not None:
        place = conditions.argument(keep)
        conditions.parts.append(
            "(finished_at, backtest_id) <= (SELECT finished_at, backtest_id FROM backtape.backtests WHERE finished_at IS NOT NULL"
            f" ORDER BY finished_at DESC, backtest_id DESC OFFSET {place} LIMIT 1)"
        )
    order = Order("finished_at", ("backtest_id",), descending=True)
    return page_of("backtests", conditions, order, after, limit, columns="backtest_id, finished_at, status, submitter")


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


def import_states(backtest_ids: Sequence[str]) -> Query:
    """What there is of these ids: ``origin`` run, imported (then with the ``digest`` of the original document) or deleted."""
    return Query(
        "SELECT backtest_id, origin, CASE WHEN origin = 'imported' THEN submitted_digest END AS digest"
        " FROM backtape.backtests WHERE backtest_id = ANY($1)"
        " UNION ALL SELECT backtest_id, 'deleted', NULL FROM backtape.deleted_backtests WHERE backtest_id = ANY($1)",
        (list(backtest_ids),),
    )
