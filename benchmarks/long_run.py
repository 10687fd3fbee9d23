"""This module runs one long backtest in a process of its own, and says how much memory it took beside its data.

``python -m benchmarks.long_run cross|arrays BARS`` prints one JSON document: bars, bytes of the bars, the highest resident set
before and during the run, and the bars a second. Commits are counted and let go, as a worker sends them off.
"""

import json
import resource
import sys
import time
from collections.abc import Callable

from benchmarks.engine import HEAD, generated
from benchmarks.rules import COLUMNS, Arrays, Cross, market_of, spec_of
from engine.simulation import run_ahead, simulate
from schemas.ids import BacktestId
from schemas.market_data import Market


def event_driven(market: Market) -> int:
    return sum(len(commit.body) for commit in simulate(BacktestId("bench"), spec_of(market), HEAD, market, Cross))


def array_driven(market: Market) -> int:
    outcome = run_ahead(BacktestId("bench"), spec_of(market), HEAD, market, Arrays)
    assert outcome is not None
    return int(str(outcome.summary.statistics["trades"]))


RUNS: dict[str, Callable[[Market], int]] = {"cross": event_driven, "arrays": array_driven}


def peak() -> int:
    """Return the highest resident set so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    run, count = RUNS[sys.argv[1]], int(sys.argv[2])
    run(market_of([generated(5_000)]))  # imports and kernels are no part of it
    market = market_of([generated(count)])
    columns = [getattr(bars, name) for bars in market.bars for name in ("time_ns", *COLUMNS)]
    data = sum(column.nbytes for column in columns)
    before, began = peak(), time.process_time()
    run(market)
    seconds = time.process_time() - began
    print(json.dumps({"bars": count, "data": data, "before": before, "peak": peak(), "rate": count / seconds}))


if __name__ == "__main__":
    main()
