"""This module refuses a sort that would keep the database busy for seconds: of very many rows, by a column without an index."""

from projections import queries
from projections.queries import INDEXED_SORTS, BacktestFilter
from web.problems import invalid_field
from web.services import Services

SORTED_ROWS = 100_000  # that many are sorted in some tenths of a second; the dashboard offers these sorts up to there


async def check_sortable(services: Services, wanted: BacktestFilter, column: str | None) -> None:
    """Raise ProblemError 422 where more rows would be sorted than is allowed, and say what can be done instead."""
    if column is None or column in INDEXED_SORTS or (await services.counts.of(None))["total"] <= SORTED_ROWS:
        return
    (answer,) = await services.ask(queries.backtest_count(wanted, most=SORTED_ROWS))
    if answer["count"] > SORTED_ROWS:
        raise invalid_field(
            "query.sort",
            column,
            f"a filter that leaves at most {SORTED_ROWS:,} backtests, or one of {', '.join(INDEXED_SORTS)}: it has no index",
        )
