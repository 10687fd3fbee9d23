"""This module runs one long backtest in a process of its own, and says how much memory it took beside its data.

``python -m benchmarks.long_run plain|cross|arrays BARS`` prints one JSON document: bars, bytes of the bars, what is resident
before the bars are made (the interpreter, imports, compiled loops, a small run), the highest resident set during the run, and
the bars a second. What making the bars took for a while is no part of it: Linux counts the peak from the run's start on.
Commits are counted and let go, as a worker sends them off.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.engine import HEAD, generated
from benchmarks.rules import COLUMNS, Arrays, Cross, market_of, spec_of
from engine.simulation import run_ahead, simulate
from engine.strategy import Strategy
from schemas.ids import BacktestId
from schemas.market_data import Market

EVERY = 70  # bars between two orders: as often as the averages cross


class Plain(Strategy):
    """Buy and sell in turn, by counting bars: nothing in memory is the strategy's own."""

    def on_bar(self) -> None:
        if self.step % EVERY == 0:
            if self.position:
                self.close()
            else:
                self.buy(1.0)


def event_driven(market: Market, strategy: type[Strategy]) -> int:
    return sum(len(commit.body) for commit in simulate(BacktestId("bench"), spec_of(market), HEAD, market, strategy))


def array_driven(market: Market) -> int:
    outcome = run_ahead(BacktestId("bench"), spec_of(market), HEAD, market, Arrays)
    assert outcome is not None
    return int(str(outcome.summary.statistics["trades"]))


RUNS: dict[str, Callable[[Market], int]] = {
    "plain": lambda market: event_driven(market, Plain),
    "cross": lambda market: event_driven(market, Cross),
    "arrays": array_driven,
}


def resident(name: str) -> int:
    """Return VmRSS (now) or VmHWM (the peak), in bytes."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{name}:"))


def main() -> None:
    run, count = RUNS[sys.argv[1]], int(sys.argv[2])
    run(market_of([generated(5_000)]))  # imports and kernels
    before = resident("VmRSS")
    market = market_of([generated(count)])
    columns = [getattr(bars, name) for bars in market.bars for name in ("time_ns", *COLUMNS)]
    data = sum(column.nbytes for column in columns)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    began = time.process_time()
    run(market)
    seconds = time.process_time() - began
    print(json.dumps({"bars": count, "data": data, "before": before, "peak": resident("VmHWM"), "rate": count / seconds}))


if __name__ == "__main__":
    main()
