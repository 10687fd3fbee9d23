"""This module measures the engine: bars per second of an event-driven SMA cross, with every event encoded and without.

Run ``python -m benchmarks.engine [bars]``. By default seconds of CPU are counted (``--wall``: of the clock), so that what else
the machine does weighs less. ``CompareInBar`` follows the same rules with up to eight looks at series in every bar. Generated
bars (a seeded random walk) unless a Parquet file is named. Each figure is the median of five runs in one process, kernels
compiled before; ratios are of figures from the same process.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.arrays import ArrayStrategy, Signals
from engine.recorder import Recorder
from engine.simulation import Simulation, simulate
from engine.strategies.indicators import crossings, sma
from engine.strategies.sma_cross import SmaCross
from engine.strategy import Data, Strategy, crossed_above, crossed_below
from engine.timeline import scene_of
from schemas.commit import Head
from schemas.ids import BacktestId, Digest
from schemas.market_data import Bars, Instrument, Market
from schemas.spec import BacktestSpec, parse_spec

MINUTE_NS = 60_000_000_000
START_NS = 1_640_995_200_000_000_000  # 2022-01-01
HEAD = Head(2, 2, Digest("0" * 64))


class NoRecorder(Recorder):
    """Numbers events and forgets them: what the simulation costs without its log."""

    def add(self, event: object, weight: int = 256) -> None:
        pass

    def flush(self) -> None:
        pass


class CompareInBar(SmaCross):
    """The same rules, compared bar by bar in Python: what a strategy costs that computes nothing but averages beforehand."""

    def prepare(self, data: Data) -> None:
        self.fast = self.indicator(sma(data.close, self.parameters.fast))
        self.slow = self.indicator(sma(data.close, self.parameters.slow))

    def on_bar(self) -> None:
        if crossed_above(self.fast, self.slow):
            self.target(fraction=self.parameters.fraction)
        elif crossed_below(self.fast, self.slow):
            self.close()


class CrossArrays(ArrayStrategy):
    """The same rules, array-driven."""

    class Parameters(SmaCross.Parameters):
        """The same parameters."""

    def signals(self, data: Data) -> Signals:
        cross = crossings(sma(data.close, self.parameters.fast), sma(data.close, self.parameters.slow))
        return Signals(target=np.where(cross > 0.0, 0.95, np.nan), exits=cross < 0.0)


def generated(count: int, *, seed: int = 7) -> Bars:
    """Return a seeded random walk of one-minute bars."""
    chance = np.random.Generator(np.random.PCG64(seed))
    close = 40_000.0 + np.cumsum(chance.normal(0.0, 8.0, count))
    close = np.abs(close) + 1_000.0
    opened = np.concatenate([close[:1], close[:-1]])
    spread = np.abs(chance.normal(0.0, 6.0, count))
    return Bars(
        symbol="X",
        timeframe="1m",
        time_ns=START_NS + np.arange(count, dtype=np.int64) * MINUTE_NS,
        open=opened,
        high=np.maximum(opened, close) + spread,
        low=np.minimum(opened, close) - spread,
        close=close,
        volume=np.full(count, 10.0),
    )


def tiled(path: Path, count: int) -> Bars:
    """Return the file's bars again and again, until there are enough; their times go on minute by minute."""
    import pyarrow.parquet as parquet

    table = parquet.read_table(path)
    columns = {name: np.asarray(table[name], dtype=np.float64) for name in ("open", "high", "low", "close", "volume")}
    times = -(-count // table.num_rows)
    return Bars(
        symbol="X",
        timeframe="1m",
        time_ns=START_NS + np.arange(count, dtype=np.int64) * MINUTE_NS,
        **{name: np.ascontiguousarray(np.tile(values, times)[:count]) for name, values in columns.items()},
    )


def spec_of(fast: int, slow: int) -> BacktestSpec:
    return parse_spec(
        {
            "data": {"dataset": "bench", "symbols": ["X"], "timeframe": "1m"},
            "strategy": {"name": "sma_cross", "parameters": {"fast": fast, "slow": slow}},
            "account": {"cash": 10_000_000.0},
        }
    )


def run_once(
    market: Market,
    spec: BacktestSpec,
    *,
    encodes: bool,
    strategy: type[Strategy] = SmaCross,
    clock: Callable[[], float] = time.process_time,
) -> tuple[float, int, int]:
    """Return seconds, events and bytes of one run."""
    begin = clock()
    if encodes:
        commits = list(simulate(BacktestId("bench"), spec, HEAD, market, strategy))
        seconds = clock() - begin
        return seconds, commits[-1].head.sequence - HEAD.sequence, sum(len(commit.body) for commit in commits)
    simulation = Simulation(BacktestId("bench"), spec, HEAD, scene_of(spec, market), strategy)
    recorder = NoRecorder(BacktestId("bench"), HEAD)
    simulation._recorder = simulation._reporter._recorder = recorder
    for _ in simulation.run():
        pass
    return clock() - begin, recorder.sequence - HEAD.sequence, 0


def measure(count: int, path: Path | None, runs: int, clock: Callable[[], float]) -> dict[str, object]:
    bars = generated(count) if path is None else tiled(path, count)
    market = Market(bars=(bars,), instruments=(Instrument(symbol="X", calendar="always"),))
    spec = spec_of(20, 100)
    small = Market(bars=(bars.between(None, int(bars.time_ns[2_000])),), instruments=market.instruments)
    run_once(small, spec, encodes=True)
    plain = [run_once(market, spec, encodes=False, clock=clock)[0] for _ in range(runs)]
    encoded = [run_once(market, spec, encodes=True, clock=clock) for _ in range(runs)]
    compared = [run_once(market, spec, encodes=True, strategy=CompareInBar, clock=clock)[0] for _ in range(runs)]
    arrays = [run_once(market, spec, encodes=True, strategy=CrossArrays, clock=clock)[0] for _ in range(runs)]
    little = [run_once(small, spec, encodes=True, clock=clock)[0] for _ in range(20)]
    seconds, without = statistics.median(each[0] for each in encoded), statistics.median(plain)
    return {
        "bars": count,
        "data": "generated" if path is None else path.name,
        "machine": f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}",
        "events": encoded[0][1],
        "bytes": encoded[0][2],
        "seconds": "of the clock" if clock is time.perf_counter else "of CPU",
        "bars_per_second_without_events": round(count / without),
        "bars_per_second_with_events_encoded": round(count / seconds),
        "bars_per_second_compared_in_on_bar": round(count / statistics.median(compared)),
        "bars_per_second_array_driven_with_events_encoded": round(count / statistics.median(arrays)),
        "best_with_events_encoded": round(count / min(each[0] for each in encoded)),
        "share_with_events": round(without / seconds, 3),
        "milliseconds_of_a_run_of_2000_bars": round(1_000 * statistics.median(little), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("bars", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--parquet", type=Path, default=None, help="a file of bars, tiled to the wanted length")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--wall", action="store_true", help="measure by the clock instead of the CPU's seconds")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.bars, options.parquet, options.runs, time.perf_counter if options.wall else time.process_time)
    if options.json:
        json.dump(figures, sys.stdout)
        return
    for name, value in figures.items():
        print(f"{name:50} {value:,}" if isinstance(value, int) else f"{name:50} {value}")


if __name__ == "__main__":
    main()
