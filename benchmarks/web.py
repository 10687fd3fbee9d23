"""This module measures the web service under load: `make bench-web` writes benchmarks/WEB.md.

A million backtests are put into the read model's table by SQL, as the projector would have left them. Then clients ask for the
status of random ones and for pages of the list, eight at a time, and a thousand event streams are opened, to which changes of
single backtests are told.

Milliseconds of the clock say how busy the machine is as well; milliseconds of the processor are those of the service's process,
and of PostgreSQL's, alone: compare those.
"""

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from adapters.control.keys import Keys
from adapters.control.pool import ControlPool
from backtape.local import ConsumerProcess
from backtape.prepare import prepare_async
from backtape.stack import LocalStack
from consumers.settings import Settings
from projections.tables import FIRST

RESULT = Path(__file__).with_name("WEB.md")
FOLDER = Path("/tmp/backtape-bench-web")
REQUESTS = 500
AT_ONCE = 8
SECONDS = 20.0  # of each kind of request at most: what is slow is not asked so often
STREAMS = 1_000
CHANGES = 10

CHANGE = f"UPDATE {FIRST.schema}.backtests SET last_sequence = last_sequence + 1 WHERE backtest_id = $1"

FILL = f"""
INSERT INTO {FIRST.schema}.backtests
    (backtest_id, origin, command_id, issued_at, submitter, priority, tags, strategy, dataset, symbols, timeframe, currency,
     initial_cash, spec, spec_digest, submitted_digest, records_orders, accepted_at, log_id, partition, first_offset, words,
     status, dataset_version, bars, bars_done, equity, orders, fills, trades, started_at, finished_at, final_equity,
     total_return, sharpe, max_drawdown, last_number, last_sequence, chain_head, last_mark)
SELECT 'load-' || lpad(n::text, 8, '0'), 'run', 'c' || n, t, 'user-' || n % 50, 0, ARRAY['tag-' || n % 1000, 'load'],
       'sma_cross', 'daily', ARRAY['S' || n % 500], '1d', 'USD', 100000, '{{}}'::jsonb, md5(n::text), md5(n::text), true, t,
       'log',
       n % 8, n, 'load-' || lpad(n::text, 8, '0') || ' sma cross daily s' || n % 500 || ' tag ' || n % 1000, 'completed',
       1, 3000, 3000, 100000 + n % 5000, 200, 200, 100, t, t + interval '1 second', 100000 + n % 5000, (n % 5000) / 1e5,
       (n % 997) / 300.0 - 1, -(n % 300) / 1000.0, 5, 600, md5(n::text), 3000
FROM (
    SELECT n, timestamptz '2026-01-01' + n * interval '1 second' AS t FROM generate_series($1::bigint, $2::bigint) AS n
) AS numbers
"""


async def measure(rows: int) -> str:
    """Return the page with the figures."""
    stack = LocalStack(FOLDER, jars=Path(".backtape/jars"))
    service: ConsumerProcess | None = None
    try:
        environment = {
            **stack.start(report=print).environment(),
            "BACKTAPE_CACHE_DIR": str(FOLDER / "cache"),
            "BACKTAPE_WEB_REQUESTS_PER_SECOND": "100000",
        }
        os.environ.update(environment)
        settings = Settings()
        await prepare_async(settings, report=print)
        seconds = await _fill(settings.database_url, rows)
        print(f"{rows:,} rows in {seconds:.0f} s")
        service = ConsumerProcess(FOLDER / "web", role="web", name="web", environment=environment)
        await asyncio.to_thread(service.start)
        return await _figures(settings, f"http://127.0.0.1:{service.port('http')}", rows)
    finally:
        if service is not None:
            service.kill()
        stack.remove()
        shutil.rmtree(FOLDER, ignore_errors=True)


async def _fill(database_url: str, rows: int) -> float:
    began = time.perf_counter()
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET synchronous_commit = off")
    for first in range(1, rows + 1, 50_000):
        await connection.execute(FILL, first, min(rows, first + 49_999))
    await connection.execute(f"VACUUM ANALYZE {FIRST.schema}.backtests")
    await connection.close()
    return time.perf_counter() - began


