"""This module is the compaction as a job that ends: everything finished up to the log's end has a snapshot when it returns."""

from collections.abc import Callable
from dataclasses import dataclass

from adapters.ports import BlobStore, Clock, LogReader, TopicPartition
from consumers.compactor import Announcer, Compactor
from consumers.compactor_state import CompactorRules


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """What the job did."""

    snapshots: int  # finished runs that have one now; those that had one before are counted too
    bytes: int  # of their files
    refused: tuple[str, ...]  # "backtest: what is wrong", the first hundred
    refused_count: int
    open_runs: int  # not finished at the log's end


async def snapshot_once(
    *,
    reader: LogReader,
    store: BlobStore,
    announcer: Announcer,
    clock: Clock,
    events_topic: str,
    rules: CompactorRules,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> SnapshotReport:
    """Read every partition from its beginning to where it ends now, with the very loop that the service runs.

    on_progress : called with records read and records in all
    Raises what ended the loop when the outside failed for longer than the rules allow.
    """
    idle = _Idle()
    compactor = Compactor(
        store=store, membership=idle, positions=idle, announcer=announcer, reader=reader, clock=clock, rules=rules
    )
    try:
        topics = [each for each in (rules.receipts_topic, events_topic) if each is not None]  # deletions first
        numbers = range(await reader.partitions(events_topic))
        sources = [TopicPartition(topic, number) for topic in topics for number in numbers]
        ranges = {source: (await reader.beginning(source), await reader.end(source)) for source in sources}
        await compactor.on_assigned(set(sources))
        total, done = sum(end - start for start, end in ranges.values()), 0
        for source, (start, end) in ranges.items():
            position = start
            while position < end:
                records = [each for each in await reader.read(source, position) if each.offset < end]
                if not records:  # transaction markers only
                    break
                await compactor.on_records(source, records)
                await compactor.ready()
                _check(compactor)
                position = records[-1].offset + 1
                on_progress(done + position - start, total)
            done += end - start
        await compactor.drained()
        _check(compactor)
        counts = compactor.counts
        open_runs = int(compactor.measures()["compactor_open_runs"])
        return SnapshotReport(counts.snapshots, counts.bytes, tuple(counts.refusals), counts.refused, open_runs)
    finally:
        await compactor.close()


def _check(compactor: Compactor) -> None:
    if compactor.fatal.done():
        raise compactor.fatal.result()


class _Idle:
    """No group: the job reads everything, and remembers nothing but the manifests."""

    def pause(self, source: TopicPartition) -> None: ...

    def resume(self, source: TopicPartition) -> None: ...

    def seek(self, source: TopicPartition, offset: int) -> None: ...

    async def rejoin(self) -> None: ...

    async def committed(self, source: TopicPartition) -> int | None:
        return None

    async def commit(self, source: TopicPartition, offset: int) -> None: ...
