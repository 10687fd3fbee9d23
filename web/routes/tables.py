"""This module holds the routes of a backtest's tables, in pages or whole."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from projections.arrow import schema_of
from projections.pages import Condition, Order, page, view_of
from web import position_summary
from web.access import Anyone, Principal
from web.answers import Json
from web.formats import MEDIA_TYPES, Format, chosen_format, streamed
from web.lookup import seen_row
from web.models.common import BacktestIdPath
from web.models.rows import EquityMark, Fill, PositionSummary, Order as OrderAnswer, Page, Position, Trade
from web.paging import MAX_ROWS, order_of, rows_of
from web.services import Services, Wired

router = APIRouter(prefix="/api/backtests/{backtest_id}", tags=["results"])

Accept = Annotated[str | None, Header(include_in_schema=False)]
FormatQuery = Annotated[Format | None, Query(alias="format", description="as Accept would say; for links")]
Symbol = Annotated[str | None, Query(max_length=64, description="only of this symbol")]
Sort = Annotated[str | None, Query(max_length=64, description="a column; with - before it: descending")]
After = Annotated[str | None, Query(max_length=2_000, description="next_cursor of the page before")]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="rows of a JSON page; the other formats hold all rows")]

FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "a page of rows as JSON, or all rows as a file",
        "content": {
            MEDIA_TYPES["csv"].partition(";")[0]: {"schema": {"type": "string"}},
            MEDIA_TYPES["arrow"]: {"schema": {"type": "string", "format": "binary"}},
            MEDIA_TYPES["parquet"]: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.get("/orders", response_model=Page[OrderAnswer], responses=FILES, summary="Its orders")
async def orders(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired, symbol: Symbol = None,
    is_open: Annotated[bool | None, Query(description="only those that may still fill, or may not")] = None,
    sort: Sort = None, after: After = None, limit: Limit = 500, form: FormatQuery = None, accept: Accept = None,
) -> Response:  # fmt: skip
    """Orders in their last state. Empty for a run that does not record orders."""
    extra = [] if is_open is None else [Condition("is_open = {}", is_open)]
    return await _table(
        services, principal, backtest_id, "orders", tuple(OrderAnswer.model_fields), default="order_id", symbol=symbol,
        extra=extra, sort=sort, after=after, limit=limit, form=chosen_format(accept, form),
    )  # fmt: skip


@router.get("/fills", response_model=Page[Fill], responses=FILES, summary="Its fills")
async def fills(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired, symbol: Symbol = None,
    sort: Sort = None, after: After = None, limit: Limit = 500, form: FormatQuery = None, accept: Accept = None,
) -> Response:  # fmt: skip
    """Executions, in order."""
    return await _table(
        services, principal, backtest_id, "fills", tuple(Fill.model_fields), default="fill_id", symbol=symbol,
        sort=sort, after=after, limit=limit, form=chosen_format(accept, form),
    )  # fmt: skip


@router.get("/positions", response_model=Page[Position], responses=FILES, summary="Its positions")
async def positions(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired, symbol: Symbol = None,
    is_open: Annotated[bool | None, Query(description="only open ones, or only closed ones")] = None,
    sort: Sort = None, after: After = None, limit: Limit = 500, form: FormatQuery = None, accept: Accept = None,
) -> Response:  # fmt: skip
    """Positions in their current or, once closed, last state."""
    extra = [] if is_open is None else [Condition("is_open = {}", is_open)]
    return await _table(
        services, principal, backtest_id, "positions", tuple(Position.model_fields), default="position_id", symbol=symbol,
        extra=extra, sort=sort, after=after, limit=limit, form=chosen_format(accept, form),
    )  # fmt: skip


@router.get("/trades", response_model=Page[Trade], responses=FILES, summary="Its trades")
async def trades(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired, symbol: Symbol = None,
    sort: Sort = None, after: After = None, limit: Limit = 500, form: FormatQuery = None, accept: Accept = None,
) -> Response:  # fmt: skip
    """Closed positions, flat to flat, in the order in which they were opened."""
    return await _table(
        services, principal, backtest_id, "trades", tuple(Trade.model_fields), default="trade_id", symbol=symbol,
        sort=sort, after=after, limit=limit, form=chosen_format(accept, form),
    )  # fmt: skip


@router.get("/equity", response_model=Page[EquityMark], responses=FILES, summary="Its equity marks")
async def equity(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired,
    sort: Sort = None, after: After = None, limit: Limit = 500, form: FormatQuery = None, accept: Accept = None,
) -> Response:  # fmt: skip
    """Equity, cash, exposure and drawdown by market time. For a picture take `chart`."""
    return await _table(
        services, principal, backtest_id, "equity", tuple(EquityMark.model_fields), default="mark",
        sort=sort, after=after, limit=limit, form=chosen_format(accept, form),
    )  # fmt: skip


@router.get("/positions/summary", response_model=PositionSummary, summary="Its positions in numbers")
async def summary(backtest_id: BacktestIdPath, principal: Anyone, services: Wired) -> Json:
    """Sums over all positions, and wins and losses of the closed ones, by side and by symbol, counted by the database."""
    await seen_row(services, principal, backtest_id)
    return Json(await position_summary.summary_of(services, backtest_id))


async def _table(
    services: Services, principal: Principal, backtest_id: str, view: str, columns: Sequence[str], *, default: str,
    symbol: str | None = None, extra: Sequence[Condition] = (), sort: str | None, after: str | None, limit: int, form: Format,
) -> Response:  # fmt: skip
    await seen_row(services, principal, backtest_id)
    order = order_of(view, sort, Order(default), without=("backtest_id",))
    conditions = [Condition("backtest_id = {}", backtest_id), *extra]
    if symbol is not None:
        conditions.append(Condition("symbol = {}", symbol))
    if form == "json":
        rows, following = await rows_of(
            services, view, columns=columns, conditions=conditions, order=order, after=after, limit=limit
        )
        return Json({"items": rows, "next_cursor": following})
    schema = schema_of(view_of(view).table, form="sql", names=tuple(columns))
    query = page(view, columns=columns, conditions=conditions, order=order, limit=None)
    return streamed(services.model.batches(query.sql, query.arguments, schema), schema, form, f"{backtest_id}.{view}")
