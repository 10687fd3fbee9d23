"""This module prepares servers for Backtape: topics in Kafka, tables in Postgres. Safe to repeat, and to run at once."""

import asyncio
from collections.abc import Callable

from adapters.kafka import create_topics
from consumers.settings import Settings
from migrations import upgrade_async


def prepare(settings: Settings, *, report: Callable[[str], None]) -> None:
    """Create the topics that are missing and bring the database to this version."""
    asyncio.run(prepare_async(settings, report=report))


async def prepare_async(settings: Settings, *, report: Callable[[str], None]) -> None:
    """Do what ``prepare`` does, inside a running event loop."""
    created = await create_topics(settings.kafka, partitions=settings.partitions, replication=settings.replication)
    report(f"kafka: {len(created)} topics created" if created else "kafka: topics are there")
    await upgrade_async(settings.database_url)
    report("postgres: the read model is at this version")
