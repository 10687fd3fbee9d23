"""This module drives the demo's commands: it submits, cancels the long run while it runs, and waits for everything to end."""

import asyncio
import json
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from adapters.kafka import KafkaAppender
from backtape.client import Client, now
from backtape.demo.runs import INVALID, NOT_JSON, RUNS, DemoRun
from backtape.read_model import ReadModel
from consumers.settings import Settings
from schemas.partitioning import home_partition
from schemas.topics import COMMANDS

POLL_SECONDS = 0.2
END_SECONDS = 100.0  # the demo is to end by itself
FINISHED = ("completed", "cancelled", "failed")


@dataclass(slots=True)
class Submitted:
    """What the demo has sent, and how it is called there: ids are new in every demo."""

    suffix: str
    ids: dict[str, str] = field(default_factory=dict)  # the run's name -> backtest id
    rejected: str = ""
    unreadable: tuple[int, int] = (0, 0)  # partition and offset of the message that is not JSON
    cancel_command: str = ""
    other_client: str = ""  # which library sent the command with the other hash

    @property
    def backtest_ids(self) -> list[str]:
        return list(self.ids.values())


async def submit_all(settings: Settings, report: Callable[[str], None]) -> Submitted:
    """Publish the demo's commands: good ones, an invalid one, and one that is no JSON."""
    sent = Submitted(suffix=uuid.uuid4().hex[:6])
    async with Client(settings) as client:
        for run in RUNS:
            backtest_id = sent.ids[run.name] = f"{run.name}-{sent.suffix}"
            if run.by_other_client:
                sent.other_client = await asyncio.to_thread(_send_hashed_differently, settings, backtest_id, run)
            else:
                await client.submit(run.spec, backtest_id=backtest_id, submitter="demo")
    appender = KafkaAppender(settings.kafka)
    try:
        sent.rejected = f"{INVALID.name}-{sent.suffix}"
        await appender.append(settings.kafka.topic(COMMANDS), sent.rejected.encode(), _command(sent.rejected, INVALID))
        key = f"not-json-{sent.suffix}".encode()
        home = home_partition(key, settings.partitions)
        sent.unreadable = (home, await appender.append(settings.kafka.topic(COMMANDS), key, NOT_JSON, partition=home))
    finally:
        await appender.close()
    report(f"submitted {len(sent.ids)} backtests, one with an invalid spec, and one message that is not JSON")
    return sent


def _command(backtest_id: str, run: DemoRun) -> bytes:
    command = {
        "type": "SubmitBacktest",
        "command_id": str(uuid.uuid4()),
        "backtest_id": backtest_id,
        "issued_at": now(),
        "submitter": "demo",
        "spec": run.spec,
    }
    return json.dumps(command).encode()


def _send_hashed_differently(settings: Settings, backtest_id: str, run: DemoRun) -> str:
    """Send a command as a client does that hashes keys by CRC32, and return which client did it."""
    topic, key, value = settings.kafka.topic(COMMANDS), backtest_id.encode(), _command(backtest_id, run)
    try:
        from confluent_kafka import Producer
    except ImportError:
        partition = zlib.crc32(key) % settings.partitions
        asyncio.run(_append_to(settings, topic, key, value, partition))
        return "a client that hashes keys by CRC32"
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})
    producer.produce(topic, key=key, value=value)
    if producer.flush(30):
        raise TimeoutError("Kafka did not acknowledge a command within 30 s")
    return "confluent-kafka with its defaults"


async def _append_to(settings: Settings, topic: str, key: bytes, value: bytes, partition: int) -> None:
    appender = KafkaAppender(settings.kafka)
    try:
        await appender.append(topic, key, value, partition=partition)
    finally:
        await appender.close()


async def follow(settings: Settings, sent: Submitted, show: Callable[[list[dict[str, Any]]], None]) -> list[dict[str, Any]]:
    """Follow the read model until every run has ended and has its snapshot; cancel the long one while it runs."""
    long_id = next(sent.ids[run.name] for run in RUNS if run.is_long)
    async with Client(settings) as client, ReadModel(settings.database_url) as model, asyncio.timeout(END_SECONDS):
        while True:
            rows = await model.named(sent.backtest_ids)
            show(rows)
            long_row = next((row for row in rows if row["backtest_id"] == long_id), None)
            if not sent.cancel_command and long_row is not None and long_row["status"] == "running" and long_row["bars_done"]:
                sent.cancel_command = (await client.cancel(long_id, reason="the demo cancels it while it runs")).command_id
            if len(rows) == len(sent.ids) and all(row["status"] in FINISHED and row["manifest_key"] for row in rows):
                return rows
            await asyncio.sleep(POLL_SECONDS)
