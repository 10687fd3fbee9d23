"""This module builds a lost Kafka again from the archive: events, receipts, dead letters, run state, announced snapshots.

Records keep their order, times, keys, values and headers; their offsets are new, and so is the log: each partition gets a new
``log_id``, so that nobody takes old positions for new ones. Run state is the fold of the archived events. What was not archived
is lost, and is said: where the archive of each partition ends, and which runs were open there. They go on from there.

``_topology`` is written last of a partition: it says that the partition is whole. A restore that died goes on: what a partition
holds already is compared with the archive, and the rest is appended.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import structlog

from adapters.archive_files import Archive, archived_logs, log_id_of
from adapters.errors import ConfigurationError, IntegrityError
from adapters.ports import BlobStore, Headers, LogReader, Record, TopicPartition
from engine.lifecycle import evolve
from schemas.canonical import canonical_json
from schemas.commit import EncodedCommit, Head, decode_commit
from schemas.events import AnyEvent, BacktestAccepted, BacktestImported, BacktestStarted
from schemas.ids import sha256
from schemas.partitioning import home_partition
from schemas.receipts import Outcome, decode_receipt
from schemas.run_state import TOPOLOGY_KEY, RunState, RunStatus, Topology, encode_state
from schemas.topics import ARCHIVE, ARCHIVED, DEAD_LETTERS, EVENTS, RECEIPTS, RUNS, topic_name
from snapshots.blobs import PREFIX
from snapshots.writer import announcement, read_manifest

log = structlog.get_logger()

APPENDED_TOGETHER = 500
MAX_NAMED = 1_000  # open runs that are named; the rest are counted


class Restorer(Protocol):
    """Where restored records go: adapters.kafka_restore.KafkaRestorer, or the memory twin."""

    async def append(self, topic: str, partition: int, records: list[Record]) -> list[int]:
        """Append records in their order, with their times (0: the present one), and return their offsets."""
        ...


@dataclass(frozen=True, slots=True)
class RestoredPartition:
    """What one partition is now."""

    partition: int
    archived_log: str  # where its records come from
    log_id: str  # what it is now
    archived_to: int  # the archive's end, as an offset of the lost log
    last_timestamp_ms: int  # of the newest event that is restored
    events: int  # records, that is commits
    receipts: int
    dead_letters: int
    runs: int
    open_runs: tuple[str, ...]  # at most a thousand; they go on
    open_count: int


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was restored, partition by partition, and how many snapshots were announced again."""

    partitions: tuple[RestoredPartition, ...]
    snapshots: int


def _repeated_by(first: AnyEvent) -> str:
    """Return the digest by which a repeat of a run's first command is recognised."""
    match first:
        case BacktestAccepted():
            return first.submitted_digest
        case BacktestImported():
            return first.content_digest
        case _:
            return ""


@dataclass(slots=True)
class _Runs:
    """Run state while it is folded."""

    states: dict[str, RunState] = field(default_factory=dict)

    def take(self, record: Record, offset: int) -> None:
        """Fold one event record, which lies at this offset now."""
        body, backtest_id = record.value or b"", (record.key or b"").decode()
        commit = decode_commit(body)
        last = commit.events[-1]
        head = Head(commit.number, commit.last_sequence, sha256(body))
        state = self.states.get(backtest_id)
        if state is None:
            first = commit.events[0]
            state = RunState(
                status=RunStatus.QUEUED,
                submitted_digest=_repeated_by(first),
                priority=first.priority if isinstance(first, BacktestAccepted) else 0,
                number=head.number,
                sequence=head.sequence,
                digest=head.digest,
                accepted_offset=offset,
            )
        if not isinstance(last, BacktestAccepted):
            state = evolve(state, EncodedCommit(body, head, commit.is_terminal), last)
        if isinstance(last, BacktestStarted):
            headers = {name: value.decode() for name, value in record.headers}
            state = msgspec.structs.replace(
                state,
                data_version=last.dataset_version,
                data_digest=last.data_digest,
                code_digest=headers.get("code"),
                strategy_digest=headers.get("strategy"),
            )
        if state.status.is_finished:
            state = msgspec.structs.replace(state, finished_at_ms=record.timestamp_ms)
        self.states[backtest_id] = state

    def delete(self, record: Record) -> None:
        """Mark a run whose deletion was accepted."""
        if b"DeleteBacktest" not in (record.value or b""):
            return
        receipt = decode_receipt(record.value or b"")
        if receipt.command_type == "DeleteBacktest" and receipt.outcome is Outcome.ACCEPTED and receipt.backtest_id is not None:
            unknown = RunState(status=RunStatus.DELETED, submitted_digest="", number=0, sequence=0)
            state = self.states.get(receipt.backtest_id, unknown)
            deleted = msgspec.structs.replace(state, status=RunStatus.DELETED, finished_at_ms=record.timestamp_ms)
            self.states[receipt.backtest_id] = deleted

    def forget_before(self, oldest_ms: float) -> None:
        self.states = {
            key: state for key, state in self.states.items() if state.finished_at_ms is None or state.finished_at_ms >= oldest_ms
        }

    @property
    def open(self) -> list[str]:
        return sorted(key for key, state in self.states.items() if not state.status.is_finished)


