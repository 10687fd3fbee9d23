"""This module measures the way into Kafka: one real worker runs long backtests, nothing else works."""

import time

from aiokafka import AIOKafkaProducer

from benchmarks.figures import Part
from benchmarks.long_log import Written, read_log, submit_long_runs
from benchmarks.scene import PARTITIONS, Scene, until
from consumers.settings import Settings
from schemas.commit import decode_commit
from schemas.topics import EVENTS

END_SECONDS = 180.0
STEP_BYTES = 1024 * 1024  # of one transaction, as the worker's


async def measure(scene: Scene, part: Part) -> Written:
    """Run the long backtests and return the log that they left."""
    scene.start("worker")
    ids = await submit_long_runs(scene.settings)
    await until(lambda: _have_ended(scene.settings, ids), seconds=END_SECONDS, every=0.5)
    scene.stop("worker")
    written = await read_log(scene.settings)
    commits = [(record.timestamp_ms, decode_commit(record.value or b"")) for record in written.records]
    results = [(at_ms, commit) for at_ms, commit in commits if commit.author.value == "simulation"]
    seconds = (max(at_ms for at_ms, _ in results) - min(at_ms for at_ms, _ in results)) / 1000
    size = written.bytes
    part.describe(
        f"{len(ids)} runs of {scene.sizes.log_bars:,} one-minute bars, two at a time, on {PARTITIONS} partitions:"
        f" {written.events:,} events in {len(commits):,} commits, {size / 1e6:.0f} MB (JSON), {size / written.events:.0f} bytes"
        f" per event. Mix: {written.mix()}."
    )
    rate = sum(len(commit.events) for _, commit in results) / seconds
    part.add("worker into Kafka", rate, "events/s", f"from the first to the last commit of the simulations, {seconds:.1f} s")
    part.add("the same", size / seconds / 1e6, "MB/s")
    limit = await _bare_producer(scene, written)
    part.add("limit: the same commits by a bare producer", limit, "events/s", f"1 MiB transactions, worker at {rate / limit:.0%}")
    return written


async def _have_ended(settings: Settings, ids: list[str]) -> bool:
    """Look into run state: no projector is needed to see it, and none runs."""
    from adapters.kafka import KafkaLogReader, read_all
    from adapters.ports import TopicPartition
    from schemas.run_state import decode_run_state
    from schemas.topics import RUNS

    reader = KafkaLogReader(settings.kafka)
    ended = set()
    try:
        for number in range(PARTITIONS):
            async for record in read_all(reader, TopicPartition(settings.kafka.topic(RUNS), number), 0):
                key = (record.key or b"").decode()
                if key in ids and record.value and decode_run_state(record.value).status.is_finished:
                    ended.add(key)
    finally:
        await reader.close()
    return len(ended) == len(ids)


async def _bare_producer(scene: Scene, written: Written) -> float:
    """Return the events/s of sending the same commits again, to a topic of its own, from one transactional producer."""
    from adapters.kafka import create_topics
    from adapters.kafka_address import KafkaAddress

    address = KafkaAddress(scene.settings.kafka_bootstrap, "bare")
    await create_topics(address, partitions=PARTITIONS)
    producer = AIOKafkaProducer(
        bootstrap_servers=address.bootstrap, transactional_id="bare", linger_ms=0, max_batch_size=STEP_BYTES,
        max_request_size=2 * STEP_BYTES, compression_type="lz4",
    )  # fmt: skip
    await producer.start()
    try:
        began = time.perf_counter()
        rest = list(written.records)
        while rest:
            size, step = 0, []
            while rest and size < STEP_BYTES:
                step.append(rest.pop())
                size += len(step[-1].value or b"")
            async with producer.transaction():
                for record in step:
                    await producer.send(address.topic(EVENTS), record.value, record.key, partition=record.partition)
        return written.events / (time.perf_counter() - began)
    finally:
        await producer.stop()
