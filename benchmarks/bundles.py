"""This module measures the compactor on many small runs: the loop as it runs, on a real S3 server, fed as fast as it takes them.

    python -m benchmarks.bundles [RUNS]

The runs are real ones of the demo's kind, each told again under an id of its own with a chain of its own. Kafka is left out:
records come from memory, so that the figures are the compactor's and the S3 server's.
"""

import asyncio
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

from adapters.blob_store import open_blob_store
from adapters.clock import SystemClock
from adapters.folder import FolderBlobStore
from adapters.memory_log import MemoryLog, MemoryLogReader, MemoryMembership
from adapters.ports import BlobStore, Record, TopicPartition
from backtape import run
from backtape.data.samples import STOCK_SYMBOLS, STOCKS, import_stocks
from backtape.stack import LocalStack
from backtape.stack.endpoints import S3_ACCESS_KEY, S3_BUCKET, S3_REGION, S3_SECRET_KEY
from benchmarks.figures import Part, as_table
from benchmarks.long_log import spec
from benchmarks.memory import MIB
from benchmarks.processor import processor_seconds
from benchmarks.small_runs import STRATEGIES
from consumers.compactor import Compactor
from consumers.compactor_state import CompactorRules
from schemas.commit import Author, Commit, Head, decode_commit, encode_commit
from schemas.ids import BacktestId, Digest
from snapshots.reader import read_snapshots

RUNS = 10_000
BETWEEN = {"start": "2010-01-01", "end": "2012-01-01"}  # about 500 daily bars
FED_TOGETHER = 100  # runs between two looks at whether more may be read
JARS = Path(__file__).resolve().parent.parent / ".backtape" / "jars"
EVENTS = TopicPartition("backtape.events", 0)


class Silent:
    """Announcements and positions that go nowhere, but are counted."""

    def __init__(self) -> None:
        self.announced = 0

    async def append(self, topic: str, key: bytes | None, value: bytes | None) -> int:
        self.announced += 1
        return self.announced

    async def committed(self, source: TopicPartition) -> int | None:
        return None

    async def commit(self, source: TopicPartition, offset: int) -> None: ...


def templates(folder: Path) -> list[list[Commit]]:
    """Return the commits of a run of each strategy over each symbol."""
    store, found = FolderBlobStore(folder), []
    import_stocks(store)
    for symbol in STOCK_SYMBOLS:
        for strategy, parameters in STRATEGIES:
            asked = spec(STOCKS, symbol, "1d", strategy, parameters)
            asked["data"] |= BETWEEN
            bodies = run(asked, data=store.url, backtest_id="template").commits
            found.append([decode_commit(body) for body in bodies])
    return found


def told_again(commits: list[Commit], backtest_id: str, offset: int) -> Iterator[Record]:
    """Yield a run's records under another id."""
    head, key = Head.start(Digest(commits[0].parent)), backtest_id.encode()
    for place, commit in enumerate(commits):
        made = encode_commit(BacktestId(backtest_id), head, Author(commit.author), commit.events)
        head = made.head
        now = time.time_ns() // 1_000_000
        yield Record(EVENTS.topic, 0, offset + place, now, key, made.body, (("log_id", b"benchmark"),))


async def measure(store: BlobStore, found: list[list[Commit]], runs: int, part: Part) -> None:
    """Add the compactor's figures for so many runs."""
    clock, outside = SystemClock(), Silent()
    log = MemoryLog(clock, partitions=1)
    compactor = Compactor(
        store=store, membership=MemoryMembership(log), positions=outside, announcer=outside, reader=MemoryLogReader(log),
        clock=clock, rules=CompactorRules(archive_topic="backtape.archive"),
    )  # fmt: skip
    await compactor.on_assigned({EVENTS})
    began, used, making, offset, lag, events, size = time.perf_counter(), time.process_time(), 0.0, 0, 0.0, 0, 0
    for first in range(0, runs, FED_TOGETHER):
        at = time.thread_time()
        records: list[Record] = []
        for number in range(first, min(runs, first + FED_TOGETHER)):
            records += told_again(found[number % len(found)], f"run-{number:06d}", offset + len(records))
            events += found[number % len(found)][-1].last_sequence
        making += time.thread_time() - at
        offset += len(records)
        size += sum(len(record.value or b"") for record in records)
        await compactor.on_records(EVENTS, records)
        await compactor.ready()
        lag = max(lag, compactor.measures()["snapshot_lag_seconds"])
        if compactor.fatal.done():
            raise compactor.fatal.result()
    await compactor.drained()
    seconds, used = time.perf_counter() - began, time.process_time() - used - making
    measures = compactor.measures()
    await compactor.close()
    assert outside.announced == runs and measures["compactor_refused_runs"] == 0
    bundles, manifests = ([blob.bytes for blob in store.list(prefix)] for prefix in ("bundles/", "backtests/"))
    made, stored = measures["compactor_bundles"], sum(bundles) + sum(manifests)
    part.describe(f"{runs:,} runs, {events:,} events, {size / MIB:,.0f} MiB of commits; {made:.0f} bundles.")
    part.add("objects in S3", len(bundles) + len(manifests), "objects", f"{len(bundles)} of bundles, the rest are manifests")
    part.add("objects per run", (len(bundles) + len(manifests)) / runs, "objects")
    part.add("bytes in S3 per run", stored / runs / 1024, "KiB", f"{sum(manifests) / runs:,.0f} bytes of it manifest")
    part.add("bytes in S3 per event", stored / events, "bytes", f"{size / events:.0f} as JSON")
    part.add("processor time of the compactor", 1_000 * used / runs, "ms/run", "its reading from Kafka is not in it")
    part.add("runs to snapshots", runs / seconds, "runs/s", f"{seconds:.0f} s by the clock")
    part.add("snapshot lag, longest that was seen", lag, "s", "at this rate; a bundle waits 10 s at most for others")
    part.add("peak memory of the compactor's process", _peak_mib(), "MiB", "with the templates and the engine that made them")
    at = time.perf_counter()
    rows = read_snapshots(store, [f"run-{number:06d}" for number in range(min(runs, 1_000))]).arrow("fills").num_rows
    part.add("reading the fills of 1,000 runs back", time.perf_counter() - at, "s", f"{rows:,} rows, digests checked")


def _peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    folder = Path(tempfile.mkdtemp(prefix="backtape-bundles-"))
    folder.chmod(0o755)
    stack, part = LocalStack(folder, jars=JARS), Part("bundles", "Many small runs")
    os.environ.update(AWS_ACCESS_KEY_ID=S3_ACCESS_KEY, AWS_SECRET_ACCESS_KEY=S3_SECRET_KEY, AWS_DEFAULT_REGION=S3_REGION)
    try:
        stack.s3.start()
        store = open_blob_store(f"s3://{S3_BUCKET}/measured", endpoint=stack.s3.endpoint)
        found = templates(folder / "data")
        before = processor_seconds([("s3", stack.s3)])
        asyncio.run(measure(store, found, runs, part))
        after = processor_seconds([("s3", stack.s3)])
        part.add("processor time of the S3 server", 1_000 * (after["s3"] - before["s3"]) / runs, "ms/run", "S3Proxy on a folder")
    finally:
        stack.s3.kill()
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(part.data))
    print(as_table([part]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
