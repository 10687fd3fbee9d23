"""This module wires the processes: the one place where loops meet their adapters.

What only one role needs is imported in its function: pyarrow, which snapshots are written with, is 40 MB in a process that has no
use for it.
"""

import os
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from adapters.archived_log import ArchivedLogReader
from adapters.blob_store import open_blob_store
from adapters.clock import SystemClock
from adapters.kafka import KafkaAppender, KafkaLogReader
from adapters.ports import BlobStore, LogReader
from adapters.postgres import PostgresRowStore
from adapters.postgres_generations import Generations
from consumers.feed import KafkaMembership, Reading
from consumers.memory import return_large_buffers
from consumers.projector import Projector
from consumers.projector.loop import PROJECTED
from consumers.settings import Settings
from consumers.shell import Role
from projections.roles import PROJECTOR_ROLE
from projections.tables import PROJECTION_VERSION
from schemas.generations import Generation
from schemas.topics import ARCHIVE, COMMANDS, DEAD_LETTERS, EVENTS, RECEIPTS, RUNS

if TYPE_CHECKING:
    from adapters.market_data import StoredMarketData
    from consumers.archive_keeper import ArchiveKeeper
    from consumers.compactor import Compactor
    from consumers.compactor_state import CompactorRules
    from consumers.simulation.child import Surroundings
    from consumers.snapshot_once import SnapshotReport
    from consumers.worker.loop import Worker

POLLED_RECORDS = 50  # by a projector at a time: commits are up to half a megabyte, and a poll of 500 was 60 MB
WATCH_SECONDS = 1.0  # between two looks at which generations are to be fed


def blob_store(settings: Settings) -> BlobStore:
    return open_blob_store(settings.s3_url, options=settings.s3)


def log_reader(settings: Settings) -> LogReader:
    """Return a reader of the log that goes on in the archive where the log is truncated."""
    return ArchivedLogReader(KafkaLogReader(settings.kafka), lambda: blob_store(settings), settings.topic_prefix)


def market_data(settings: Settings) -> "StoredMarketData":
    from adapters.market_data import StoredMarketData

    return StoredMarketData(blob_store(settings), settings.cache_dir / "bars")


def simulation_surroundings(settings: Settings) -> "Surroundings":
    """Return what a simulation's process needs; called once, in the zygote."""
    from consumers.simulation.child import Surroundings  # here: it brings numba, 100 MB that no other process needs

    return Surroundings(market_data=market_data(settings), strategy_files=settings.strategy_files)


def worker_role(settings: Settings) -> Role:
    """Return the worker: commands in, commits of events out."""
    from adapters.kafka_partition import KafkaPartition
    from consumers.machine import machine_headers
    from consumers.simulation.runner import ZygoteRunner
    from consumers.worker.loop import Worker
    from consumers.worker.partition import WorkerRules
    from consumers.worker.plan import TopicNames
    from engine.lifecycle import IntakeRules

    names = TopicNames(
        events=settings.kafka.topic(EVENTS),
        runs=settings.kafka.topic(RUNS),
        receipts=settings.kafka.topic(RECEIPTS),
        dead_letters=settings.kafka.topic(DEAD_LETTERS),
    )
    commands = settings.kafka.topic(COMMANDS)

    async def make(membership: KafkaMembership) -> "Worker":
        reader = log_reader(settings)
        partitions = await reader.partitions(commands)
        appender = KafkaAppender(settings.kafka)
        runner = ZygoteRunner({**os.environ, **settings.environment()})
        rules = WorkerRules(
            names=names,
            intake=IntakeRules(
                catalogue=await runner.catalogue(), dedup_days=settings.dedup_days, max_queued=settings.max_queued
            ),
            partitions=partitions,
            machine=machine_headers(),
            accept_lost_commands=settings.accept_lost_commands,
        )
        return Worker(
            open_partition=lambda number: KafkaPartition(
                settings.kafka, number, group=settings.worker_group, reader=reader, appender=appender
            ),
            membership=membership,
            group=membership,
            rules=rules,
            runner=runner,
            clock=SystemClock(),
            commands_topic=commands,
            slots=settings.simulations,
            new_log_id=lambda: str(uuid.uuid4()),
        )

    return _fixed("worker", Reading(settings.worker_group, (commands,), make))