async def _figures(settings: Settings, address: str, rows: int) -> str:
    pool = ControlPool(settings.database_url)
    _, key = await Keys(pool).create_key("bench", ["read"], None)
    await pool.close()
    limits = httpx.Limits(max_connections=2 * AT_ONCE, max_keepalive_connections=AT_ONCE)
    headers = {"Authorization": f"Bearer {key}"}
    process = _process(address)
    used = _Used(process)
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=120, limits=limits) as client:
        chance = random.Random(1)

        def some() -> str:
            return f"load-{chance.randint(1, rows):08d}"

        asks: dict[str, Callable[[], Awaitable[httpx.Response]]] = {
            "status of a random backtest": lambda: client.get(f"/api/backtests/status/{some()}"),
            "list, newest 100": lambda: client.get("/api/backtests"),
            "list of one submitter": lambda: client.get(f"/api/backtests?submitter=user-{chance.randint(0, 49)}"),
            "list by Sharpe": lambda: client.get("/api/backtests?sort=-sharpe"),
            "list of one submitter, by Sharpe": lambda: client.get(
                f"/api/backtests?sort=-sharpe&submitter=user-{chance.randint(0, 49)}"
            ),
            "list of the running ones": lambda: client.get("/api/backtests?status=running&status=queued"),
            "list of one tag": lambda: client.get(f"/api/backtests?tag=tag-{chance.randint(0, 999)}"),
            "list of one symbol": lambda: client.get(f"/api/backtests?symbol=S{chance.randint(0, 499)}"),
            "list by words of tags": lambda: client.get(f"/api/backtests?q=tag+{chance.randint(0, 999)}"),
            "list by a word that all have": lambda: client.get("/api/backtests?q=sma"),
            "list of one submitter, by trades, without an index": lambda: client.get(
                f"/api/backtests?sort=-trades&submitter=user-{chance.randint(0, 49)}"
            ),
            "a page in the middle": _middle(client, chance),
            "counts": lambda: client.get("/api/backtests/counts"),
            "the system's state": lambda: client.get("/api/system"),
        }
        lines = [f"| {name} | {await _timed(ask, used)} |" for name, ask in asks.items()]
        refused = await client.get("/api/backtests?sort=-trades")
        assert refused.status_code == 422, refused.text
        opened = await _streams(address, key, used, settings, some, asks["status of a random backtest"])
    return _page(rows, lines, opened)


