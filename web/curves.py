"""This module prepares equity curves to be drawn: thinned so that no peak or trough is lost, with buy-and-hold beside them."""

import asyncio
from typing import Any

import numpy as np

from adapters.errors import AdapterError
from projections import chart_queries, queries
from reports.downsample import kept_places, lowest_places
from schemas.market_data import FloatArray, TimeArray
from web.prices import bars_of, nanoseconds
from web.services import Services

NS_PER_MS = 1_000_000
NAMES = ("equity", "cash", "exposure", "drawdown")


class Marks:
    """A run's equity marks as columns."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.time_ns: TimeArray = np.array([nanoseconds(row["time"]) for row in rows], dtype=np.int64)
        self.columns: dict[str, FloatArray] = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in NAMES}

    def __len__(self) -> int:
        return len(self.time_ns)

    def places(self, points: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return which marks to draw with at most about so many points: extremes of equity, and lows of drawdown."""
        if len(self) <= points:
            return np.arange(len(self))
        equity = kept_places(self.columns["equity"], max(1, points // 6))
        return np.unique(np.concatenate([equity, lowest_places(self.columns["drawdown"], max(1, points // 4))]))


async def marks_of(services: Services, backtest_id: str) -> Marks:
    return Marks(await services.ask(chart_queries.marks(backtest_id)))


async def equity_chart(services: Services, backtest_id: str, points: int) -> dict[str, Any]:
    """Return the answer ``EquityChart``."""
    (row,) = await services.ask(queries.backtest(backtest_id))
    marks = await marks_of(services, backtest_id)
    places = marks.places(points)
    symbol = benchmark_symbol(row)
    benchmark = await _benchmark(services, row, symbol, marks.time_ns[places])
    return {
        "time_ms": (marks.time_ns[places] // NS_PER_MS).tolist(),
        **{name: marks.columns[name][places].tolist() for name in NAMES},
        "benchmark": benchmark,
        "benchmark_symbol": symbol if benchmark is not None else None,
        "marks": len(marks),
        "is_thinned": len(places) < len(marks),
    }


def benchmark_symbol(row: dict[str, Any]) -> str | None:
    """Return what a run is drawn against: the spec's benchmark, else its first symbol; None without both."""
    chosen = ((row["spec"] or {}).get("statistics") or {}).get("benchmark")
    return chosen or (row["symbols"][0] if row["symbols"] else None)


async def _benchmark(services: Services, row: dict[str, Any], symbol: str | None, times: TimeArray) -> list[float | None] | None:
    """Return the initial cash held in a symbol from the first mark's close on; None without its prices."""
    if not len(times) or row["dataset_version"] is None or symbol is None or row["initial_cash"] is None:
        return None
    try:
        bars = await asyncio.to_thread(bars_of, services.market, row, symbol)
    except AdapterError:
        return None
    places = np.searchsorted(bars.time_ns, times, side="right") - 1
    first = float(bars.close[max(0, int(places[0]))])
    return [None if place < 0 else row["initial_cash"] * float(bars.close[place]) / first for place in places]
