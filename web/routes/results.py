"""This module holds the routes that list backtests and show what came of one."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from projections import queries, run_queries
from projections.pages import Condition, Order
from web.access import Anyone
from web.answers import Json, statistics_of
from web.lookup import seen_row
from web.models.backtests import BacktestCounts, BacktestPage, BacktestResult, BacktestRow, Status
from web.models.common import BacktestIdPath
from web.paging import order_of, rows_of
from web.positions import positions_page
from web.services import Services, Wired
from web.status import links, progress, queue_position

router = APIRouter(prefix="/api/backtests", tags=["backtests"])

COLUMNS = tuple(BacktestRow.model_fields)
NEWEST_FIRST = Order("accepted_at", descending=True)
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
    sort: Annotated[str | None, Query(max_length=64, description="a column; with - before it: descending", examples=["-sharpe"])] = None,
    after: Annotated[str | None, Query(max_length=2_000, description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Json:
    """List the backtests that one sees, the newest first unless `sort` says otherwise."""
    conditions = _conditions(
        principal.only_of,
        status=list(status) or None, strategy=strategy, symbol=symbol, dataset=dataset, submitter=submitter, tag=tag,
        accepted_after=accepted_after, accepted_before=accepted_before,
    )  # fmt: skip
    conditions += [_word_condition(word) for word in (q or "").split()]
    order = order_of("backtests", sort, NEWEST_FIRST)
    rows, following = await rows_of(
        services, "backtests", columns=COLUMNS, conditions=conditions, order=order, after=after, limit=limit
    )
    return Json({"items": rows, "next_cursor": following})


_FILTERS = {
    "status": "status = ANY({}::text[])",
    "strategy": "strategy = {}",
    "symbol": "{} = ANY(symbols)",
    "dataset": "dataset = {}",
    "submitter": "submitter = {}",
    "tag": "{} = ANY(tags)",
    "accepted_after": "accepted_at >= {}",
    "accepted_before": "accepted_at < {}",
}


def _conditions(only_of: str | None, **filters: Any) -> list[Condition]:
    chosen = [Condition(_FILTERS[name], value) for name, value in filters.items() if value is not None]
    return chosen if only_of is None else [Condition(_FILTERS["submitter"], only_of), *chosen]


def _word_condition(word: str) -> Condition:
    """Return the condition that a word begins a word of what names a backtest."""
    pattern = "".join(rf"\{each}" if not each.isalnum() else each for each in word)
    text = "lower(array_to_string(tags || symbols, ' ') || ' ' || backtest_id || ' ' || coalesce(strategy, ''))"
    return Condition(f"{text} ~ {{}}", rf"(^|[\s._-]){pattern.lower()}")


@router.get("/counts", response_model=BacktestCounts, summary="How many backtests there are")
async def count_backtests(principal: Anyone, services: Wired) -> Json:
    """Count the backtests that one sees, by state."""
    return Json(await services.counts.of(principal.only_of))


@router.get("/{backtest_id}", response_model=BacktestResult, summary="A backtest's result")
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
        "positions": positions,
        "positions_total": total,
        "audit": await services.audits.last(backtest_id),
        "code": await services.provenance(row),
        "links": links(backtest_id),
    }
    return Json(document)


async def _positions(services: Services, backtest_id: str) -> tuple[list[dict[str, Any]], int]:
    """Return the open positions, then the newest closed ones, and how many there are."""
    shown: list[dict[str, Any]] = []
    for is_open in (True, False):
        if len(shown) < SHOWN_POSITIONS:
            some, _ = await positions_page(
                services, backtest_id, is_open=is_open, order=Order("position_id", descending=True),
                limit=SHOWN_POSITIONS - len(shown),
            )  # fmt: skip
            shown += some
    (totals,) = await services.ask(run_queries.position_totals(backtest_id))
    return shown, totals["positions"]


