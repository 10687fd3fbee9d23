"""This module holds the routes that a dashboard draws from: curves, candles, months, comparisons; all thinned on the server."""

from typing import Annotated

from fastapi import APIRouter, Query

from schemas.times import TimeField
from web import candles as candle_chart
from web import comparison, curves, months
from web.access import Anyone
from web.answers import Json
from web.lookup import seen_row
from web.models.charts import Candles, Comparison, EquityChart, MonthlyTable
from web.models.common import BacktestIdPath
from web.services import Wired

router = APIRouter(prefix="/api", tags=["charts"])

Points = Annotated[int, Query(ge=10, le=10_000, description="at most about so many points are answered")]


@router.get("/backtests/{backtest_id}/chart", response_model=EquityChart, summary="Its equity, to draw")
async def chart(backtest_id: BacktestIdPath, principal: Anyone, services: Wired, points: Points = 2_000) -> Json:
    """Equity, cash, exposure and drawdown in columns; peaks and troughs are kept. With the benchmark, held."""
    await seen_row(services, principal, backtest_id)
    return Json(await curves.equity_chart(services, backtest_id, points))


@router.get("/backtests/{backtest_id}/monthly", response_model=MonthlyTable, summary="Its returns by month")
async def monthly(backtest_id: BacktestIdPath, principal: Anyone, services: Wired) -> Json:
    """Returns by month and year: of a completed backtest from every bar, of another one from its equity marks."""
    await seen_row(services, principal, backtest_id)
    return Json(await months.monthly_table(services, backtest_id))


@router.get("/backtests/{backtest_id}/candles", response_model=Candles, summary="Bars of a symbol with what the run did")
async def candles(
    backtest_id: BacktestIdPath,
    principal: Anyone,
    services: Wired,
    symbol: Annotated[str | None, Query(max_length=64, description="default: the spec's first")] = None,
    start: Annotated[TimeField | None, Query(description="inclusive; default: the run's first bar")] = None,
    end: Annotated[TimeField | None, Query(description="inclusive; default: the run's last bar")] = None,
    points: Points = 1_000,
) -> Json:
    """The very bars that the run used, joined to longer ones where there are more than points, with its fills, trades, stops."""
    await seen_row(services, principal, backtest_id)
    return Json(await candle_chart.candles(services, backtest_id, symbol=symbol, start=start, end=end, points=points))


@router.get("/compare", response_model=Comparison, summary="Backtests side by side")
async def compare(
    principal: Anyone,
    services: Wired,
    ids: Annotated[
        list[str],
        Query(min_length=1, max_length=20, description="backtests, repeated: ids=a&ids=b", examples=[["goog-sma", "goog-hold"]]),
    ],
    points: Points = 500,
) -> Json:
    """Growth curves from 1, statistics, and the fields of their specs that differ."""
    return Json(await comparison.compare(services, principal, ids, points))
