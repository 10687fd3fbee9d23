"""This module measures how long one command takes while nothing else happens: into the status row, and to the run's end."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from backtape.client import Client
from backtape.data.samples import STOCKS
from benchmarks.figures import Part, percentile
from benchmarks.long_log import spec
from benchmarks.scene import PARTITIONS, Scene, until
from benchmarks.visible import Watch
from consumers.settings import Settings
from schemas.topics import EVENTS

END_SECONDS = 30.0
PAUSE_SECONDS = 0.03  # after a run's end, until all that follows from it is written

SPEC = spec(STOCKS, "AAPL", "1d", "sma_cross", {"fast": 20, "slow": 100})
SEEN = "SELECT 1 FROM backtape.backtests WHERE backtest_id = $1"
ENDED = "SELECT 1 FROM backtape.backtests WHERE backtest_id = $1 AND finished_at IS NOT NULL"


async def measure(scene: Scene, part: Part) -> None:
    """Submit one small run after another, each when the one before has ended."""
    scene.start("worker", "projector")
    connection = await asyncpg.connect(scene.settings.database_url)
    watch = Watch(connection, scene.settings.database_url)
    acknowledged, accepted, readable, ended = [], [], [], []
    try:
        async with Client(scene.settings) as client, _arrivals(scene.settings) as arrivals:
            await _caught_up(client, connection)
            await watch.begin()
            for number in range(scene.sizes.commands):
                backtest_id = f"latency-{number}"
                began = time.time()
                await client.submit(SPEC, backtest_id=backtest_id)
                acknowledged.append(time.time() - began)
                await watch.until(SEEN, backtest_id, seconds=END_SECONDS)
                accepted.append(time.time() - began)
                await watch.until(ENDED, backtest_id, seconds=END_SECONDS)
                ended.append(time.time() - began)
                readable.append(arrivals[backtest_id] - began)
                await asyncio.sleep(PAUSE_SECONDS)
    finally:
        await watch.close()
        await connection.close()
    part.describe(
        f"{len(accepted)} submits, one after another, of a run over {STOCKS} AAPL (daily); each when the one before had ended."
        " A row counts as visible when a session that the projector's notification has woken has read it."
        " A consumer beside it notes when the commit can be read."
        " The run starts at its acceptance: its simulation has one of the cores while its status row is written."
    )
    for name, values in (
        ("command acknowledged by Kafka", acknowledged),
        ("command to commit readable on the log", readable),
        ("commit readable to status row visible", [row - log for row, log in zip(accepted, readable, strict=True)]),
        ("command to status row", accepted),
        ("command to the completed row of its run", ended),
    ):
        part.add(f"{name}, p50", 1000 * percentile(values, 0.5), "ms")
        part.add(f"{name}, p99", 1000 * percentile(values, 0.99), "ms", f"longest {1000 * max(values):.1f} ms")


@asynccontextmanager
async def _arrivals(settings: Settings) -> AsyncIterator[dict[str, float]]:
    """Note when the first commit of each backtest can be read, as any consumer of committed records sees it."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, isolation_level="read_committed", auto_offset_reset="latest"
    )
    arrivals: dict[str, float] = {}

    async def listen() -> None:
        async for record in consumer:
            arrivals.setdefault((record.key or b"").decode(), time.time())

    await consumer.start()
    topic = settings.kafka.topic(EVENTS)
    consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
    await consumer.seek_to_end()
    listening = asyncio.create_task(listen())
    try:
        yield arrivals
    finally:
        listening.cancel()
        await consumer.stop()


async def _caught_up(client: Client, connection: asyncpg.Connection) -> None:
    """Wait until a run comes through: the projector is past the long log, and the worker's zygote is warm."""
    for number in range(3):
        await client.submit(SPEC, backtest_id=f"warm-{number}")
        await until(lambda key=f"warm-{number}": _is_there(connection, key), seconds=120)  # type: ignore[misc]


async def _is_there(connection: asyncpg.Connection, backtest_id: str) -> bool:
    return await connection.fetchval(ENDED, backtest_id) is not None
