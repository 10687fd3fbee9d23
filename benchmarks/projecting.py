"""This module measures the way from the log into Postgres: a real projector process on a log that was written before."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

import asyncpg

from adapters.copy_rows import encode_copy
from benchmarks.figures import Part
from benchmarks.long_log import Written
from benchmarks.scene import Scene, ends_of_events
from consumers.projector.batch import table_write
from consumers.settings import Settings
from projections.fold import fold_run
from projections.rows import RowChange
from projections.tables import FILLS, RUN_TABLES, SCHEMA
from schemas.commit import decode_commit
from schemas.topics import EVENTS

END_SECONDS = 180.0
LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the tables were at one look."""

    at: float
    positions: dict[int, int]


async def measure(scene: Scene, part: Part, written: Written) -> None:
    """Project the log, as a projector does that was down while the worker wrote."""
    scene.start("worker")  # beside it, with nothing to do
    events, seconds, _ = await _project(scene, written, scene.settings.database_url)
    scene.stop("worker")
    rows, size = await _rows_of(scene.settings.database_url)
    part.describe(f"The log of the part before. {rows / written.events:.2f} rows per event, {size / written.events:.0f} bytes of")
    part.data[-1] += " tables and indexes per event. Timed from the first batch that is in the tables to the last."
    rate = events / seconds
    part.add("log into Postgres, live tables", rate, "events/s", f"one projector, {seconds:.1f} s; an idle worker beside it")
    part.add("the same", rate * rows / written.events, "rows/s")
    _limit_of_decoding(part, written, rate)
    await _limit_of_copy(scene, part, written, rate * rows / written.events)


async def rebuild(scene: Scene, part: Part, written: Written) -> None:
    """Build the tables anew in an empty database, with nothing else at work."""
    events, seconds, begin_seconds = await _project(scene, written, await scene.new_database("rebuilt"))
    part.describe("The same log into an empty database; no other process of ours runs.")
    part.add("rebuild", events / seconds, "events/s", f"one projector, {seconds:.1f} s")
    part.add("from its start to the first batch", begin_seconds, "s", "Python, imports, group, positions")


async def _project(scene: Scene, written: Written, url: str) -> tuple[int, float, float]:
    """Return events and seconds from the first batch seen to the last, and seconds from the start to that first batch."""
    ends = await ends_of_events(scene.settings)
    looks: list[Progress] = []
    watching = asyncio.create_task(_watch(scene.settings, url, written, looks))
    began = time.perf_counter()
    projector = scene.projector_on(url)
    await asyncio.to_thread(projector.__enter__)
    try:
        await asyncio.wait_for(watching, END_SECONDS)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await asyncio.to_thread(projector.__exit__, None, None, None)
    first, last = looks[0], looks[-1]
    assert all(last.positions[number] <= end for number, end in ends.items()), "nothing is read beyond the end"
    done = _events(written, last) - _events(written, first)
    return done, last.at - first.at, first.at - began


async def _watch(settings: Settings, url: str, written: Written, looks: list[Progress]) -> None:
    """Note each move of the positions until they are at the end."""
    connection = await asyncpg.connect(url)
    sql = f"SELECT partition, next_offset FROM {SCHEMA}.projection_state WHERE topic = $1"
    try:
        while not looks or _events(written, looks[-1]) < written.events:
            rows = await connection.fetch(sql, settings.kafka.topic(EVENTS))
            positions = {row["partition"]: row["next_offset"] for row in rows}
            if any(positions.values()) and (not looks or positions != looks[-1].positions):
                looks.append(Progress(time.perf_counter(), positions))
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await connection.close()


def _events(written: Written, progress: Progress) -> int:
    return sum(written.events_up_to(partition, offset) for partition, offset in progress.positions.items())


async def _rows_of(url: str) -> tuple[int, int]:
    """Return rows, and bytes of tables with their indexes."""
    connection = await asyncpg.connect(url)
    try:
        rows = [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in RUN_TABLES]
        sizes = [await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", str(table)) for table in RUN_TABLES]
        return sum(rows), sum(sizes)
    finally:
        await connection.close()


# --- limits -----------------------------------------------------------------------------------------------------


def _limit_of_decoding(part: Part, written: Written, rate: float) -> None:
    bodies = [record.value or b"" for record in written.records]
    began = time.perf_counter()
    for body in bodies:
        decode_commit(body)
    limit = written.events / (time.perf_counter() - began)
    part.add("limit: decoding alone, one core", limit, "events/s", f"projector at {rate / limit:.0%}")


async def _limit_of_copy(scene: Scene, part: Part, written: Written, rows_rate: float) -> None:
    """Copy the fills of the largest run, encoded before, into an empty table of the same form."""
    by_run: dict[str, list[bytes]] = {}
    for record in written.records:
        by_run.setdefault((record.key or b"").decode(), []).append(record.value or b"")
    tables = fold_run(max(by_run.values(), key=lambda bodies: sum(map(len, bodies))))
    write = table_write(RowChange(FILLS, "insert", tables.rows("fills")))
    encoded = b"".join(encode_copy(write))
    connection = await asyncpg.connect(scene.settings.database_url, server_settings={"synchronous_commit": "off"})

    async def chunks():  # type: ignore[no-untyped-def]
        yield encoded

    try:
        await connection.execute("CREATE SCHEMA bare")
        await connection.execute(f"CREATE TABLE bare.fills (LIKE {SCHEMA}.fills INCLUDING ALL)")
        began = time.perf_counter()
        await connection.copy_to_table(
            "fills", source=chunks(), columns=write.names, schema_name="bare", format="binary", timeout=END_SECONDS
        )
        limit = write.count / (time.perf_counter() - began)
    finally:
        await connection.close()
    part.add("limit: COPY of fills alone, with their key", limit, "rows/s", f"projector at {rows_rate / limit:.0%}")
