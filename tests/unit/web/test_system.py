"""What the system's page tells of the archive."""

from __future__ import annotations

from typing import Any

from adapters.kafka import KafkaAddress
from web.lag import Lag
from web.system import archive_of

KAFKA = KafkaAddress("127.0.0.1:9092", "trial")


def source(topic: str, partition: int, *, next_offset: int, end_offset: int | None, lag: int | None) -> dict[str, Any]:
    return {"topic": topic, "partition": partition, "next_offset": next_offset, "end_offset": end_offset, "lag_records": lag}


def ranges(log_id: str, next_offset: int) -> dict[str, Any]:
    """A row of the query: what is archived of one log's partition 0."""
    return {
        "topic": "events", "partition": 0, "log_id": log_id, "ranges": 2, "records": 9, "bytes": 700, "next_offset": next_offset,
        "archived_until": None,
    }  # fmt: skip


def test_each_archived_partition_says_what_only_kafka_has() -> None:
    """By its newest log; a partition without an archive has all of it in Kafka; topics that are not archived are left out."""
    lag = Lag(
        sources=(
            source("trial.events", 0, next_offset=41, end_offset=42, lag=0),  # 41 is a transaction's marker
            source("trial.events", 1, next_offset=5, end_offset=9, lag=4),
            source("trial.receipts", 0, next_offset=5, end_offset=None, lag=None),
            source("trial.archive", 0, next_offset=3, end_offset=3, lag=0),
        )
    )
    told = archive_of(KAFKA, lag, [ranges("lost", 90), ranges("present", 30)])
    assert [(each["topic"], each["partition"], each["log_id"], each["offsets_only_in_kafka"]) for each in told] == [
        ("trial.events", 0, "present", 11),  # 41 - 30
        ("trial.events", 1, None, 9),
        ("trial.receipts", 0, None, None),
    ]
