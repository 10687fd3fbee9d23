"""This module holds the routes of a backtest's tables, in pages or whole."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from web import tables
from web.access import Anyone, Principal
from web.answers import Json
from web.formats import MEDIA_TYPES, Format, chosen_format, streamed
from web.lookup import seen_row
from web.models.common import BacktestIdPath
from web.models.rows import EquityPage, FillPage, OrderPage, PositionPage, PositionSummary, TradePage
from web.paging import batches_of, page_of, sort_of
from web.position_summary import summary_of
from web.services import Services, Wired
from web.tables import Table

router = APIRouter(prefix="/api/backtests/{backtest_id}", tags=["results"])

MAX_ROWS = 5_000

Accept = Annotated[str | None, Header(include_in_schema=False)]
FormatQuery = Annotated[Format | None, Query(alias="format", description="as Accept would say; for links")]
Symbol = Annotated[str | None, Query(max_length=64, description="only of this symbol")]
IsOpen = Annotated[bool | None, Query(description="only those that are open, or only those that are not")]


def _sort(table: Table) -> Any:
    """Return the query's type: one of the table's columns, or with - before it."""
    words = tuple(word for name in table.sorts for word in (name, f"-{name}"))
    return Annotated[Literal[words] | None, Query(description="a column; with - before it: descending")]


OrdersSort: Any = _sort(tables.ORDERS)
FillsSort: Any = _sort(tables.FILLS)
PositionsSort: Any = _sort(tables.POSITIONS)
TradesSort: Any = _sort(tables.TRADES)

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


@router.get("/orders", response_model=OrderPage, responses=FILES, summary="Its orders")
async def orders(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired, symbol: Symbol = None, is_open: IsOpen = None,
    sort: OrdersSort = None, after: After = None, limit: Limit = 500, form: FormatQuery = None, accept: Accept = None,
) -> Response:  # fmt: skip
    """Orders in their last state. Empty for a run that does not record orders."""
    filters = {"symbol": symbol, "is_open": is_open}
    return await _table(services, principal, backtest_id, tables.ORDERS, filters, sort, after, limit, chosen_format(accept, form))


@router.get("/fills", response_model=FillPage, responses=FILES, summary="Its fills")
async def fills(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired, symbol: Symbol = None,
    sort: FillsSort = None, after: After = None, limit: Limit = 500, form: FormatQuery = None, accept: Accept = None,
) -> Response:  # fmt: skip
    """Executions, in order."""
    filters = {"symbol": symbol}
    return await _table(services, principal, backtest_id, tables.FILLS, filters, sort, after, limit, chosen_format(accept, form))


@router.get("/positions", response_model=PositionPage, responses=FILES, summary="Its positions")
async def positions(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired, symbol: Symbol = None, is_open: IsOpen = None,
    sort: PositionsSort = None, after: After = None, limit: Limit = 500, form: FormatQuery = None, accept: Accept = None,
) -> Response:  # fmt: skip
    """Positions in their current or, once closed, last state."""
    filters = {"symbol": symbol, "is_open": is_open}
    form = chosen_format(accept, form)
    return await _table(services, principal, backtest_id, tables.POSITIONS, filters, sort, after, limit, form)


@router.get("/trades", response_model=TradePage, responses=FILES, summary="Its trades")
async def trades(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired, symbol: Symbol = None,
    sort: TradesSort = None, after: After = None, limit: Limit = 500, form: FormatQuery = None, accept: Accept = None,
) -> Response:  # fmt: skip
    """Closed positions, flat to flat, in the order in which they were opened."""
    filters = {"symbol": symbol}
    return await _table(services, principal, backtest_id, tables.TRADES, filters, sort, after, limit, chosen_format(accept, form))


@router.get("/equity", response_model=EquityPage, responses=FILES, summary="Its equity marks")
async def equity(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired,
    after: After = None, limit: Limit = 500, form: FormatQuery = None, accept: Accept = None,
) -> Response:  # fmt: skip
    """Equity, cash, exposure and drawdown by market time. For a picture take `chart`."""
    return await _table(services, principal, backtest_id, tables.EQUITY, {}, None, after, limit, chosen_format(accept, form))


@router.get("/positions/summary", response_model=PositionSummary, summary="Its positions in numbers")
async def summary(backtest_id: BacktestIdPath, principal: Anyone, services: Wired) -> Json:
    """Sums over all positions, and wins and losses of the closed ones, by side and by symbol, counted by the database."""
    await seen_row(services, principal, backtest_id)
    return Json(await summary_of(services, backtest_id))


async def _table(
    services: Services, principal: Principal, backtest_id: str, table: Table, filters: dict[str, Any],
    sort: str | None, after: str | None, limit: int, form: Format,
) -> Response:  # fmt: skip
    await seen_row(services, principal, backtest_id)
    column, descending = sort_of(sort, table.sorts)
    ask = table.page(backtest_id, column, descending, **filters)
    if form == "json":
        page = await page_of(
            services, ask, view=table.view, columns=table.columns, sort=column, keys=(table.key,), after=after, limit=limit
        )
        return Json(page)
    schema = table.schema()
    batches = batches_of(services, ask, sort=column, keys=(table.key,), schema=schema)
    return streamed(batches, schema, form, f"{backtest_id}.{table.view}")
