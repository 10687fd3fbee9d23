"""This module measures the read side on a long log of real runs: ``python -m benchmarks.reading [--events N] [PART …]``.

``make bench-read`` writes benchmarks/READ.md. The stack is the benchmark's own. Processor time is counted beside the clock: it
says more on a machine that others use.
"""

import argparse
import asyncio
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import psutil
from aiokafka import AIOKafkaProducer

from backtape.local import ConsumerProcess
from backtape.running import commits_of
from benchmarks import latency, machine
from benchmarks.engine import generated
from benchmarks.figures import Part, as_markdown, as_table, percentile
from benchmarks.latency import SEEN
from benchmarks.long_log import spec, spread_ids
from benchmarks.memory import MIB
from benchmarks.read_log import ISSUED_AT, LOG_ID, Written, round_of, steps_of, write_log
from benchmarks.scene import PARTITIONS, Scene, Sizes, ends_of_events, run, until
from benchmarks.visible import Watch
from engine.registry import BUILTINS
from projections.tables import RUN_TABLES, SCHEMA
from schemas.market_data import Instrument, Market
from schemas.partitioning import home_partition
from schemas.topics import EVENTS

RESULTS = Path(__file__).with_name("READ.md")
RUN_BARS = 250_000
LOOK_SECONDS = 0.02
FLOW_SECONDS = 20.0
PROBE_SECONDS = 0.1
TITLES = {
    "live": "Log into all tables",
    "rebuild": "Rebuild beside it",
    "flow": "Latency under load",
    "idle": "Latency while idle",
    "delete": "Deleting one backtest",
}
HEAD = (
    "# The read side\n\nWritten by `make bench-read`. What the figures mean: [docs/performance.md](../docs/performance.md).\n\n"
)


class Usage:
    """Processor time of a process, or of a family of processes, since the last look."""

    def __init__(self, pid: int, *, is_family: bool = False) -> None:
        self._process, self._is_family = psutil.Process(pid), is_family
        self._before = self._seconds()

    def _seconds(self) -> float:
        members = [self._process, *(self._process.children(recursive=True) if self._is_family else [])]
        total = 0.0
        for member in members:
            try:
                times = member.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system + (times.children_user + times.children_system if self._is_family else 0.0)
        return total

    def spent(self) -> float:
        return self._seconds() - self._before


def _pid(process: ConsumerProcess | object) -> int:
    pid = process.pid  # type: ignore[attr-defined]
    assert pid is not None, "it runs"
    return int(pid)


