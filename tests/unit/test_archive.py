"""Archive and log are one sequence for whoever reads, wherever the log was archived and truncated."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from adapters.archive_files import archived_logs, manifest_key, read_manifest
from adapters.archived_log import ArchivedLogReader
from adapters.errors import IntegrityError, NotFoundError, RetryableError
from adapters.memory_blobs import MemoryBlobStore
from adapters.memory_log import MemoryAppender, MemoryDeleter, MemoryLog, MemoryLogReader
from adapters.ports import Record, TopicPartition
from consumers.archiver import Archiver
from consumers.truncation import Limits, truncate
from schemas.ids import sha256

EVENTS = TopicPartition("backtape.events", 0)
LOG_ID = "5f0c5c1e-7a54-4b3f-9f0e-6d6a3f6b2c11"
DAY_MS = 86_400_000


@dataclass
class VirtualClock:
    now: int = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1_000

    async def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1_000)


@dataclass
class Scene:
    """A log of one partition, its archive, and what was ever appended."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    store: MemoryBlobStore = field(default_factory=MemoryBlobStore)
    range_bytes: int = 400

    def __post_init__(self) -> None:
        self.log = MemoryLog(self.clock, partitions=1)
        self.all: list[Record] = []

    def append(self, count: int, chance: random.Random, *, topic: str = "backtape.events", log_id: str = LOG_ID) -> None:
        """Append records of any size, with transaction markers between them."""
        source = TopicPartition(topic, 0)
        for _ in range(count):
            self.clock.now += chance.randrange(0, 5_000)
            value = None if chance.random() < 0.05 else chance.randbytes(chance.randrange(0, 120))
            headers = (("log_id", log_id.encode()), ("odd", b"\xff\x00"))
            self.log.append(topic, 0, f"bt-{chance.randrange(4)}".encode(), value, headers)
            if topic == EVENTS.topic:
                self.all.append(self.log.records[source][-1])
            if chance.random() < 0.3:
                self.log.mark(source)

    def archiver(self, **changes: int) -> Archiver:
        return Archiver(
            reader=MemoryLogReader(self.log), store=self.store, announcer=MemoryAppender(self.log), clock=self.clock,
            prefix="backtape", **{"range_bytes": self.range_bytes, **changes},
        )  # fmt: skip

    def reader(self) -> ArchivedLogReader:
        return ArchivedLogReader(MemoryLogReader(self.log), lambda: self.store, "backtape")

    async def truncate(self, *, projected: int | None = 10**9, snapshot: int | None = 10**9, grace_ms: int = 0):
        return await truncate(
            reader=MemoryLogReader(self.log), store=self.store, deleter=MemoryDeleter(self.log), clock=self.clock, source=EVENTS,
            limits=Limits(projected, LOG_ID, snapshot), grace_ms=grace_ms,
        )  # fmt: skip


async def read_from(reader: ArchivedLogReader, start: int, *, at_most: int) -> list[Record]:
    found: list[Record] = []
    while records := await reader.read(EVENTS, start, max_records=at_most):
        found += records
        start = records[-1].offset + 1
    return found


@pytest.mark.parametrize("seed", range(25))
async def test_nobody_notices_the_border(seed: int) -> None:
    """Records, offsets, times, keys and headers are those that were appended, from any start, in steps of any size."""
    chance, scene = random.Random(seed), Scene()
    reader = scene.reader()
    for _ in range(chance.randrange(1, 6)):
        scene.append(chance.randrange(1, 40), chance)
        if chance.random() < 0.8:
            await scene.archiver().archive("events", 0)
        if chance.random() < 0.7:
            await scene.truncate()
        assert await reader.beginning(EVENTS) == 0
        assert await read_from(reader, 0, at_most=chance.choice([1, 7, 500])) == scene.all
        start = chance.randrange(await reader.end(EVENTS) + 1)
        assert await read_from(scene.reader(), start, at_most=3) == [each for each in scene.all if each.offset >= start]