async def restore(
    *,
    store: BlobStore,
    reader: LogReader,
    restorer: Restorer,
    prefix: str,
    partitions: int,
    dedup_ms: int,
    now_ms: int,
    new_log_id: Callable[[], str],
    report: Callable[[str], None] = lambda line: None,
) -> RestoreReport:
    """Restore every partition, then announce the snapshots again. The topics are there, and no process of ours runs.

    Raises ConfigurationError where the archive was made with another number of partitions, or a partition holds records that are
    not the archive's; IntegrityError where an archived range is broken.
    """
    done = []
    for number in range(partitions):
        job = _Partition(store, reader, restorer, prefix, number, partitions)
        made = await job.restore(dedup_ms=dedup_ms, now_ms=now_ms, new_log_id=new_log_id)
        if made is not None:
            report(f"partition {number}: {made.events} commits, {made.runs} runs remembered, {made.open_count} of them open")
            done.append(made)
    snapshots = await _announce(store, restorer, prefix)
    report(f"{snapshots} snapshots announced")
    return RestoreReport(tuple(done), snapshots)


class _Partition:
    """The restoring of one partition."""

    def __init__(
        self, store: BlobStore, reader: LogReader, restorer: Restorer, prefix: str, number: int, partitions: int
    ) -> None:
        self._store = store
        self._reader = reader
        self._restorer = restorer
        self._prefix = prefix
        self._number = number
        self._partitions = partitions

    async def restore(self, *, dedup_ms: int, now_ms: int, new_log_id: Callable[[], str]) -> RestoredPartition | None:
        """Restore the partition's topics; None where nothing of it was archived."""
        source = self._source(EVENTS.name)
        lost = await asyncio.to_thread(lost_log, self._store, source)
        if lost is None:
            return None
        log_id = await self._begun() or new_log_id()
        runs = _Runs()
        archive, count, newest = self._archive(EVENTS.name, lost), 0, 0
        async for record, offset in self._copied(archive, log_id):
            self._check_home(record)
            runs.take(record, offset)
            count, newest = count + 1, record.timestamp_ms
        counts = {}
        for topic in (RECEIPTS.name, DEAD_LETTERS.name):
            counts[topic] = 0
            async for record, _ in self._copied(self._archive(topic, lost), log_id):
                counts[topic] += 1
                if topic == RECEIPTS.name:
                    runs.delete(record)
        runs.forget_before(now_ms - dedup_ms)
        await self._write_states(runs, log_id)
        last = archive.last()
        return RestoredPartition(
            partition=self._number,
            archived_log=lost,
            log_id=log_id,
            archived_to=0 if last is None else last[0].next_offset,
            last_timestamp_ms=newest,
            events=count,
            receipts=counts[RECEIPTS.name],
            dead_letters=counts[DEAD_LETTERS.name],
            runs=len(runs.states),
            open_runs=tuple(runs.open[:MAX_NAMED]),
            open_count=len(runs.open),
        )

    async def _copied(self, archive: Archive, log_id: str) -> AsyncIterator[tuple[Record, int]]:
        """Yield each archived record with its new offset, once it is in Kafka. What is there already is compared."""
        position, portions = 0, _portions(archive)
        while (records := await asyncio.to_thread(next, portions, None)) is not None:
            offsets = await self._there(archive.source, position, records)
            missing = [_moved(record, log_id) for record in records[len(offsets) :]]
            if missing:
                offsets += await self._restorer.append(archive.source.topic, self._number, missing)
            position = offsets[-1] + 1
            for record, offset in zip(records, offsets, strict=True):
                yield record, offset

    async def _there(self, source: TopicPartition, start: int, records: list[Record]) -> list[int]:
        """Return where those of the records are that an earlier attempt has appended. Raises ConfigurationError for others."""
        found: list[Record] = []
        while len(found) < len(records):
            position = found[-1].offset + 1 if found else start
            batch = await self._reader.read(source, position, max_records=len(records) - len(found))
            if not batch:
                break
            found += batch
        for here, archived in zip(found, records, strict=False):
            if (here.key, here.value, here.timestamp_ms) != (archived.key, archived.value, archived.timestamp_ms):
                raise ConfigurationError(
                    f"{source} holds at offset {here.offset} what the archive does not: restore into topics that are empty"
                )
        return [record.offset for record in found[: len(records)]]

    async def _begun(self) -> str | None:
        """Return the log that an earlier attempt has begun."""
        for topic in ARCHIVED:
            source = self._source(topic.name)
            records = await self._reader.read(source, await self._reader.beginning(source), max_records=1)
            if records:
                return log_id_of(records[0])
        return None

    async def _write_states(self, runs: _Runs, log_id: str) -> None:
        topic = topic_name(self._prefix, RUNS)
        states = [(key, encode_state(state)) for key, state in sorted(runs.states.items())]
        states.append((TOPOLOGY_KEY, encode_state(Topology(partitions=self._partitions, log_id=log_id))))
        for first in range(0, len(states), APPENDED_TOGETHER):
            part = states[first : first + APPENDED_TOGETHER]
            records = [Record(topic, self._number, 0, 0, key.encode(), value, ()) for key, value in part]
            await self._restorer.append(topic, self._number, records)

    def _check_home(self, record: Record) -> None:
        home = home_partition(record.key or b"", self._partitions)
        if home != self._number:
            raise ConfigurationError(
                f"{(record.key or b'').decode(errors='replace')} was archived in partition {self._number}, its home among"
                f" {self._partitions} partitions is {home}: set BACKTAPE_PARTITIONS to the number that the archive was made with"
            )

    def _archive(self, topic: str, log_id: str) -> Archive:
        archive = Archive(self._store, self._source(topic), topic=topic, log_id=log_id)
        archive.refresh()
        return archive

    def _source(self, topic: str) -> TopicPartition:
        return TopicPartition(f"{self._prefix}.{topic}", self._number)