async def live(scene: Scene, part: Part, written: Written) -> None:
    """A projector that was down while the log was written catches up."""
    connection = await asyncpg.connect(scene.settings.database_url)
    scene.start("projector")
    services = dict(scene.services())
    pid = _pid(services["projector"])
    sql = f"SELECT partition, next_offset FROM {SCHEMA}.projection_state WHERE topic = $1"
    resident: list[tuple[int, float]] = []
    first: tuple[float, int, Usage, Usage] | None = None
    done = 0
    while done < written.events:
        rows = await connection.fetch(sql, scene.settings.kafka.topic(EVENTS))
        done = sum(written.events_up_to(row["partition"], row["next_offset"]) for row in rows)
        if first is None and done:
            first = (time.perf_counter(), done, Usage(pid), Usage(_pid(services["postgres"]), is_family=True))
        resident.append((done, psutil.Process(pid).memory_info().rss / MIB))
        await asyncio.sleep(LOOK_SECONDS)
    assert first is not None, "the log is not empty"
    seconds, events = time.perf_counter() - first[0], done - first[1]
    count = sum([await connection.fetchval(f"SELECT count(*) FROM {table}") for table in RUN_TABLES])
    sizes = [await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", str(table)) for table in RUN_TABLES]
    await connection.close()
    part.describe(
        f"{count / written.events:.2f} rows and {sum(sizes) / written.events:.0f} bytes of tables and indexes per event."
    )
    part.add("log into all tables", events / seconds, "events/s", f"one projector, {seconds:.0f} s")
    part.add("the same", events * count / written.events / seconds, "rows/s")
    part.add("processor time of the projector", 1e6 * first[2].spent() / events, "µs/event")
    part.add("processor time of PostgreSQL", 1e6 * first[3].spent() / events, "µs/event")
    for share in (0.1, 0.5, 1.0):
        nearest = min(resident, key=lambda each: abs(each[0] - share * written.events))
        part.add(f"projector's memory after {share:.0%} of the events", nearest[1], "MiB")
    scene.stop("projector")


async def rebuild(scene: Scene, part: Part, written: Written) -> None:
    """The command, as a person would call it, without projectors beside it."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backtape", "rebuild", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, said = await process.communicate()
    seconds = time.perf_counter() - began
    assert process.returncode == 0, said.decode()[-2_000:]
    done = json.loads(out)
    assert done["swapped"] and not done["verified"]["differences"], done
    part.add("fill", done["events"] / done["fill_seconds"], "events/s", f"{done['fill_seconds']:.0f} s, two processes")
    both = done["fill_seconds"] + done["key_seconds"]
    part.add("fill and make the keys", done["events"] / both, "events/s", f"keys: {done['key_seconds']:.0f} s")
    part.add("the whole command", done["events"] / seconds, "events/s", f"{seconds:.0f} s, with the comparison of all rows")
    part.add("views locked by the swap", 1000 * done["swap_seconds"], "ms")


async def flow(scene: Scene, part: Part, written: Written, rate: int) -> None:
    """Append a steady flow of commits, and now and then a run's first commit; note when its row is visible."""
    scene.start("projector")
    producer = AIOKafkaProducer(
        bootstrap_servers=scene.settings.kafka_bootstrap, transactional_id="flow", linger_ms=0, compression_type="lz4",
        max_batch_size=1 << 20, max_request_size=2 << 20,
    )  # fmt: skip
    await producer.start()
    topic = scene.settings.kafka.topic(EVENTS)
    # Made before: the flow is not to share the processor with simulations. They are the simulated runs under ids of their own.
    flowing, steps = Written(simulated=written.simulated), []
    while sum(_events_in(step) for step in steps) < rate * FLOW_SECONDS:
        steps += steps_of(round_of(rate + len(flowing.ids), RUN_BARS, flowing))
    probes = _probes(f"probe-{rate}", int(FLOW_SECONDS / PROBE_SECONDS) + 50)
    connection = await asyncpg.connect(scene.settings.database_url)
    await _caught_up(scene, connection)
    visible = Watch(connection, scene.settings.database_url)
    await visible.begin()
    delays: list[float] = []
    sent = 0
    began = time.perf_counter()
    watching: list[asyncio.Task[None]] = []

    async def watch(backtest_id: str, since: float) -> None:
        await visible.until(SEEN, backtest_id, seconds=60)
        delays.append(time.perf_counter() - since)

    for step in steps:
        async with producer.transaction():
            for backtest_id, body in step:
                partition = home_partition(backtest_id.encode(), PARTITIONS)
                await producer.send(topic, body, backtest_id.encode(), partition=partition, headers=[("log_id", LOG_ID)])
        sent += _events_in(step)
        if time.perf_counter() - began > PROBE_SECONDS * (len(watching) + 1) and all(task.done() for task in watching):
            backtest_id, body = probes.pop()
            async with producer.transaction():
                partition = home_partition(backtest_id.encode(), PARTITIONS)
                await producer.send(topic, body, backtest_id.encode(), partition=partition, headers=[("log_id", LOG_ID)])
            watching.append(asyncio.create_task(watch(backtest_id, time.perf_counter())))
        if time.perf_counter() - began > FLOW_SECONDS:
            break
        await asyncio.sleep(max(0.0, began + sent / rate - time.perf_counter()))
    seconds = time.perf_counter() - began
    await asyncio.gather(*watching)
    await producer.stop()
    await visible.close()
    await connection.close()
    scene.stop("projector")
    part.describe(
        f"{len(delays)} first commits of runs among the flow, one at a time. A row counts as visible when a session that the"
        " projector's notification has woken has read it."
    )
    part.add("flow that was reached", sent / seconds, "events/s", f"{rate:,} wanted")
    for share in (0.5, 0.99):
        part.add(f"commit in Kafka to row visible, p{100 * share:.0f}", 1000 * percentile(delays, share), "ms")
    part.add("longest", 1000 * max(delays), "ms")


def _events_in(step: list[tuple[str, bytes]]) -> int:
    return sum(body.count(b'"sequence"') for _, body in step)


async def _caught_up(scene: Scene, connection: asyncpg.Connection) -> None:
    """Wait until the projector is past what lies on the log already."""
    ends = await ends_of_events(scene.settings)
    sql = "SELECT partition, next_offset FROM backtape.projection_state WHERE topic = $1"

    async def is_there() -> bool:
        rows = await connection.fetch(sql, scene.settings.kafka.topic(EVENTS))
        # The last offset is a transaction's marker.
        return all(row["next_offset"] >= ends[row["partition"]] - 1 for row in rows) and len(rows) == len(ends)

    await until(is_there, seconds=1_800)


def _probes(name: str, count: int) -> list[tuple[str, bytes]]:
    """Return first commits of runs that never start."""
    found = []
    market = Market(
        bars=(generated(100, seed=1),), instruments=(Instrument(symbol="X", calendar="always"),), dataset="minutes", version=1,
        digest="d" * 64,
    )  # fmt: skip
    for backtest_id in spread_ids(name, count):
        command = {
            "type": "SubmitBacktest", "command_id": f"submit-{backtest_id}", "backtest_id": backtest_id, "issued_at": ISSUED_AT,
            "spec": spec("minutes", "X", "1m", "sma_cross", {"fast": 3, "slow": 10}),
        }  # fmt: skip
        found.append((backtest_id, next(commits_of(command, market, BUILTINS["sma_cross"])).body))
    return found


async def idle(scene: Scene, part: Part, written: Written) -> None:
    """Commands one by one, after everything before has been projected."""
    scene.start("projector")
    connection = await asyncpg.connect(scene.settings.database_url)
    await _caught_up(scene, connection)
    await connection.close()
    await latency.measure(scene, part)
    scene.stop("worker", "projector")


async def delete(scene: Scene, part: Part, written: Written) -> None:
    """Remove all rows of one backtest from the live tables."""
    connection = await asyncpg.connect(scene.settings.database_url)
    schema = await connection.fetchval("SELECT 'backtape_' || name FROM backtape_control.generations WHERE state = 'live'")
    began = time.perf_counter()
    async with connection.transaction():
        tags = [
            await connection.execute(f"DELETE FROM {schema}.{table.name} WHERE backtest_id = $1", written.ids[0])
            for table in RUN_TABLES
        ]
    seconds = time.perf_counter() - began
    await connection.close()
    rows = sum(int(tag.split()[1]) for tag in tags)
    part.add("delete one backtest", 1000 * seconds, "ms", f"{rows:,} rows of {len(written.ids)} such backtests")


Measure = Callable[[Scene, Part, Written], Awaitable[None]]

PARTS: dict[str, Measure] = {"live": live, "rebuild": rebuild, "idle": idle, "delete": delete}


def _chosen(names: list[str], rates: list[int]) -> Iterator[tuple[str, str, Measure]]:
    """Yield name, title and function of each part; the flow is measured at each rate."""
    for name in names:
        if name != "flow":
            yield name, TITLES[name], PARTS[name]
            continue
        for rate in rates:
            yield f"flow-{rate}", f"{TITLES[name]}: {rate:,} events/s", partial(flow, rate=rate)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading", description="Measure the read side.")
    parser.add_argument("parts", nargs="*", choices=[*TITLES, []], default=[], metavar="PART", help=", ".join(TITLES))
    parser.add_argument("--events", type=int, default=10_000_000, help="length of the log")
    parser.add_argument("--flow", type=int, nargs="+", default=[100_000], metavar="RATE", help="events a second of the flow")
    parser.add_argument("--output", type=Path, default=None, help=f"where the Markdown goes (all parts: {RESULTS.name})")
    options = parser.parse_args()
    chosen = options.parts or list(TITLES)
    with Scene(Sizes(log_bars=1_000)) as scene:
        about = machine.described(scene.postgres_version(), f"python -m benchmarks.reading {shlex.join(sys.argv[1:])}".strip())
        written = Written()
        began = time.perf_counter()
        run(write_log(scene.settings, events=options.events, bars=RUN_BARS, written=written))
        kinds = f"{len(written.simulated)} of them simulated, the others the same under other ids"
        about.append(
            f"- the log: {len(written.ids)} runs of {RUN_BARS:,} one-minute bars on {PARTITIONS} partitions, {kinds}:"
            f" {written.events:,} events in {written.commits:,} commits, {written.bytes / written.events:.0f} bytes an event."
            f" Mix: {written.mix()}. Written in {time.perf_counter() - began:.0f} s"
        )
        print("\n".join(about), flush=True)
        parts = []
        for name, title, measure in _chosen(chosen, options.flow):
            part = Part(name, title)
            run(measure(scene, part, written))  # type: ignore[arg-type]
            print(as_table([part]), flush=True)
            parts.append(part)
    output = options.output or (RESULTS if not options.parts else None)
    if output is not None:
        output.write_text(HEAD + "\n".join(about) + "\n\n" + as_markdown(parts))
        print(f"\nwritten to {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