async def test_ranges_are_a_chain_and_name_their_bytes() -> None:
    """Each begins where the one before ends, names its manifest, and reads back; the archive topic tells of it."""
    scene = Scene()
    scene.append(60, random.Random(1))
    reach = await scene.archiver().archive("events", 0)
    assert reach is not None and reach.ranges > 3 and reach.records == 60 and reach.oldest_unarchived_ms is None
    starts = archived_logs(scene.store, "events", 0)[LOG_ID]
    parent, expected = None, 0
    for start in starts:
        made, digest = read_manifest(scene.store, manifest_key("events", 0, LOG_ID, start))
        assert (made.first_offset, made.parent) == (expected, parent)
        parent, expected = digest, made.next_offset
    told = scene.log.of("backtape.archive")
    assert [each.key for each in told] == [f"log/events/0/{LOG_ID}/{start}".encode() for start in starts]
    assert sha256(told[-1].value or b"") == parent


async def test_a_range_stays_open_until_it_is_full_or_old() -> None:
    """A service archives in whole ranges; what waits is told with its age."""
    scene = Scene(range_bytes=10**6)
    scene.append(5, random.Random(1))
    archiver = scene.archiver(age_ms=3_600_000)
    reach = await archiver.archive("events", 0)
    assert reach is not None and (reach.ranges, reach.oldest_unarchived_ms) == (0, scene.all[0].timestamp_ms)
    scene.clock.now += 3_600_000
    reach = await archiver.archive("events", 0)
    assert reach is not None and (reach.ranges, reach.oldest_unarchived_ms) == (1, None)


async def test_two_archivers_write_one_chain() -> None:
    """Who comes second goes on behind the winner's range, wherever that ends."""
    scene = Scene()
    scene.append(30, random.Random(2))
    await scene.archiver(range_bytes=100).archive("events", 0)
    slow = scene.archiver(range_bytes=3_000)
    hidden = scene.store
    blind = _Blind(hidden)
    slow._store = blind  # type: ignore[assignment]  # its list was made before the other one wrote
    scene.append(10, random.Random(3))
    await slow.archive("events", 0)
    assert await read_from(scene.reader(), 0, at_most=10) == scene.all
    await scene.truncate()
    assert await read_from(scene.reader(), 0, at_most=10) == scene.all


class _Blind(MemoryBlobStore):
    """A store whose list shows nothing."""

    def __init__(self, real: MemoryBlobStore) -> None:
        super().__init__()
        self._blobs = real._blobs

    def list(self, prefix: str):  # type: ignore[no-untyped-def]
        return iter(())


@pytest.mark.parametrize(
    ("limits", "held_by"),
    [
        ({"projected": 20}, "projection"),
        ({"projected": None}, "projection"),
        ({"snapshot": 15}, "snapshot"),
        ({"snapshot": None}, "snapshot"),
        ({"grace_ms": 7 * DAY_MS}, "grace"),
        ({}, "newest record"),
    ],
)
async def test_nothing_is_truncated_that_somebody_needs(limits: dict, held_by: str) -> None:  # type: ignore[type-arg]
    """Each of the conditions holds the log alone; the answer says which one."""
    scene = Scene()
    scene.append(60, random.Random(4))
    await scene.archiver().archive("events", 0)
    done = await scene.truncate(**limits)
    assert done.held_by == held_by
    bound = min(limits.get("projected", 10**9) or 0, limits.get("snapshot", 10**9) or 0)
    assert done.beginning <= bound
    assert scene.log.records[EVENTS][-1] == scene.all[-1]
    assert (done.deleted > 0) == (bound > 0 and held_by != "grace")


async def test_what_is_not_archived_is_not_truncated() -> None:
    scene = Scene()
    scene.append(20, random.Random(5))
    assert (await scene.truncate()).deleted == 0
    await scene.archiver().archive("events", 0)
    scene.append(20, random.Random(6))
    done = await scene.truncate()
    assert done.held_by == "archive" and 0 < done.beginning <= scene.all[20].offset


