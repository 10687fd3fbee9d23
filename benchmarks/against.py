"""This module measures the engine beside its peers, in one run: ``make bench-engine``; it prints a table and writes ENGINE.md.

The rules are the same for all: buy one unit when the fast average crosses above the slow one, sell it when it crosses below;
with brackets a stop and a target instead of the sale. No costs. Averages (and, array-driven, signals) are computed before, by
us, and given to each; only the simulation is timed. Each peer's
count of fills is compared with ours on the same bars; where they differ it is said.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks import machine, peers
from benchmarks.engine import HEAD, NoRecorder, generated, tiled
from benchmarks.rules import COLUMNS, Arrays, Brackets, Cross, Portfolio, market_of, spec_of
from engine.arrays import ArrayStrategy, Signals
from engine.simulation import Simulation, run_ahead, simulate
from engine.strategies.indicators import crossings, sma
from engine.strategy import Data, Strategy
from engine.timeline import scene_of
from schemas.events import BacktestCompleted
from schemas.ids import BacktestId
from schemas.market_data import Bars, Market
from schemas.spec import BacktestSpec

OUTPUT = Path(__file__).with_name("ENGINE.md")
SCRIPTS = Path(__file__).with_name("peers")
NAMES = {"backtesting": "backtesting", "backtrader": "backtrader", "ml4t": "ml4t-backtest", "nautilus": "nautilus_trader"}
ARRAY_NAMES = {"raptorbt": "raptorbt", "vectorbt": "vectorbt"}


@dataclass(slots=True)
class Row:
    """One engine's figure in one part."""

    name: str
    bars: int
    seconds: float
    fills: int
    note: str = ""

    @property
    def rate(self) -> float:
        return self.bars / self.seconds


@dataclass(slots=True)
class Part:
    title: str
    ours: list[Row] = field(default_factory=list)
    theirs: list[Row] = field(default_factory=list)


def cut_to(bars: Bars, count: int) -> Bars:
    return Bars(bars.symbol, bars.timeframe, bars.time_ns[:count], *(getattr(bars, name)[:count] for name in COLUMNS))


def timed(sizes: "Sizes", action: Callable[[], int], *, runs: int | None = None) -> tuple[float, int]:
    """Return the median of some runs, after one that is not counted, and the fills of the last."""
    action()
    seconds, fills = [], 0
    clock = time.perf_counter if sizes.by_wall else time.process_time
    for _ in range(runs or sizes.runs):
        began = clock()
        fills = action()
        seconds.append(clock() - began)
    return statistics.median(seconds), fills


def with_log(market: Market, spec: BacktestSpec, strategy: type[Strategy]) -> int:
    """Run with every event encoded. Return the count of fills."""
    import msgspec

    *_, last = simulate(BacktestId("bench"), spec, HEAD, market, strategy)
    return int(msgspec.json.decode(last.body)["events"][-1]["fills"])


def without_log(market: Market, spec: BacktestSpec, strategy: type[Strategy]) -> int:
    """Run with events that nobody encodes."""
    simulation = Simulation(BacktestId("bench"), spec, HEAD, scene_of(spec, market), strategy)
    recorder = Last(BacktestId("bench"), HEAD)
    simulation._recorder = simulation._reporter._recorder = recorder
    for _ in simulation.run():
        pass
    return recorder.fills


class Last(NoRecorder):
    fills = 0

    def add(self, event: object, weight: int = 256) -> None:
        if isinstance(event, BacktestCompleted):
            self.fills = event.fills


def columns_only(market: Market, spec: BacktestSpec, strategy: type[Strategy]) -> int:
    """Run array-driven to its statistics; no log is made."""
    outcome = run_ahead(BacktestId("bench"), spec, HEAD, market, strategy)
    assert outcome is not None
    assert outcome.summary.statistics["trades"] is not None
    return outcome._tally.fills


def written(market: Market, folder: Path, name: str) -> Path:
    """Write what the peers get: columns, averages, signals; of several symbols with a first axis."""
    path = folder / f"{name}.npz"
    averages = [(sma(bars.close, 20), sma(bars.close, 100)) for bars in market.bars]
    crosses = [crossings(fast, slow) for fast, slow in averages]
    stacked = {column: [getattr(bars, column) for bars in market.bars] for column in COLUMNS}
    stacked |= {"fast": [fast for fast, _ in averages], "slow": [slow for _, slow in averages]}
    stacked |= {"entries": [cross > 0.0 for cross in crosses], "exits": [cross < 0.0 for cross in crosses]}
    is_one = len(market.bars) == 1
    arrays = {key: values[0] if is_one else np.stack(values) for key, values in stacked.items()}
    np.savez(path, time_ns=market.bars[0].time_ns, **arrays)
    return path


