"""This module wires the restoring of a lost Kafka, as a job that ends."""

import time
import uuid
from collections.abc import Callable

from adapters.blob_store import open_blob_store
from adapters.kafka import KafkaLogReader
from adapters.kafka_restore import KafkaRestorer
from consumers.restore import RestoreReport, restore
from consumers.settings import Settings
from engine.lifecycle import DAY_MS


async def restore_job(settings: Settings, *, report: Callable[[str], None]) -> RestoreReport:
    """Restore Kafka from the settings' blob store. The topics are there. Raises as ``restore`` does."""
    reader, restorer = KafkaLogReader(settings.kafka), KafkaRestorer(settings.kafka)
    try:
        return await restore(
            store=open_blob_store(settings.s3_url, options=settings.s3),
            reader=reader,
            restorer=restorer,
            prefix=settings.topic_prefix,
            partitions=settings.partitions,
            dedup_ms=int(settings.dedup_days * DAY_MS),
            now_ms=int(time.time() * 1_000),
            new_log_id=lambda: str(uuid.uuid4()),
            report=report,
        )
    finally:
        await reader.close()
        await restorer.close()
