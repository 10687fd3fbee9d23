"""This module compiles all kernels and keeps them in numba's cache: ``python -m engine.warm``, once after installation."""

from typing import Any

import numpy as np

from engine.arrays import ArrayStrategy, Signals
from engine.registry import BUILTINS
from engine.simulation import simulate
from engine.strategy import Data
from schemas.commit import Head
from schemas.ids import BacktestId, Digest
from schemas.market_data import Bars, Instrument, Market
from schemas.spec import parse_spec

MINUTE_NS = 60_000_000_000
RESAMPLES = ({"type": "time", "timeframe": "5m"}, {"type": "volume", "size": 4_000.0})


def warm() -> int:
    """Run every built-in once on a few bars. Return the number of events."""
    count = 64
    level = 100.0 + np.abs(np.arange(count, dtype=np.float64) % 16.0 - 8.0)
    bars = Bars(
        symbol="X",
        timeframe="1m",
        time_ns=np.arange(count, dtype=np.int64) * MINUTE_NS,
        open=level,
        high=level + 1.0,
        low=level - 1.0,
        close=level,
        volume=np.full(count, 1_000.0),
    )
    market = Market(bars=(bars,), instruments=(Instrument(symbol="X"),))
    events = 0
    data = {"dataset": "warm", "symbols": ["X"], "timeframe": "1m"}
    runs: list[tuple[str, dict[str, Any]]] = [(name, data) for name in BUILTINS]
    runs += [("buy_and_hold", {**data, "resample": rule}) for rule in RESAMPLES]
    for name, part in runs:
        spec = parse_spec({"data": part, "strategy": {"name": name, "parameters": {}}})
        for commit in simulate(BacktestId("warm"), spec, Head(2, 2, Digest("0" * 64)), market, BUILTINS[name]):
            events = commit.head.sequence - 2
    for commit in simulate(BacktestId("warm"), spec, Head(2, 2, Digest("0" * 64)), market, _Arrays):
        events += commit.head.sequence - 2
    return events


class _Arrays(ArrayStrategy):
    """Says something at every other bar, so that the loop of array-driven strategies is compiled too."""

    def signals(self, data: Data) -> Signals:
        is_even = np.arange(len(data)) % 2 == 0
        return Signals(entries=is_even, exits=~is_even, size=0.5, stop_loss=data.close - 5.0)


if __name__ == "__main__":
    warm()
