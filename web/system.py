"""This module tells how the system does: lag of every consumer, counts, throughput."""

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from adapters.errors import AdapterError
from adapters.ports import TopicPartition
from web.lag import Lag
from web.services import Services

STATES = ("queued", "running", "completed", "cancelled", "failed")


async def overview(services: Services) -> dict[str, Any]:
    """Return the answer ``SystemAnswer``."""
    lag = await services.lag.now()
    totals = await services.totals.value()
    outcomes = {row["outcome"]: row["count"] for row in await services.outcomes.value()}
    snapshots = await services.snapshots.value()
    return {
        "now": datetime.now(UTC),
        "version": version("backtape"),
        "is_stale": lag.is_stale,
        "lag_records": lag.records,
        "lag_seconds": lag.seconds,
        "sources": lag.sources,
        "groups": await _groups(services, lag),
        "backtests": {"total": totals["backtests"], **{state: totals[state] for state in STATES}},
        **{name: totals[name] for name in ("events", "commits", "fills", "dead_letters", "quarantined")},
        "outcomes": outcomes,
        **snapshots,
        "generations": [
            {"name": each.generation.name, "state": each.state, "changed_at": each.changed_at}
            for each in await services.generations.value()
        ],
        "events_per_second": services.throughput.rate(totals["events"]),
        "streams": services.hub.streams,
        "audits_queued": await services.audits.count_open(),
    }


async def _groups(services: Services, lag: Lag) -> list[dict[str, Any]]:
    """Return how far the groups are that keep their offsets in Kafka."""
    told = []
    for group, topic in services.config.groups:
        try:
            committed = await services.watch.committed(group)
            sources = [TopicPartition(topic, number) for number in range(services.config.partitions)]
            ends = await services.watch.ends(sources)
        except AdapterError:
            continue
        for source in sources:
            offset, end = committed.get(source), ends.get(source)
            behind = None if offset is None or end is None else await services.lag.unread(source, offset, end)
            told.append(
                {
                    "group": group, "topic": topic, "partition": source.partition, "committed_offset": offset,
                    "end_offset": end, "lag_records": behind,
                }
            )  # fmt: skip
    return told
