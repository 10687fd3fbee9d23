"""This module is the archiving as a job that ends: the log up to where it ends now, then the truncation if it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass

from adapters.blob_store import open_blob_store
from adapters.clock import SystemClock
from adapters.kafka import KafkaAppender, KafkaLogReader
from adapters.kafka_deletion import KafkaDeleter, group_positions
from adapters.ports import TopicPartition
from adapters.postgres_reader import PostgresReader
from consumers.archiver import Archiver, Reach
from consumers.settings import Settings
from consumers.truncation import DAY_MS, Limits, Truncation, truncate
from projections import queries
from schemas.topics import EVENTS


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """What the job did, partition by partition."""

    reaches: tuple[Reach, ...]
    truncations: tuple[Truncation, ...]

    @property
    def oldest_unarchived_ms(self) -> int | None:
        """Time of the oldest record that is not archived; None: everything is."""
        return min((each.oldest_unarchived_ms for each in self.reaches if each.oldest_unarchived_ms is not None), default=None)


async def archive_job(
    settings: Settings, *, truncates: bool, grace_days: float, report: Callable[[Reach], None] = lambda reach: None
) -> ArchiveReport:
    """Archive the log; with ``truncates``: delete from Kafka what everybody is done with and what is older than the grace time.

    report : called for each topic's partition when it is done
    Raises IntegrityError when events are gone that were never archived, or when an archived range does not read back.
    """
    reader, appender = KafkaLogReader(settings.kafka), KafkaAppender(settings.kafka)
    store, clock = open_blob_store(settings.s3_url, options=settings.s3), SystemClock()
    events = settings.kafka.topic(EVENTS)
    try:
        partitions = range(await reader.partitions(events))
        archiver = Archiver(reader=reader, store=store, announcer=appender, clock=clock, prefix=settings.topic_prefix)
        reaches = await archiver.archive_all(partitions, report=report)
        truncations = []
        limits = await _limits(settings) if truncates else {}
        for source in [TopicPartition(events, number) for number in partitions] if truncates else []:
            done = await truncate(
                reader=reader,
                store=store,
                deleter=KafkaDeleter(settings.kafka),
                clock=clock,
                source=source,
                limits=limits.get(source, Limits(None, None, None)),
                grace_ms=int(grace_days * DAY_MS),
            )
            truncations.append(done)
        return ArchiveReport(tuple(reaches), tuple(truncations))
    finally:
        await reader.close()
        await appender.close()


async def _limits(settings: Settings) -> dict[TopicPartition, Limits]:
    """Return how far the read model and the snapshots are with each partition of the events."""
    snapshots = await group_positions(settings.kafka, settings.compactor_group)
    query, model = queries.positions_of_sources(), PostgresReader(settings.database_url)
    try:
        rows = await model.fetch(query.sql, query.arguments)
    finally:
        await model.close()
    events = settings.kafka.topic(EVENTS)
    projected = {row["partition"]: row for row in rows if row["topic"] == events}
    return {
        TopicPartition(events, number): Limits(
            projected=row["next_offset"],
            projected_log=row["log_id"],
            snapshot=snapshots.get(TopicPartition(events, number)),
        )
        for number, row in projected.items()
    }