def peer_rows(
    case: str, scripts: dict[str, str], files: dict[int, Path], bars: dict[str, int], sizes: "Sizes", *, runs: int = 1
) -> list[Row]:
    """Run every peer on as many bars as it can do in bearable time."""
    installed, rows = peers.install(), []
    for script, name in scripts.items():
        count = bars.get(script, max(files))
        note = installed.get(name, "not installed")
        if note.startswith(("did not", "not ")):
            rows.append(Row(name, count, float("nan"), 0, note))
            continue
        many = sizes.runs + 1 if script in ARRAY_NAMES else runs
        arguments = [str(many), *(["--wall"] if sizes.by_wall else [])]
        try:
            found = peers.run(SCRIPTS / f"run_{script}.py", case, str(files[count]), *arguments)
        except (RuntimeError, KeyError, IndexError, ValueError, OSError, subprocess.SubprocessError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[-1]  # whatever a peer does, the other figures stand
            rows.append(Row(name, count, float("nan"), 0, f"failed: {said}"))
            print(f"  {error}", flush=True)
            continue
        rows.append(Row(f"{name} {note}", count, statistics.median(found["seconds"][many > 1 :]), found["fills"]))
        print(f"  {name}: {rows[-1].rate:,.0f} bars/s, {found['fills']:,} fills", flush=True)
    return rows


def measure(bars: list[Bars], sizes: "Sizes", folder: Path) -> list[Part]:
    whole = bars[0]
    one = market_of([whole])
    spec = spec_of(one)
    counts = {"backtesting": sizes.medium, "backtrader": sizes.slow, "ml4t": sizes.slow, "nautilus": sizes.slow}
    files, markets = {len(whole): written(one, folder, "one")}, {len(whole): one}
    for count in {sizes.medium, sizes.slow}:
        markets[count] = market_of([cut_to(whole, count)])
        files[count] = written(markets[count], folder, f"one{count}")
    parts = []

    part = Part(f"Event-driven: averages 20/100 compared in each bar, {len(whole):,} one-minute bars")
    for title, action in (("without a log", without_log), ("every event encoded as commits", with_log)):
        seconds, fills = timed(sizes, lambda action=action: action(one, spec, Cross))  # type: ignore[misc]
        part.ours.append(Row(f"backtape, {title}", len(whole), seconds, fills))
    part.theirs = peer_rows("cross", NAMES, files, counts, sizes)
    parts.append(part)

    part = Part(
        f"Event-driven with a stop and a target on every entry, {len(whole):,} bars (backtape by the preset backtesting.py)"
    )
    bracket_spec = spec_of(one, execution={"preset": "backtesting.py"})
    seconds, fills = timed(sizes, lambda: with_log(one, bracket_spec, Brackets))
    part.ours.append(Row("backtape, every event encoded", len(whole), seconds, fills))
    part.theirs = peer_rows(
        "brackets", {name: NAMES[name] for name in ("backtesting", "backtrader", "nautilus")}, files, counts, sizes
    )
    check(part, lambda count: with_log(markets[count], bracket_spec, Brackets))
    parts.append(part)

    many, few = portfolio(whole, sizes.symbols, sizes.portfolio_bars), portfolio(whole, sizes.symbols, sizes.portfolio_slow)
    total, small = sizes.symbols * sizes.portfolio_bars, sizes.symbols * sizes.portfolio_slow
    part = Part(f"Event-driven, {sizes.symbols} symbols of {sizes.portfolio_bars:,} bars; bars of all symbols a second")
    many_spec = spec_of(many)
    seconds, fills = timed(sizes, lambda: with_log(many, many_spec, Portfolio))
    part.ours.append(Row("backtape, every event encoded", total, seconds, fills))
    files_of_many = {total: written(many, folder, "many"), small: written(few, folder, "few")}
    part.theirs = peer_rows(
        "portfolio", NAMES, files_of_many, {"ml4t": total, "backtesting": total, "nautilus": small, "backtrader": small}, sizes
    )
    check(part, lambda count: with_log({total: many, small: few}[count], many_spec, Portfolio))
    for row in part.theirs:
        if row.name.startswith("backtesting"):
            row.note += "one symbol after another: it knows no portfolio"
    parts.append(part)

    part = Part(f"A small run in a warm process: {sizes.small:,} bars, everything from the market in memory to the statistics")
    little = market_of([cut_to(whole, sizes.small)])
    little_spec = spec_of(little)
    for title, action in (("with callbacks, every event encoded", with_log), ("array-driven", columns_only)):
        strategy = Cross if action is with_log else Arrays
        seconds, fills = timed(sizes, lambda action=action, strategy=strategy: action(little, little_spec, strategy), runs=25)  # type: ignore[misc]
        part.ours.append(Row(f"backtape, {title}", sizes.small, seconds, fills))
    small_file = {sizes.small: written(little, folder, "little")}
    part.theirs = peer_rows("cross", {"backtesting": NAMES["backtesting"]}, small_file, {}, sizes, runs=25)
    parts.append(part)

    part = Part(f"Array-driven: the same rule from signals, {len(whole):,} bars")
    seconds, fills = timed(sizes, lambda: columns_only(one, spec, Arrays))
    part.ours.append(Row("backtape, averages, signals, run and statistics", len(whole), seconds, fills))
    given = given_signals(one)
    seconds, fills = timed(sizes, lambda: columns_only(one, spec, given))
    part.ours.append(Row("backtape, signals given as to the peers", len(whole), seconds, fills))
    seconds, fills = timed(sizes, lambda: with_log(one, spec, given))
    part.ours.append(Row("backtape, signals given, every event encoded", len(whole), seconds, fills))
    part.theirs = peer_rows("arrays", ARRAY_NAMES, files, {}, sizes)
    check(part, lambda count: with_log(markets[count], spec, given))
    parts.append(part)
    return parts


def check(part: Part, ours: Callable[[int], int]) -> None:
    """Say of each peer whose fills are not as many as ours on the same bars that it does something else."""
    expected: dict[int, int] = {}
    for row in part.theirs:
        if row.fills:
            if row.bars not in expected:
                expected[row.bars] = ours(row.bars)
            if row.fills != expected[row.bars]:
                row.note = f"not the same: backtape has {expected[row.bars]:,} fills"


def given_signals(market: Market) -> type[ArrayStrategy]:
    """Return a strategy whose signals lie ready, as the peers' do."""
    close = market.bars[0].close
    cross = crossings(sma(close, 20), sma(close, 100))
    made = Signals(entries=cross > 0.0, exits=cross < 0.0, size=0.01)

    class Given(ArrayStrategy):
        def signals(self, data: Data) -> Signals:
            return made

    return Given


def portfolio(whole: Bars, symbols: int, length: int) -> Market:
    """Return pieces of the bars side by side on one time line."""
    pieces = []
    for place in range(symbols):
        first = place * length
        cut = {column: np.ascontiguousarray(getattr(whole, column)[first : first + length]) for column in COLUMNS}
        pieces.append(Bars(symbol=f"S{place}", timeframe="1m", time_ns=whole.time_ns[:length], **cut))
    return market_of(pieces)


@dataclass(frozen=True, slots=True)
class Sizes:
    bars: int
    medium: int  # bars for a peer that needs a minute for all
    slow: int  # for peers that need many minutes
    small: int  # bars of a run that is over at once
    long: int  # bars of the run whose memory is measured
    symbols: int
    portfolio_bars: int
    portfolio_slow: int  # for peers that need many minutes
    runs: int
    by_wall: bool = False


WHOLE = Sizes(
    bars=1_000_000,
    medium=200_000,
    slow=30_000,
    small=2_000,
    long=10_000_000,
    symbols=50,
    portfolio_bars=20_000,
    portfolio_slow=2_000,
    runs=3,
)
QUICK = Sizes(
    bars=50_000,
    medium=20_000,
    slow=10_000,
    small=2_000,
    long=500_000,
    symbols=5,
    portfolio_bars=10_000,
    portfolio_slow=2_000,
    runs=1,
)


def processes(sizes: Sizes) -> str:
    """Measure what needs processes of its own: the memory of long runs, and starts from nothing."""
    lines = [
        f"## Memory of {sizes.long:,} bars, in a process of its own: resident, MB",
        "",
        "| run | with imports and a small run done | bars | peak of the run | beside the bars | of which averages |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    runs = (
        ("event-driven without averages, commits let go as they come", "plain", 0),
        ("event-driven, two averages, commits let go as they come", "cross", 2),
        ("array-driven, two averages, to the statistics", "arrays", 2),
    )
    for title, kind, columns in runs:
        found = json.loads(output_of([sys.executable, "-m", "benchmarks.long_run", kind, str(sizes.long)])[0])
        data, before, peak = (found[name] / 1e6 for name in ("data", "before", "peak"))
        own = columns * 8 * sizes.long / 1e6
        lines.append(f"| {title} | {before:,.0f} | {data:,.0f} | {peak:,.0f} | {peak - data:,.0f} | {own:,.0f} |")
    with tempfile.TemporaryDirectory() as folder:
        spec, frame = Path(folder, "spec.json"), Path(folder, "X.1d.csv")
        spec.write_text(json.dumps(DAILY))
        frame.write_text(daily_csv(2_500))
        backtape = [sys.executable, "-m", "backtape"]
        store = {"BACKTAPE_S3_URL": Path(folder, "store").as_uri()}
        output_of([*backtape, "data", "import", str(frame), "--dataset", "daily", "--timezone", "UTC"], store)
        starts = sorted(output_of([*backtape, "run", str(spec), "--json"], store)[1] for _ in range(5))
        tables = sorted(output_of([*backtape, "run", str(spec)], store)[1] for _ in range(5))
        peer = str(SCRIPTS / "run_backtesting.py")
        one = written(market_of([generated(2_500)]), Path(folder), "one")
        try:
            others = f"{sorted(output_of([str(peers.python()), peer, 'cross', str(one), '1'])[1] for _ in range(5))[2]:.2f}"
        except (RuntimeError, OSError) as error:
            others = f"failed: {(str(error).splitlines() or [type(error).__name__])[-1]}"
    return "\n".join(
        [
            *lines,
            "",
            "## From nothing to the first result: 2,500 daily bars, a process of its own, median of 5",
            "",
            "| | seconds of CPU |",
            "|---|---:|",
            f"| **backtape run SPEC --json** (data set in a folder, log and statistics) | {starts[2]:.2f} |",
            f"| **backtape run SPEC** (the same, and the tables of the report) | {tables[2]:.2f} |",
            f"| backtesting.py (imports, one run; bars from an npz file) | {others} |",
            "",
        ]
    )


DAILY = {
    "data": {"dataset": "daily", "symbols": ["X"], "timeframe": "1d"},
    "strategy": {"name": "sma_cross", "parameters": {"fast": 20, "slow": 100}},
}


def daily_csv(count: int) -> str:
    bars = generated(count)
    days = np.datetime64("2015-01-01") + np.arange(count)
    rows = zip(days, bars.open, bars.high, bars.low, bars.close, bars.volume, strict=True)
    return "timestamp,open,high,low,close,volume,symbol\n" + "".join(
        f"{day}T00:00:00Z,{','.join(f'{float(value):.2f}' for value in values)},X\n" for day, *values in rows
    )


def output_of(command: list[str], settings: dict[str, str] | None = None) -> tuple[str, float]:
    """Run a command. Return the last line that it prints, and the CPU's seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **(settings or {})})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[-600:]}")
    return (done.stdout.strip().splitlines() or [""])[-1], after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def as_markdown(parts: list[Part]) -> str:
    lines = []
    for part in parts:
        lines += [
            f"## {part.title}",
            "",
            "| engine | bars/s | bars | fills | backtape is so many times as fast |",
            "|---|---:|---:|---:|---:|",
        ]
        best = part.ours[-1] if len(part.ours) < 3 else part.ours[1]
        for row in part.ours:
            lines.append(f"| **{row.name}** | {row.rate:,.0f} | {row.bars:,} | {row.fills:,} | |")
        for row in sorted(part.theirs, key=lambda row: (row.seconds != row.seconds, -row.bars / row.seconds)):
            if row.seconds != row.seconds:
                lines.append(f"| {row.name} | – | | | {row.note} |")
                continue
            ratio = f"{best.rate / row.rate:.1f}"
            lines.append(f"| {row.name} | {row.rate:,.0f} | {row.bars:,} | {row.fills:,} | {f'{ratio} {row.note}'.strip()} |")
        lines.append("")
    return "\n".join(lines)


def about(command: str) -> list[str]:
    """Describe the machine, without the servers that have no part in this."""
    return [re.sub(r"Kafka .*?, –, ", "", line) for line in machine.described("–", command)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--parquet", type=Path, default=None, help="a file of one-minute bars, tiled (default: a seeded walk)")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works; writes nothing")
    parser.add_argument("--wall", action="store_true", help="by the clock, on an idle machine (default: seconds of CPU)")
    parser.add_argument("--output", type=Path, default=None)
    options = parser.parse_args()
    sizes = replace(QUICK if options.quick else WHOLE, by_wall=options.wall)
    whole = generated(sizes.bars) if options.parquet is None else tiled(options.parquet, sizes.bars)
    with tempfile.TemporaryDirectory() as folder:
        parts = measure([whole], sizes, Path(folder))
    data = "a seeded random walk" if options.parquet is None else f"{options.parquet.name}, again and again"
    command = "make bench-engine" if options.parquet is None else f"make bench-engine ARGS='--parquet {options.parquet.name}'"
    text = "# The engine beside its peers\n\n" + "\n".join(
        ["Written by `make bench-engine`. " + " ".join((__doc__ or "").split("\n\n")[1].split()), "", *about(command)]
    )
    measured = "by the clock" if options.wall else "in seconds of CPU, so that what else the machine does weighs less"
    text += f"\n- data: {data}\n- time: {measured}; medians of {sizes.runs}, of the event-driven peers one run\n\n" + as_markdown(
        parts
    )
    print(text, flush=True)  # what took minutes is not lost with what follows
    text += "\n" + processes(sizes)
    print(text)
    output = options.output or (None if options.quick else OUTPUT)
    if output is not None:
        output.write_text(text)


if __name__ == "__main__":
    main()
