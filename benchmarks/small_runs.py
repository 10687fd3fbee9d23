"""This module measures many small runs through the whole pipeline: command, simulation, log, tables, snapshot."""

import asyncio
import time
from typing import Any

import asyncpg

from backtape.client import Client
from backtape.data.samples import STOCK_SYMBOLS, STOCKS
from benchmarks.figures import Part
from benchmarks.long_log import spec
from benchmarks.processor import processor_seconds
from benchmarks.scene import Scene, finished, until

END_SECONDS = 240.0
TOGETHER = 50  # commands that one client has under way

STRATEGIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("sma_cross", {"fast": 10, "slow": 30}),
    ("sma_cross", {"fast": 20, "slow": 100}),
    ("rsi_reversion", {}),
    ("donchian_breakout", {}),
)


async def measure(scene: Scene, part: Part) -> None:
    scene.start("worker", "projector", "compactor")
    connection = await asyncpg.connect(scene.settings.database_url)
    try:
        await until(lambda: _nothing_waits(connection), seconds=END_SECONDS, every=0.2)
        before = processor_seconds(scene.services())
        began = time.perf_counter()
        ids = await _submit(scene)
        sent = time.perf_counter() - began
        await until(lambda: _all_finished(connection, ids), seconds=END_SECONDS, every=0.05)
        seconds = time.perf_counter() - began
        events = await connection.fetchval(
            "SELECT sum(last_sequence) FROM backtape_v1.backtests WHERE backtest_id = ANY($1)", ids
        )
        await until(lambda: _all_stored(connection, ids), seconds=END_SECONDS, every=0.1)
        stored = time.perf_counter() - began
        after = processor_seconds(scene.services())
    finally:
        await connection.close()
    part.describe(
        f"{len(ids)} daily runs over {STOCKS} (3,270 bars each, {events / len(ids):.0f} events on average), one worker with two"
        " simulations at a time, one projector, one compactor; counted from the first command."
    )
    part.add("small runs, to completed rows in SQL", len(ids) / seconds, "runs/s", f"{seconds:.1f} s")
    part.add("small runs, to snapshots in S3", len(ids) / stored, "runs/s", f"{stored:.1f} s, beside the runs and after them")
    for role in sorted(after, key=lambda role: before.get(role, 0.0) - after[role]):
        used = 1000 * (after[role] - before.get(role, 0.0)) / len(ids)
        part.add(f"processor time of {role}", used, "ms/run", "down to the snapshots")
    part.add("submitting them, one client", len(ids) / sent, "commands/s", f"{TOGETHER} under way")


async def _submit(scene: Scene) -> list[str]:
    ids = [f"small-{number}" for number in range(scene.sizes.small_runs)]
    gate = asyncio.Semaphore(TOGETHER)

    async def submit(number: int) -> None:
        strategy, parameters = STRATEGIES[number % len(STRATEGIES)]
        symbol = STOCK_SYMBOLS[number // len(STRATEGIES) % len(STOCK_SYMBOLS)]
        async with gate:
            await client.submit(spec(STOCKS, symbol, "1d", strategy, parameters), backtest_id=ids[number])

    async with Client(scene.settings) as client:
        await asyncio.gather(*(submit(number) for number in range(len(ids))))
    return ids


async def _all_finished(connection: asyncpg.Connection, ids: list[str]) -> bool:
    return await finished(connection, ids) == len(ids)


async def _all_stored(connection: asyncpg.Connection, ids: list[str]) -> bool:
    sql = "SELECT count(*) FROM backtape.backtests WHERE manifest_key IS NOT NULL AND backtest_id = ANY($1)"
    return int(await connection.fetchval(sql, ids)) == len(ids)


async def _nothing_waits(connection: asyncpg.Connection) -> bool:
    """Say whether every run that has ended has its snapshot: the compactor is past what lay there before."""
    sql = "SELECT count(*) FROM backtape.backtests WHERE manifest_key IS NULL OR finished_at IS NULL"
    return int(await connection.fetchval(sql)) == 0
