"""The archive on the real servers: Kafka is truncated behind it, and nobody who reads notices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.kafka import KafkaAppender, KafkaLogReader, create_topics
from adapters.kafka_deletion import KafkaDeleter
from adapters.ports import Record, TopicPartition
from adapters.run_log import RunLogs
from backtape.stack import Endpoints
from consumers.archiver import Archiver
from consumers.settings import Settings, load_settings
from consumers.truncation import Limits, truncate
from consumers.wiring import blob_store, log_reader
from schemas.topics import EVENTS
from tests.factories import LOG_ID, finished_log
from tests.unit.test_archive import VirtualClock

pytestmark = pytest.mark.real


@pytest.fixture
def settings(own_endpoints: Endpoints, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Settings]:
    for name, value in {
        **own_endpoints.environment(), "BACKTAPE_TOPIC_PREFIX": topic_prefix, "BACKTAPE_PARTITIONS": "1",
        "BACKTAPE_CACHE_DIR": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    yield load_settings()


async def test_kafka_is_truncated_and_readers_go_on_in_the_archive(settings: Settings) -> None:
    """The same records before and after, times and headers with them; a run is found on either side and across the border."""
    await create_topics(settings.kafka, partitions=1)
    appender, reader, joined = KafkaAppender(settings.kafka), KafkaLogReader(settings.kafka), log_reader(settings)
    source = TopicPartition(settings.kafka.topic(EVENTS), 0)
    try:
        for seed in range(6):
            log = finished_log(f"bt-{seed}", seed=seed)
            for body in log.bodies:
                await appender.append(
                    source.topic, log.backtest_id.encode(), body, partition=0, headers=(("log_id", LOG_ID.encode()),)
                )
        before = await _all(reader, source)
        store, clock = blob_store(settings), VirtualClock(2**41)
        archiver = Archiver(
            reader=reader, store=store, announcer=appender, clock=clock, prefix=settings.topic_prefix, range_bytes=20_000
        )
        reach = await archiver.archive("events", 0)
        assert reach is not None and reach.ranges > 2
        done = await truncate(
            reader=reader, store=store, deleter=KafkaDeleter(settings.kafka), clock=clock, source=source,
            limits=Limits(reach.end, LOG_ID, reach.end), grace_ms=0,
        )  # fmt: skip
        assert 0 < done.beginning == await reader.beginning(source) < reach.end
        assert await joined.beginning(source) == 0
        assert await _all(joined, source) == before
        logs = RunLogs(joined, source.topic)
        for seed in (0, 5):
            assert [each.body for each in await logs.read(f"bt-{seed}")] == finished_log(f"bt-{seed}", seed=seed).bodies
    finally:
        await asyncio.gather(appender.close(), reader.close(), joined.close())


async def _all(reader: object, source: TopicPartition) -> list[Record]:
    found: list[Record] = []
    position = 0
    while records := await reader.read(source, position):  # type: ignore[attr-defined]
        found += records
        position = records[-1].offset + 1
    return found