async def test_a_range_that_does_not_read_back_keeps_the_log() -> None:
    """One byte of one file: nothing is deleted, and the difference is told."""
    scene = Scene()
    scene.append(60, random.Random(7))
    await scene.archiver().archive("events", 0)
    key = next(blob.key for blob in scene.store.list("archive/") if blob.key.endswith(".zst"))
    scene.store.put(key, scene.store.get(key)[:-1] + b"!")
    with pytest.raises(IntegrityError, match=r"has SHA-256 .* its manifest says"):
        await scene.truncate()
    assert scene.log.beginnings.get(EVENTS, 0) == 0


async def test_what_is_lost_is_said() -> None:
    """Events that Kafka lost before they were archived, and a reader that comes for them."""
    scene = Scene()
    scene.append(20, random.Random(8))
    scene.log.truncate(EVENTS, 10)
    with pytest.raises(IntegrityError, match="the log begins at 10, the archive ends at 0: what lies between is lost"):
        await scene.archiver().archive("events", 0)
    reader = scene.reader()
    assert await reader.beginning(EVENTS) == 10
    with pytest.raises(NotFoundError, match="offset 3 is before the log's beginning 10, and not in the archive"):
        await reader.read(EVENTS, 3)


async def test_receipts_outlive_kafkas_retention() -> None:
    """Kafka deletes receipts after a while; a rebuild finds them in the archive of the log that the events name."""
    scene = Scene()
    receipts = TopicPartition("backtape.receipts", 0)
    scene.append(3, random.Random(9))
    scene.append(20, random.Random(9), topic=receipts.topic)
    expected = list(scene.log.records[receipts])
    assert len(await scene.archiver().archive_all(range(1))) == 3
    scene.log.truncate(receipts, scene.log.next_offsets[receipts])  # all of them
    reader = scene.reader()
    assert await reader.beginning(receipts) == 0
    assert await reader.read(receipts, 0) == expected[: len(await reader.read(receipts, 0))]


async def test_the_archive_of_another_log_is_not_read() -> None:
    """A topic that was made anew has other records at the same offsets."""
    scene = Scene()
    scene.append(40, random.Random(10))
    await scene.archiver().archive("events", 0)
    scene.log.records.clear(), scene.log.next_offsets.clear()
    scene.all.clear()
    scene.append(30, random.Random(11), log_id="another")
    scene.log.truncate(EVENTS, 12)
    reader = scene.reader()
    assert await reader.beginning(EVENTS) == 12
    with pytest.raises(NotFoundError):
        await reader.read(EVENTS, 0)


class _Faulty(MemoryBlobStore):
    """A store that fails before or after the n-th change."""

    def __init__(self, fails_at: int, *, after: bool) -> None:
        super().__init__()
        self.fails_at = fails_at
        self.after = after
        self.changes = 0

    def put(self, key: str, data: bytes) -> None:
        self._fault(lambda: super(_Faulty, self).put(key, data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        answer: list[bool] = []
        self._fault(lambda: answer.append(super(_Faulty, self).put_if_absent(key, data)))
        return answer[0]

    def _fault(self, change) -> None:  # type: ignore[no-untyped-def]
        self.changes += 1
        if self.changes == self.fails_at and not self.after:
            raise RetryableError("injected, before")
        change()
        if self.changes == self.fails_at and self.after:
            raise RetryableError("injected, after")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fails_at", range(1, 9))
async def test_a_fault_between_any_two_steps_loses_nothing(fails_at: int, after: bool) -> None:
    """Whatever was written when it failed, the next attempt goes on, and truncation never takes what is not archived."""
    scene = Scene(range_bytes=900)
    scene.store = store = _Faulty(fails_at, after=after)
    scene.append(60, random.Random(12))
    with pytest.raises(RetryableError):
        await scene.archiver().archive("events", 0)
    await scene.truncate()
    assert await read_from(scene.reader(), 0, at_most=20) == scene.all
    store.fails_at = -1
    await scene.archiver().archive("events", 0)
    await scene.truncate()
    assert await read_from(scene.reader(), 0, at_most=20) == scene.all
