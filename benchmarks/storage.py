"""This module measures what a finished backtest takes up: in Kafka, in Postgres, as Parquet and in the archive.

It runs after the small runs, on what they have left: whole runs of the demo's kind, through the whole pipeline.
"""

from pathlib import Path

import asyncpg

from benchmarks.figures import Part
from benchmarks.scene import Scene
from consumers.archive_job import archive_job
from consumers.wiring import blob_store
from schemas.topics import EVENTS

TABLES = (
    "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {where}"
)
OF_RUNS = "n.nspname = 'backtape_v1' AND c.relkind IN ('r', 'p')"


async def measure(scene: Scene, part: Part) -> None:
    connection = await asyncpg.connect(scene.settings.database_url)
    try:
        runs, events = await connection.fetchrow("SELECT count(*), sum(last_sequence)::bigint FROM backtape_v1.backtests")
        json_bytes = await connection.fetchval("SELECT sum(bytes)::bigint FROM backtape_v1.commits")
        postgres = await connection.fetchval(TABLES.format(where=OF_RUNS))
    finally:
        await connection.close()
    await archive_job(scene.settings, truncates=False, grace_days=0.0)
    store = blob_store(scene.settings)
    sizes = {prefix: [blob.bytes for blob in store.list(prefix)] for prefix in ("bundles/", "backtests/", "archive/events/")}
    kafka = next(service for name, service in scene.services() if name == "kafka")
    topic = scene.settings.kafka.topic(EVENTS)
    segments = _bytes_of(Path(kafka.data), f"{topic}-*/*.log")
    part.describe(f"{runs:,} backtests with {events:,} events, {events / runs:,.0f} each, all finished and archived.")
    for name, bytes_, note in (
        ("commits as JSON", json_bytes, "what is hashed"),
        ("Kafka, one replica", segments, "segments of the events topic, lz4 by transaction, with markers and headers"),
        ("Postgres, tables and indexes", postgres, "before vacuum"),
        (
            "Parquet snapshots",
            sum(sizes["bundles/"]) + sum(sizes["backtests/"]),
            "tables, the events themselves, manifests",
        ),
        ("log archive", sum(sizes["archive/events/"]), "zstd, manifests"),
    ):
        part.add(f"{name}, per event", float(bytes_) / events, "bytes", note)
        part.add(f"{name}, per backtest", float(bytes_) / runs / 1024, "KiB")
    objects = sum(len(each) for each in sizes.values())
    part.add("objects in S3 per backtest", objects / runs, "objects", f"{len(sizes['bundles/'])} files of bundles")


def _bytes_of(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))