def lost_log(store: BlobStore, source: TopicPartition) -> str | None:
    """Return the log that a partition is restored from: of events, or of receipts where there never was an event."""
    return next((found for topic in ARCHIVED if (found := longest_log(store, source, topic.name)) is not None), None)


def longest_log(store: BlobStore, source: TopicPartition, topic: str) -> str | None:
    """Return the archived log of a partition that holds the most records of a topic; None where none was archived.

    A log that was restored once has a new id, holds everything of the one before, and has grown since: once it is archived as
    far, it is the longest.
    """
    found: dict[str, int] = {}
    for log_id, starts in archived_logs(store, topic, source.partition).items():
        archive = Archive(store, source, topic=topic, log_id=log_id)
        archive.refresh()
        found[log_id] = sum(archive.at(start)[0].records for start in starts)
    return max(sorted(found), key=lambda log_id: found[log_id], default=None)


def _portions(archive: Archive) -> Iterator[list[Record]]:
    """Yield the archived records in portions. Raises IntegrityError where ranges are no chain."""
    position, parent = None, None
    for start in archive.starts:
        made, digest = archive.at(start)
        if position is not None and (made.first_offset, made.parent) != (position, parent):
            raise IntegrityError(
                f"{archive.source}: the archived range at {start} does not follow the one that ends at {position}"
            )
        records = archive.records(made)
        for first in range(0, len(records), APPENDED_TOGETHER):
            yield records[first : first + APPENDED_TOGETHER]
        position, parent = made.next_offset, digest


def _moved(record: Record, log_id: str) -> Record:
    """Return the record as one of the new log."""
    headers: Headers = tuple((name, log_id.encode() if name == "log_id" else value) for name, value in record.headers)
    return Record(record.topic, record.partition, record.offset, record.timestamp_ms, record.key, record.value, headers)


async def _announce(store: BlobStore, restorer: Restorer, prefix: str) -> int:
    """Announce every complete snapshot again."""
    topic, count = topic_name(prefix, ARCHIVE), 0
    keys = await asyncio.to_thread(lambda: [each.key for each in store.list(PREFIX) if each.key.endswith("/manifest.json")])
    for first in range(0, len(keys), APPENDED_TOGETHER):
        records = []
        for key in keys[first : first + APPENDED_TOGETHER]:
            body = await asyncio.to_thread(store.get, key)
            told = announcement(read_manifest(body, where=f"{store.url}/{key}"), body)
            value = canonical_json(told.model_dump(mode="json"))
            records.append(Record(topic, 0, 0, 0, told.backtest_id.encode(), value, ()))
        await restorer.append(topic, 0, records)
        count += len(records)
    return count