class _Used:
    """Seconds of the processor that the service and its database have used so far."""

    def __init__(self, web: psutil.Process) -> None:
        self.web = web
        self._database = next(
            each
            for each in psutil.process_iter(["name", "cmdline"])
            if "postgres" in (each.info["name"] or "") and any(str(FOLDER) in part for part in each.info["cmdline"] or ())
        )
        self._known: dict[int, float] = {}  # of the database's processes, also of those that ended

    def now(self) -> tuple[float, float]:
        """Return the service's seconds, and its database's."""
        for process in (self._database, *self._database.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self._known[process.pid] = times.user + times.system
        times = self.web.cpu_times()
        return times.user + times.system, sum(self._known.values())


def _middle(client: httpx.AsyncClient, chance: random.Random) -> Callable[[], Awaitable[httpx.Response]]:
    async def ask() -> httpx.Response:
        before = f"2026-01-{chance.randint(2, 10):02d}T00:00:00Z"
        return await client.get("/api/backtests", params={"accepted_before": before})

    return ask


async def _timed(ask: Callable[[], Awaitable[httpx.Response]], used: _Used) -> str:
    """Return median, 99th percentile, requests per second, and the processor's milliseconds of each, as cells."""
    took: list[float] = []
    left = iter(range(REQUESTS))
    ends = time.perf_counter() + SECONDS

    async def client() -> None:
        for _ in left:
            if time.perf_counter() > ends:
                return
            began = time.perf_counter()
            answer = await ask()
            took.append(time.perf_counter() - began)
            assert answer.status_code == 200, answer.text

    before = used.now()
    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    seconds = time.perf_counter() - began
    web, database = (1_000 * (now - then) / len(took) for now, then in zip(used.now(), before, strict=True))
    took.sort()
    cells = f"{1_000 * took[len(took) // 2]:.0f} | {1_000 * took[int(0.99 * len(took))]:.0f} | {len(took) / seconds:.0f}"
    return f"{cells} | {web:.1f} | {database:.1f}"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a thousand streams took.

    seconds : until all had told something
    before, after : bytes of the process without and with them
    changes : seconds until the first, the median and the last stream told a change
    opening, changing : the service's seconds of the processor for opening one stream, and for telling one change to all
    status : what asking for a status took beside them, as cells
    """

    opening: float
    changing: float
    seconds: float
    before: int
    after: int
    changes: list[tuple[float, float, float]]
    status: str


async def _streams(
    address: str, key: str, used: _Used, settings: Settings, some: Callable[[], str], ask: Callable[[], Awaitable[httpx.Response]]
) -> Opened:
    """Open the streams, each with one followed backtest and the list's changes, and change a backtest some times.

    They are read as plain lines: a whole HTTP client for each would be most of what is measured.
    """
    told = 0
    heard: list[float] = []
    enough, all_heard = asyncio.Event(), asyncio.Event()
    host, _, port = address.removeprefix("http://").partition(":")

    async def follow() -> None:
        nonlocal told
        is_open = False
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
        writer.write(f"GET /api/stream?ids={some()} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"event: lag") and not is_open:
                is_open, told = True, told + 1
                if told == STREAMS:
                    enough.set()
            elif line.startswith(b"event: rows"):
                heard.append(time.perf_counter())
                if len(heard) == STREAMS:
                    all_heard.set()

    before, (at_first, _) = used.web.memory_info().rss, used.now()
    began = time.perf_counter()
    tasks = [asyncio.create_task(follow()) for _ in range(STREAMS)]
    await asyncio.wait_for(enough.wait(), 300)
    seconds, opening = time.perf_counter() - began, (used.now()[0] - at_first) / STREAMS
    connection = await asyncpg.connect(settings.database_url)
    changes: list[tuple[float, float, float]] = []
    changing = 0.0
    for _ in range(CHANGES):
        await asyncio.sleep(1.0)  # each change alone
        heard.clear()
        all_heard.clear()
        changed = some()
        (at_change, _), began = used.now(), time.perf_counter()
        async with connection.transaction():
            await connection.execute(CHANGE, changed)
            await connection.execute("SELECT pg_notify('backtape_changes', $1)", changed)
        await asyncio.wait_for(all_heard.wait(), 60)
        took = sorted(at - began for at in heard)
        changes.append((took[0], took[len(took) // 2], took[-1]))
        changing += (used.now()[0] - at_change) / CHANGES
    await connection.close()
    after = used.web.memory_info().rss
    status = await _timed(ask, used)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return Opened(opening, changing, seconds, before, after, changes, status)


def _process(address: str) -> psutil.Process:
    port = int(address.rpartition(":")[2])
    found: Any = next(
        each for each in psutil.net_connections("tcp") if each.laddr and each.laddr.port == port and each.status == "LISTEN"
    )
    return psutil.Process(found.pid)


def _page(rows: int, lines: list[str], opened: Opened) -> str:
    mebibyte = 1024 * 1024
    table = "\n".join(lines)
    grown = (opened.after - opened.before) / 1024 / STREAMS
    firsts, medians, lasts = (sorted(each) for each in zip(*opened.changes, strict=True))
    middle = CHANGES // 2
    return f"""# The web service under load

Made by `make bench-web` on {os.cpu_count()} processors ({_processor()}) shared with the database, Kafka, the client and whatever
else ran (load average {os.getloadavg()[0]:.1f}), with {rows:,} backtests in the read model. Each is asked {REQUESTS:,} times
(fewer where that took {SECONDS:.0f} s), {AT_ONCE} at a time, of one web process. Milliseconds of the processor are the
service's and PostgreSQL's own: they say what a request costs, whatever else the machine does.

| request | median, ms | p99, ms | per second | processor, service, ms | PostgreSQL, ms |
|---|---|---|---|---|---|
{table}
| status, with {STREAMS:,} streams open | {opened.status} |

A list by a column without an index is refused where more than 100,000 backtests match (422, with what can be done instead).

{STREAMS:,} event streams, each following one backtest and the list, were open after {opened.seconds:.1f} s
({1_000 * opened.opening:.1f} ms of the processor each). Memory of the process: {opened.before / mebibyte:.0f} MiB before,
{opened.after / mebibyte:.0f} MiB with them, {grown:.0f} KiB each.

A change of one backtest (the row's update and its notification, committed as the projector does) reached the first stream after
{1_000 * firsts[middle]:.0f} ms, half of them after {1_000 * medians[middle]:.0f} ms and the last one after
{1_000 * lasts[middle]:.0f} ms (medians of {CHANGES} changes; the slowest last one {1_000 * lasts[-1]:.0f} ms).
It costs the service {1_000 * opened.changing:.0f} ms of the processor. The client, which reads all streams in one process on the
same processors, is part of the times.
"""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the web service under load.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(mode=0o755)
    page = asyncio.run(measure(parser.parse_args().rows))
    RESULT.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
