"""This module tells how the system does: lag of every consumer, counts, throughput."""

import time
from collections import deque
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from adapters.errors import AdapterError
from adapters.ports import TopicPartition
from projections import queries, run_queries
from projections.tables import PROJECTION_VERSION
from web.lag import Lag
from web.services import Services

STATES = ("queued", "running", "completed", "cancelled", "failed")
KEPT_SECONDS = 120.0
SUMS_SECONDS = 10.0  # sums over all backtests: a second of work for a million of them


class Throughput:
    """Events per second into the read model, from what was counted at different times."""

    def __init__(self) -> None:
        self._counted: deque[tuple[float, int]] = deque()

    def rate(self, events: int) -> float | None:
        """Count once more, and return the mean rate since the oldest count that is kept; None at the first one."""
        now = time.monotonic()
        self._counted.append((now, events))
        while len(self._counted) > 2 and now - self._counted[0][0] > KEPT_SECONDS:
            self._counted.popleft()
        (began, before), seconds = self._counted[0], now - self._counted[0][0]
        return None if seconds < 1.0 else max(0.0, (events - before) / seconds)


async def overview(services: Services) -> dict[str, Any]:
    """Return the answer ``SystemAnswer``."""
    lag = await services.lag.now()
    totals = await services.totals.value()
    outcomes = {row["outcome"]: row["count"] for row in await services.outcomes.value()}
    (snapshots,) = await services.ask(run_queries.snapshot_counts())
    return {
        "now": datetime.now(UTC),
        "version": version("backtape"),
        "projection_version": PROJECTION_VERSION,
        "is_stale": lag.is_stale,
        "lag_records": lag.records,
        "lag_seconds": lag.seconds,
        "sources": lag.sources,
        "groups": await _groups(services, lag),
        "backtests": {"total": totals["backtests"], **{state: totals[state] for state in STATES}},
        **{name: totals[name] for name in ("events", "commits", "fills", "dead_letters", "quarantined")},
        "outcomes": outcomes,
        **snapshots,
        "events_per_second": services.throughput.rate(totals["events"]),
        "streams": services.hub.streams,
        "audits_queued": await services.control.count_of_audits(),
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
            behind = None if offset is None or end is None else max(0, end - offset)
            told.append(
                {
                    "group": group, "topic": topic, "partition": source.partition, "committed_offset": offset,
                    "end_offset": end, "lag_records": behind,
                }
            )  # fmt: skip
    return told
