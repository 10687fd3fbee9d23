"""This module tells how far the consumer groups are that keep their offsets in Kafka: the worker's and the compactor's."""

from typing import Any

from adapters.errors import AdapterError
from adapters.kafka_watch import KafkaWatch
from adapters.ports import TopicPartition
from web.config import WebConfig
from web.lag import LagWatch


async def groups_of(config: WebConfig, watch: KafkaWatch, lag: LagWatch) -> list[dict[str, Any]]:
    """Return the answers ``GroupLag``; a group that Kafka does not tell of is left out."""
    told = []
    for group, topic in config.groups:
        try:
            committed = await watch.committed(group)
            sources = [TopicPartition(topic, number) for number in range(config.partitions)]
            ends = await watch.ends(sources)
        except AdapterError:
            continue
        for source in sources:
            offset, end = committed.get(source), ends.get(source)
            behind = None if offset is None or end is None else await lag.unread(source, offset, end)
            told.append(
                {
                    "group": group, "topic": topic, "partition": source.partition, "committed_offset": offset,
                    "end_offset": end, "lag_records": behind,
                }
            )  # fmt: skip
    return told
