"""This module finds the bars that a run has traded on: of the very version of the data set that it recorded."""

from datetime import datetime
from typing import Any

from adapters.errors import NotFoundError
from adapters.ports import MarketData
from schemas.market_data import Bars


def bars_of(market: MarketData, row: dict[str, Any], symbol: str) -> Bars:
    """Return the run's bars of a symbol, from its first bar to its last. Blocks: a file may be fetched.

    row : of the view backtests. Raises NotFoundError before the run has started.
    """
    if row["dataset_version"] is None:
        raise NotFoundError(f"backtest {row['backtest_id']} has not started: which bars it reads is not known yet")
    manifest = market.resolve(row["dataset"], row["dataset_version"])
    bars = market.bars(manifest, symbol, row["timeframe"])
    return bars.between(nanoseconds(row["first_bar"]), nanoseconds(row["last_bar"]) + 1)


def nanoseconds(moment: datetime) -> int:
    """Return a time of the database, which has microseconds, as nanoseconds."""
    return round(moment.timestamp() * 1_000_000) * 1_000
