"""This module runs the benchmarks: ``python -m benchmarks [PART …] [--quick]``.

It prints a table and writes benchmarks/RESULTS.md (a quick run, or a run of chosen parts, writes only where ``--output`` says).
The stack is the benchmark's own, on free ports in a temporary folder, and is gone at the end.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import engine, latency, machine, projecting, small_runs, storage, writing
from benchmarks.figures import Part, as_markdown, as_table
from benchmarks.long_log import Written
from benchmarks.memory import MIB, MemoryWatch
from benchmarks.scene import QUICK, Scene, Sizes, run

RESULTS = Path(__file__).with_name("RESULTS.md")
TITLES = {
    "engine": "Simulation in process",
    "kafka": "Into Kafka",
    "postgres": "From the log into Postgres",
    "rebuild": "Rebuild",
    "latency": "Latency while idle",
    "small": "Small runs through everything",
    "storage": "Storage",
    "memory": "Peak memory",
}
HEAD = """# Benchmarks

Written by `make bench`. What the figures mean, and where the time goes: [docs/performance.md](../docs/performance.md).

"""


def main() -> int:
    options = _options()
    parts = {name: Part(name, title) for name, title in TITLES.items() if name in options.parts}
    sizes = QUICK if options.quick else Sizes()
    began = time.perf_counter()
    command = "python -m benchmarks " + shlex.join(sys.argv[1:])
    with Scene(sizes) as scene, MemoryWatch(scene.services) as watch:
        about = machine.described(scene.postgres_version(), command.strip())
        print("\n".join(about), flush=True)
        _measure(scene, sizes, parts)
    if "memory" in parts:
        _add_memory(parts["memory"], watch)
    about.append(f"- took {time.perf_counter() - began:.0f} s")
    shown = [part for part in parts.values() if part.figures]
    print("\n" + as_table(shown))
    output = options.output or (RESULTS if not options.quick and set(options.parts) == set(TITLES) else None)
    if output is not None:
        output.write_text(HEAD + "\n".join(about) + "\n\n" + as_markdown(shown))
        print(f"\nwritten to {output}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Backtape on real parts.")
    parser.add_argument("parts", nargs="*", choices=[*TITLES, []], default=[], metavar="PART", help=", ".join(TITLES))
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works, not to quote")
    parser.add_argument("--output", type=Path, default=None, help=f"where the Markdown goes (default: {RESULTS.name})")
    options = parser.parse_args()
    options.parts = options.parts or list(TITLES)
    return options


def _measure(scene: Scene, sizes: Sizes, parts: dict[str, Part]) -> None:
    """Measure the chosen parts, in the order in which data flows."""
    written: Written | None = None
    if "engine" in parts:
        with _timed(parts["engine"]):
            _measure_engine(parts["engine"], sizes)
    if parts.keys() & {"kafka", "postgres", "rebuild"}:
        with _timed(parts.get("kafka", Part("kafka", ""))) as part:
            written = run(writing.measure(scene, part))
    if "postgres" in parts and written is not None:
        with _timed(parts["postgres"]) as part:
            run(projecting.measure(scene, part, written))
    if "rebuild" in parts and written is not None:
        with _timed(parts["rebuild"]) as part:
            run(projecting.rebuild(scene, part, written))
    if "latency" in parts:
        with _timed(parts["latency"]) as part:
            run(latency.measure(scene, part))
    if parts.keys() & {"small", "storage"}:
        with _timed(parts.get("small", Part("small", ""))) as part:
            run(small_runs.measure(scene, part))
    if "storage" in parts:
        with _timed(parts["storage"]) as part:
            run(storage.measure(scene, part))


@contextmanager
def _timed(part: Part) -> Iterator[Part]:
    began = time.perf_counter()
    yield part
    part.seconds = time.perf_counter() - began
    print(f"{part.name}: {part.seconds:.1f} s", flush=True)
    for each in part.figures:
        print(f"  {each.name}: {each.shown} {each.unit}  {each.note}", flush=True)


def _measure_engine(part: Part, sizes: Sizes) -> None:
    found = engine.measure(sizes.engine_bars, None, sizes.engine_runs, time.perf_counter)
    part.describe(
        f"sma_cross 20/100 on {sizes.engine_bars:,} generated one-minute bars, one process, {found['events']:,} events."
    )
    note = f"median of {sizes.engine_runs}, by the clock"
    for name, key in (
        ("sma_cross, without a log", "without_events"),
        ("sma_cross, every event encoded to commits", "with_events_encoded"),
        ("the same, averages compared in on_bar", "compared_in_on_bar"),
        ("the same, array-driven", "array_driven_with_events_encoded"),
    ):
        part.add(name, float(str(found[f"bars_per_second_{key}"])), "bars/s", note)
    part.add("share of the speed that is left with the log", float(str(found["share_with_events"])), "ratio")
    part.add("a run of 2,000 bars, warm", float(str(found["milliseconds_of_a_run_of_2000_bars"])), "ms")


def _add_memory(part: Part, watch: MemoryWatch) -> None:
    part.describe("Highest resident set of one process over the whole benchmark; Postgres: all of its processes together (PSS).")
    notes = {"simulation": "largest one; maps the market data, which all share", "postgres": "shared_buffers 128 MB"}
    for role in ("worker", "zygote", "simulation", "projector", "compactor", "kafka", "postgres", "s3"):
        if role in watch.peaks:
            part.add(role, watch.peaks[role] / MIB, "MiB", notes.get(role, ""))


if __name__ == "__main__":
    sys.exit(main())
