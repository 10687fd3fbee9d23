"""This module prepares a symbol's bars to be drawn, with what the run did in the span."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import numpy as np

from projections import chart_queries, queries
from reports.downsample import joined
from schemas.market_data import Bars
from schemas.times import parse_time
from web.answers import milliseconds
from web.prices import bars_of
from web.problems import invalid_field
from web.services import Services

NS_PER_MS = 1_000_000
MARKS = 5_000  # fills, trades and stops of one answer


async def candles(
    services: Services, backtest_id: str, *, symbol: str | None, start: str | None, end: str | None, points: int
) -> dict[str, Any]:
    """Return the answer ``Candles``. Raises ProblemError for a symbol that the run does not have."""
    (row,) = await services.ask(queries.backtest(backtest_id))
    chosen = symbol or (row["symbols"][0] if row["symbols"] else "")
    if chosen not in row["symbols"]:
        raise invalid_field("query.symbol", chosen, f"one of {', '.join(row['symbols'])}")
    bars = await asyncio.to_thread(bars_of, services.market, row, chosen)
    shown = bars.between(None if start is None else parse_time(start), None if end is None else parse_time(end) + 1)
    return {
        "symbol": chosen,
        "timeframe": row["timeframe"],
        "dataset": row["dataset"],
        "dataset_version": row["dataset_version"],
        **_columns(shown, points),
        "first_ms": int(bars.time_ns[0]) // NS_PER_MS if len(bars) else None,
        "last_ms": int(bars.time_ns[-1]) // NS_PER_MS if len(bars) else None,
        **await _marks(services, backtest_id, chosen, shown),
    }


def _columns(bars: Bars, points: int) -> dict[str, Any]:
    ranges = joined(bars, points)
    places = np.searchsorted(bars.time_ns, ranges.time_ns)
    volume = np.add.reduceat(bars.volume, places) if len(places) else bars.volume
    return {
        "time_ms": (ranges.time_ns // NS_PER_MS).tolist(),
        **{name: getattr(ranges, name).tolist() for name in ("open", "high", "low", "close")},
        "volume": volume.tolist(),
        "bars": len(bars),
        "bars_per_candle": int(np.diff(np.append(places, len(bars))).max()) if len(places) else 1,
    }


async def _marks(services: Services, backtest_id: str, symbol: str, bars: Bars) -> dict[str, Any]:
    if not len(bars):
        return {"fills": [], "fills_total": 0, "trades": [], "stops": []}
    span = {"start": _moment(int(bars.time_ns[0])), "end": _moment(int(bars.time_ns[-1]))}
    fills = await services.ask(chart_queries.fills_between(backtest_id, symbol, **span, limit=MARKS))
    total = len(fills)
    if total == MARKS:
        (counted,) = await services.ask(chart_queries.count_of_fills(backtest_id, symbol, **span))
        total = counted["count"]
    trades = await services.ask(chart_queries.trades_touching(backtest_id, symbol, **span, limit=MARKS))
    orders = await services.ask(chart_queries.priced_orders_touching(backtest_id, symbol, **span, limit=MARKS))
    return {
        "fills": [_timed(row, time="time_ms") for row in fills],
        "fills_total": total,
        "trades": [_timed(row, opened_at="opened_ms", closed_at="closed_ms") for row in trades],
        "stops": [_timed(row, submitted_at="from_ms", ended_at="to_ms") for row in orders],
    }


def _timed(row: dict[str, Any], **names: str) -> dict[str, Any]:
    """Return the row with times as milliseconds under other names."""
    return {
        names.get(name, name): (None if value is None else milliseconds(value)) if name in names else value
        for name, value in row.items()
        if name != "is_open"
    }


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, UTC)
