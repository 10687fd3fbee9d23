"""This module tells how the system does: lag of every consumer, counts, throughput, archive."""

from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from adapters.kafka_address import KafkaAddress
from schemas.topics import ARCHIVED
from web.lag import Lag
from web.services import Services

FINISHED = ("completed", "cancelled", "failed")
STATES = ("queued", "running", *FINISHED)


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
        "groups": await services.groups.value(),
        "backtests": {"total": totals["backtests"], **{state: totals[state] for state in STATES}},
        **{name: totals[name] for name in ("events", "commits", "fills", "dead_letters", "quarantined")},
        "outcomes": outcomes,
        **snapshots,
        "generations": [
            {"name": each.generation.name, "state": each.state, "changed_at": each.changed_at}
            for each in await services.generations.value()
        ],
        "archive": archive_of(services.config.kafka, lag, await services.archive.value()),
        "events_per_second": services.events.rate(totals["events"]),
        "finished_per_second": services.finished.rate(sum(totals[state] for state in FINISHED)),
        "streams": services.hub.streams,
        "audits_queued": await services.audits.count_open(),
    }


def archive_of(kafka: KafkaAddress, lag: Lag, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the answers ``ArchiveState``: of each partition of the archived topics how far its newest log is in the archive.

    rows : of the query ``archived``, in its order
    """
    newest = {(row["topic"], row["partition"]): row for row in rows}  # the newest log of a partition comes last
    names = {kafka.topic(topic): topic.name for topic in ARCHIVED}
    told = []
    for source in lag.sources:
        if source["topic"] not in names:
            continue
        row = newest.get((names[source["topic"]], source["partition"]), {})
        # Where nothing is unread, only the marker of a transaction lies between what was read and the end.
        end = source["next_offset"] if source["lag_records"] == 0 else source["end_offset"]
        archived = row.get("next_offset")
        told.append(
            {
                "topic": source["topic"],
                "partition": source["partition"],
                "log_id": row.get("log_id"),
                "ranges": row.get("ranges", 0),
                "records": row.get("records", 0),
                "bytes": row.get("bytes", 0),
                "archived_offset": archived,
                "archived_until": row.get("archived_until"),
                "offsets_only_in_kafka": None if end is None else max(0, end - (archived or 0)),
            }
        )
    return told
