"""This module holds the routes that list backtests and show what came of one."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from projections import queries, run_queries
from projections.queries import After
from projections.queries import Query as SqlQuery
from web.access import Anyone
from web.answers import Json, statistics_of
from web.freshness import Fresh
from web.lookup import seen_row
from web.models.backtests import BacktestCounts, BacktestPage, BacktestResult, BacktestRow, Status
from web.models.common import BacktestIdPath
from web.models.rows import SymbolStatistics
from web.paging import page_of, sort_of
from web.services import Services, Wired
from web.sorting import check_sortable
from web.status import links, progress, queue_position
from web.tables import POSITIONS

router = APIRouter(prefix="/api/backtests", tags=["backtests"])

COLUMNS = tuple(BacktestRow.model_fields)
NEWEST_FIRST = "accepted_at"
SHOWN_POSITIONS = 200

Text = Annotated[str | None, Query(max_length=200)]


@router.get("", response_model=BacktestPage, summary="List backtests")
async def list_backtests(
    principal: Anyone,
    services: Wired,
    status: Annotated[list[Status], Query(description="only in these states; may be repeated")] = [],  # noqa: B006
    strategy: Text = None,
    symbol: Text = None,
    dataset: Text = None,
    submitter: Text = None,
    tag: Annotated[str | None, Query(max_length=200, description="only with this very tag")] = None,
    q: Annotated[
        str | None, Query(max_length=200, description="words: each begins a word of the tags, the id, the strategy or a symbol")
    ] = None,
    accepted_after: Annotated[datetime | None, Query(description="accepted at this time or later")] = None,
    accepted_before: Annotated[datetime | None, Query(description="accepted before this time")] = None,
    sort: Annotated[
        str | None,
        Query(
            max_length=64,
            description="a column; with - before it: descending. Of more than 100,000 backtests only those with an index",
            examples=["-sharpe"],
        ),
    ] = None,
    after: Annotated[str | None, Query(max_length=2_000, description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Json:
    """List the backtests that one sees, the newest first unless `sort` says otherwise."""
    column, descending = (NEWEST_FIRST, True) if sort is None else sort_of(sort, queries.SORTS)
    wanted = queries.BacktestFilter(
        statuses=tuple(status), strategy=strategy, dataset=dataset, symbol=symbol, tag=tag, text=q,
        submitter=submitter if principal.only_of is None else principal.only_of,
        accepted_from=accepted_after, accepted_before=accepted_before,
    )  # fmt: skip
    if principal.only_of is not None and submitter not in (None, principal.only_of):
        return Json({"items": [], "next_cursor": None})
    await check_sortable(services, wanted, column)

    def page(place: After | None, size: int) -> SqlQuery:
        return queries.backtest_page(wanted, sort=column or NEWEST_FIRST, descending=descending, after=place, limit=size)

    by = None if column == "backtest_id" else column
    answer = await page_of(
        services, page, view="backtests", columns=COLUMNS, sort=by, keys=("backtest_id",), after=after, limit=limit
    )
    return Json(answer)


@router.get("/counts", response_model=BacktestCounts, summary="How many backtests there are")
async def count_backtests(principal: Anyone, services: Wired) -> Json:
    """Count the backtests that one sees, by state."""
    return Json(await services.counts.of(principal.only_of))


@router.get("/{backtest_id}", response_model=BacktestResult, summary="A backtest's result", dependencies=[Fresh])
async def result(backtest_id: BacktestIdPath, principal: Anyone, services: Wired) -> Json:
    """Show one backtest: what was asked for, how far it is, its numbers, positions, provenance, and where the rest is."""
    await seen_row(services, principal, backtest_id)
    (row,) = await services.ask(run_queries.backtest(backtest_id))
    positions, total = await _positions(services, backtest_id)
    document = {
        **{name: row[name] for name in BacktestResult.model_fields if name in row},
        "progress": progress(row),
        "queue_position": await queue_position(services, row),
        "statistics": statistics_of(await services.ask(queries.statistics(backtest_id))),
        "by_symbol": [
            {name: each[name] for name in SymbolStatistics.model_fields}
            for each in await services.ask(queries.symbol_statistics(backtest_id))
        ],
        "positions": positions,
        "positions_total": total,
        "audit": await services.audits.last(backtest_id),
        "code": await services.provenance.of(row),
        "links": links(backtest_id),
    }
    return Json(document)


async def _positions(services: Services, backtest_id: str) -> tuple[list[dict[str, Any]], int]:
    """Return the open positions, then the newest closed ones, and how many there are."""
    (totals,) = await services.ask(run_queries.position_totals(backtest_id))
    rows = await services.ask(run_queries.newest_positions(backtest_id, SHOWN_POSITIONS))
    return [{name: row[name] for name in POSITIONS.columns} for row in rows], totals["positions"]