def projector_role(settings: Settings) -> Role:
    """Return the projector: the log into every generation of the read model that is fed, each read as a group of its own."""
    generations = Generations(settings.database_url)

    async def readings() -> list[Reading]:
        return [_projecting(settings, each) for each in await generations.fed(PROJECTION_VERSION)]

    return Role("projector", readings, watch_seconds=WATCH_SECONDS)


def _projecting(settings: Settings, generation: Generation) -> Reading:
    async def make(membership: KafkaMembership) -> Projector:
        from adapters.copy_rows import warm_up  # here: it brings numba, which only projectors need

        warm_up()
        return_large_buffers()
        return Projector(
            store=PostgresRowStore(settings.database_url, generation.schema, role=PROJECTOR_ROLE),
            reader=KafkaLogReader(settings.kafka),
            membership=membership,
            clock=SystemClock(),
            topic_prefix=settings.topic_prefix,
        )

    topics = tuple(settings.kafka.topic(topic) for topic in PROJECTED)
    return Reading(settings.projector_group(generation), topics, make, max_records=POLLED_RECORDS)


def _fixed(name: str, reading: Reading) -> Role:
    """Return a role that reads the same as long as it runs."""

    async def readings() -> list[Reading]:
        return [reading]

    return Role(name, readings)


def compactor_role(settings: Settings) -> Role:
    """Return the compactor: finished runs into Parquet."""
    from consumers.compactor import Compactor

    async def make(membership: KafkaMembership) -> "Compactor":
        store, announcer, clock = blob_store(settings), KafkaAppender(settings.kafka), SystemClock()
        return Compactor(
            store=store,
            membership=membership,
            positions=membership,
            announcer=announcer,
            reader=KafkaLogReader(settings.kafka),
            clock=clock,
            rules=_compactor_rules(settings),
            keeper=_keeper(settings, store, announcer, clock),
        )

    topics = (settings.kafka.topic(EVENTS), settings.kafka.topic(RECEIPTS))  # receipts tell of deletions
    return _fixed("compactor", Reading(settings.compactor_group, topics, make))


def _compactor_rules(settings: Settings) -> "CompactorRules":
    from consumers.compactor_state import CompactorRules

    return CompactorRules(archive_topic=settings.kafka.topic(ARCHIVE), receipts_topic=settings.kafka.topic(RECEIPTS))


def _keeper(settings: Settings, store: BlobStore, announcer: KafkaAppender, clock: SystemClock) -> "ArchiveKeeper | None":
    """Return what archives the compactor's partitions beside it, with a reader of its own; None where a job does that."""
    from consumers.archive_keeper import ArchiveKeeper
    from consumers.archiver import Archiver

    if settings.archive_seconds == 0:
        return None
    archiver = Archiver(
        reader=KafkaLogReader(settings.kafka),
        store=store,
        announcer=announcer,
        clock=clock,
        prefix=settings.topic_prefix,
        age_ms=int(settings.archive_seconds * 1_000),
    )
    return ArchiveKeeper(archiver, clock=clock, every_seconds=settings.archive_seconds / 4)


async def snapshot_job(settings: Settings, *, on_progress: Callable[[int, int], None]) -> "SnapshotReport":
    """Snapshot everything that is finished in the log, as a job that ends.

    on_progress : called with records read and records in all
    """
    from consumers.snapshot_once import snapshot_once

    reader, announcer = log_reader(settings), KafkaAppender(settings.kafka)
    try:
        return await snapshot_once(
            reader=reader,
            store=blob_store(settings),
            announcer=announcer,
            clock=SystemClock(),
            events_topic=settings.kafka.topic(EVENTS),
            rules=_compactor_rules(settings),
            on_progress=on_progress,
        )
    finally:
        await reader.close()
        await announcer.close()
