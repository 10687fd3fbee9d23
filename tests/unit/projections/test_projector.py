"""Tests of the projector's loop on memory twins: positions, repeats, poison, fences, faults of the database."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import FatalError, IntegrityError, OutcomeUnknownError, RetryableError
from adapters.memory_rows import MemoryRowStore
from adapters.ports import NO_EFFECTS, Advance, Effects, Record, SourcePosition, TableWrite, TopicPartition
from consumers.projector import Limits
from projections.fold import fold_run
from projections.tables import RUN_TABLES, key_of
from schemas.commit import decode_commit
from schemas.events import OrderFilled, OrderSubmitted, OrderType, Side
from schemas.ids import sha256
from schemas.manifest import ArchivedRange, SnapshotAnnouncement
from schemas.receipts import DeadLetterHeaders, Outcome, Reason, Receipt, encode_receipt
from tests.factories import LOG_ID, WRITTEN_MS, Log, finished_log, source_of
from tests.projector_parts import EVENTS, Bench, FakeLog


def _logs(count: int = 4) -> list[Log]:
    ends = ("completed", "cancelled", "failed", "open")
    return [finished_log(f"bt-{number}", seed=number, steps=12, end=ends[number % 4]) for number in range(count)]


async def _assert_rows_follow(store: MemoryRowStore, log: FakeLog, logs: Sequence[Log]) -> None:
    """Compare every table with the fold of each run's whole log."""
    for each in logs:
        places = [record.offset for record in log.records[EVENTS] if record.value in set(each.bodies)]
        tables = fold_run(each.bodies, [_source(offset) for offset in dict.fromkeys(places)])
        for table in RUN_TABLES:
            read = await store.read(table.name, list(table.columns.keys()), where="backtest_id", values=[each.backtest_id])
            wanted = [tuple(row.values()) for row in tables.table(table.name, "sql").to_pylist()]
            keys = len(key_of(table))
            assert read == sorted(wanted, key=lambda row: row[:keys]), (each.backtest_id, table.name)


def _source(offset: int):
    return source_of(offset)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1_000), batch_bytes=st.sampled_from([1, 3_000, 1_000_000]), runs=st.sampled_from([1, 2, 100]))
async def test_rows_follow_from_the_log(seed: int, batch_bytes: int, runs: int) -> None:
    """Interleaved runs, in batches of one or many records, with state kept for one run or for all."""
    log, logs = FakeLog(), _logs()
    random.Random(seed).shuffle(logs)
    log.append_logs(logs)
    bench = Bench(MemoryRowStore(), log, Limits(batch_bytes=batch_bytes, runs=runs))
    await bench.run()
    await _assert_rows_follow(bench.store, log, logs)  # type: ignore[arg-type]


async def test_a_new_projector_goes_on_where_the_last_one_was() -> None:
    """Positions are in the store: what is written is not read again, and state is read back."""
    log, logs, store = FakeLog(), _logs(), MemoryRowStore()
    log.append_logs(logs)
    whole = log.records[EVENTS]
    for cut in (3, 4, 11, len(whole)):
        log.records[EVENTS] = whole[:cut]
        bench = Bench(store, log)
        await bench.run()
        assert store.positions[EVENTS].next_offset == whole[cut - 1].offset + 1
    await _assert_rows_follow(store, log, logs)


async def test_records_delivered_again_are_dropped() -> None:
    """After a rebalance a consumer may deliver what is written already."""
    log, store = FakeLog(), MemoryRowStore()
    logs = [finished_log("bt-1", seed=3)]
    log.append_logs(logs)
    await Bench(store, log).run()
    bench = Bench(store, log)
    await bench.projector.on_assigned({EVENTS})
    await bench.group.wait_for(EVENTS)
    await bench.projector.on_records(EVENTS, log.records[EVENTS])
    await bench.projector.close()
    assert bench.projector.counters().records == 0
    await _assert_rows_follow(store, log, logs)


async def test_commits_that_are_in_the_log_twice_are_dropped() -> None:
    """The same commit at a later offset changes nothing."""
    log, store = FakeLog(), MemoryRowStore()
    run = finished_log("bt-1", seed=3)
    for body in run.bodies:
        log.append(EVENTS, b"bt-1", body)
    tables = {name: dict(rows) for name, rows in (await _projected(store, log)).items()}
    for body in run.bodies[:5] + run.bodies[-1:]:
        log.append(EVENTS, b"bt-1", body)
    bench = Bench(store, log)
    await bench.run()
    assert bench.projector.counters().repeated == 6
    assert {name: rows for name, rows in store.tables.items() if name != "log_ends"} == {
        name: rows for name, rows in tables.items() if name != "log_ends"
    }


async def _projected(store: MemoryRowStore, log: FakeLog) -> dict[str, dict]:
    await Bench(store, log).run()
    return store.tables


POISON = [
    pytest.param(b"not json", "not a commit", id="not JSON"),
    pytest.param(b"[" * 100_000, "not a commit", id="nested too deep"),
    pytest.param(None, "not a commit", id="tombstone"),
    pytest.param("gap", "commit number 5 where 3 follows", id="a gap"),
    pytest.param("parent", "names parent", id="another parent"),
    pytest.param("repeated", "is there already", id="a key that the tables hold"),
    pytest.param("huge", "int", id="an integer that no column holds"),
]


@pytest.mark.parametrize(("poison", "reason"), POISON)
async def test_a_poison_commit_quarantines_its_backtest_and_the_rest_goes_on(poison: bytes | str | None, reason: str) -> None:
    """Its rows stay as they were before it; the reason and the offset are recorded; other runs are not touched."""
    log, store = FakeLog(), MemoryRowStore()
    good, bad = finished_log("good", seed=1), finished_log("bad", seed=2)
    log.append_logs([Log("good"), Log("bad")])
    for body in bad.bodies[:2]:
        log.append(EVENTS, b"bad", body)
    log.append(EVENTS, b"good", good.bodies[0])
    value = {"gap": bad.bodies[4], "parent": _forged(bad), "huge": _huge(bad), "repeated": _repeated(bad)}.get(poison, poison)  # type: ignore[arg-type]
    log.append(EVENTS, b"bad", value)
    at = log.records[EVENTS][-1].offset
    for body in bad.bodies[2:]:
        log.append(EVENTS, b"bad", body)
    for body in good.bodies[1:]:
        log.append(EVENTS, b"good", body)
    bench = Bench(store, log)
    await bench.run(chunk=100)
    counters = bench.projector.counters()
    assert (counters.quarantined, counters.skipped) == (1, len(bad.bodies) - 2)
    [(offset, found)] = await store.read("quarantine", ("offset", "reason"), where="backtest_id", values=["bad"])
    assert offset == at
    assert reason in found
    assert [row[0] for row in await store.read("backtests", ("last_number",), where="backtest_id", values=["bad"])] == [2]
    assert len(await store.read("commits", ("number",), where="backtest_id", values=["good"])) == len(good.bodies)
    # A quarantine outlives the process.
    log.append(EVENTS, b"bad", bad.bodies[2])
    again = Bench(store, log)
    await again.run()
    assert again.projector.counters().skipped == 1


async def test_a_record_without_a_usable_key_is_set_aside() -> None:
    """No backtest can be named; nothing stops."""
    log, store = FakeLog(), MemoryRowStore()
    run = finished_log("bt-1", seed=1)
    log.append(EVENTS, None, b"x")
    log.append(EVENTS, b"\xff\xfe", run.bodies[0])
    log.append(EVENTS, b"bt-2", run.bodies[0])
    log.append(EVENTS, b"bt-1", run.bodies[0], log_id=None)
    await Bench(store, log).run()
    found = {key[2]: row["reason"] for key, row in store.tables["quarantine"].items()}
    assert "not a commit" in found[0]
    assert "under the key None" in found[2]
    assert "under the key bt-2" in found[4]
    assert "log_id" in found[6]


async def test_another_log_is_refused_and_the_way_out_is_named() -> None:
    """A topic that was made anew has other records at the same offsets."""
    log, store = FakeLog(), MemoryRowStore()
    log.append(EVENTS, b"bt-1", finished_log("bt-1").bodies[0])
    await Bench(store, log).run()
    log.append(EVENTS, b"bt-2", finished_log("bt-2").bodies[0], log_id="another")
    with pytest.raises(IntegrityError, match=rf"log another at offset 2.*{LOG_ID}.*backtape rebuild"):
        await Bench(store, log).run()
    assert store.positions[EVENTS].next_offset == 1


async def test_a_position_beyond_the_logs_end_is_fatal() -> None:
    """The log has lost records that the tables hold."""
    store = MemoryRowStore()
    store.positions[EVENTS] = SourcePosition(EVENTS, LOG_ID, 100)
    with pytest.raises(IntegrityError, match="up to offset 100, but the log ends at 0"):
        await Bench(store, FakeLog()).run()


async def test_a_position_before_the_logs_beginning_is_an_error() -> None:
    """What was truncated unread is only in the archive."""
    log, store = FakeLog(), MemoryRowStore()
    log.append_logs([finished_log()])
    log.beginnings[EVENTS] = 4
    store.positions[EVENTS] = SourcePosition(EVENTS, LOG_ID, 2)
    with pytest.raises(IntegrityError, match=r"the log begins at 4.*archive"):
        await Bench(store, log).run()


async def test_a_projector_that_was_overtaken_leaves_and_rejoins() -> None:
    """The fence: another projector has moved the source."""
    log, store = FakeLog(), MemoryRowStore()
    log.append_logs(_logs(1))
    bench = Bench(store, log)
    await bench.projector.on_assigned({EVENTS})
    await bench.group.wait_for(EVENTS)
    store.positions[EVENTS] = SourcePosition(EVENTS, LOG_ID, 3)
    await bench.projector.on_records(EVENTS, log.records[EVENTS])
    await bench.group.rejoined.wait()
    assert store.tables.get("fills", {}) == {}
    assert bench.projector.sources == {}
    assert bench.projector.fenced == 1


class Faulty(MemoryRowStore):
    """Fails by chance: before a write, after it without an answer, and on reads."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.chance = random.Random(seed)

    async def write(self, advances: Sequence[Advance], writes: Sequence[TableWrite], effects: Effects = NO_EFFECTS) -> None:
        if self.chance.random() < 0.2:
            raise RetryableError("no connection")
        await super().write(advances, writes, effects)
        if self.chance.random() < 0.2:
            raise OutcomeUnknownError("connection lost")

    async def read(self, *arguments, **options):
        if self.chance.random() < 0.2:
            raise RetryableError("no connection")
        return await super().read(*arguments, **options)


@pytest.mark.parametrize("seed", range(8))
async def test_a_database_that_comes_and_goes_leaves_nothing_out_and_nothing_doubled(seed: int) -> None:
    """Each batch is in the tables once, whether the answer was lost or the request."""
    log, logs, store = FakeLog(), _logs(), Faulty(seed)
    log.append_logs(logs)
    bench = Bench(store, log, Limits(batch_bytes=2_000))
    await bench.run()
    assert bench.projector.counters().retries > 0
    store.chance = random.Random()
    store.chance.random = lambda: 1.0  # type: ignore[method-assign]
    await _assert_rows_follow(store, log, logs)


async def test_a_database_that_stays_away_ends_the_process() -> None:
    """The budget of seconds is spent; a supervisor starts it again."""

    class Away(MemoryRowStore):
        async def write(self, advances: Sequence[Advance], writes: Sequence[TableWrite], effects: Effects = NO_EFFECTS) -> None:
            raise RetryableError("no connection")

    log = FakeLog()
    log.append_logs(_logs(1))
    with pytest.raises(FatalError, match=r"gave up after .* no connection"):
        await Bench(Away(), log, Limits(retry_seconds=5)).run()


async def test_receipts_dead_letters_and_announcements_become_rows() -> None:
    """Each from its own topic; what can't be read is set aside."""
    receipts, letters, archive = (TopicPartition(f"backtape.{name}", 0) for name in ("receipts", "dead-letters", "archive"))
    log, store = FakeLog(), MemoryRowStore()
    receipt = Receipt(
        outcome=Outcome.REJECTED, partition=0, offset=7, backtest_id="bt-1", reason=Reason.INVALID_FIELD, detail="cash"
    )
    log.append(receipts, b"bt-1", encode_receipt(receipt), log_id=None)
    log.append(receipts, b"bt-1", b"{}", log_id=None)
    headers = DeadLetterHeaders(reason="not_json", detail="bad", partition=0, offset=8, length=3, sha256=sha256(b"\x00xx"))
    log.append(letters, None, b"\x00xx", log_id=None, headers=tuple(headers.to_kafka()))
    for size in (1, 2):
        announcement = SnapshotAnnouncement(
            backtest_id="bt-1", manifest_key="k", manifest_sha256="a" * 64, chain_head="b" * 64, bytes=size, rows=3
        )
        log.append(archive, b"bt-1", announcement.model_dump_json().encode(), log_id=None)
    for start, records in ((0, 5), (7, 6), (7, 6)):  # announced again, as after a crash
        made = ArchivedRange(
            topic="events", partition=3, log_id="l", first_offset=start, next_offset=start + 7, records=records,
            first_timestamp_ms=1, last_timestamp_ms=2, key=f"archive/{start}", sha256="a" * 64, bytes=9, raw_sha256="b" * 64,
            raw_bytes=90, parent=None,
        )  # fmt: skip
        log.append(archive, f"log/events/3/l/{start}".encode(), made.model_dump_json().encode(), log_id=None)
    log.append(archive, b"log/events/3/l/14", b"{}", log_id=None)
    await Bench(store, log).run(receipts, letters, archive)
    command = store.tables["commands"][(0, 0)]
    assert (command["outcome"], command["command_offset"], command["reason"], command["detail"]) == (
        "rejected",
        7,
        "invalid_field",
        "cash",
    )
    letter = store.tables["dead_letters"][(0, 0)]
    assert (letter["reason"], letter["beginning"], letter["command_offset"]) == ("not_json", b"\x00xx", 8)
    assert store.tables["snapshots"][("bt-1",)]["bytes"] == 2
    ranges = store.tables["archived_ranges"]
    assert sorted(ranges) == [("events", 3, "l", 0), ("events", 3, "l", 7)]
    assert ranges["events", 3, "l", 7]["records"] == 6
    assert sorted(store.tables["quarantine"]) == [("backtape.archive", 0, 10), ("backtape.receipts", 0, 2)]


class Watched(MemoryRowStore):
    """Notes how far each batch went, and how many were written at a time; each takes a while."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[int] = []
        self.under_way = 0
        self.most = 0

    async def write(self, advances: Sequence[Advance], writes: Sequence[TableWrite], effects: Effects = NO_EFFECTS) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        for _ in range(20):
            await asyncio.sleep(0)
        self.under_way -= 1
        self.ends += [advance.next_offset for advance in advances]
        await super().write(advances, writes, effects)


class Delivering:
    """A clock on which one record arrives in each pause. ``age_ms`` : how long ago the records were written."""

    def __init__(self, records: Sequence[Record], age_ms: int) -> None:
        self.deliver: Callable[[Record], Awaitable[None]] | None = None
        self._records = list(records)
        self._now_ms = WRITTEN_MS + age_ms
        self._now = 0.0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds > 1:
            await asyncio.Event().wait()  # who looks at the log's end now and then; for ever
        self._now += seconds
        await asyncio.sleep(0)
        if self._records and self.deliver is not None:
            await self.deliver(self._records.pop(0))


@pytest.mark.parametrize(("age_ms", "is_gathered"), [(60_000, True), (100, False)])
async def test_old_records_wait_for_a_whole_batch_and_new_ones_do_not(age_ms: int, *, is_gathered: bool) -> None:
    """Whoever is behind writes few large batches; whoever is not writes what is there, after a pause of 20 ms at most."""
    log, store = FakeLog(), Watched()
    log.append_logs(_logs(3))
    records = log.records[EVENTS][:9]
    size = sum(len(record.value or b"") + 200 for record in records[:6])
    clock = Delivering(records[1:], age_ms)
    bench = Bench(store, log, Limits(batch_bytes=size), clock)
    clock.deliver = lambda record: bench.projector.on_records(EVENTS, [record])
    await bench.projector.on_assigned({EVENTS})
    await bench.group.wait_for(EVENTS)
    await bench.projector.on_records(EVENTS, records[:1])
    await bench.projector.sources[EVENTS].reached(1)
    assert store.ends[0] == records[5 if is_gathered else 0].offset + 1
    await bench.projector.close()


async def test_the_end_of_old_records_is_not_waited_for_longer_than_two_pauses() -> None:
    """Nothing tells that they are the last ones, but nothing comes any more."""
    log, store = FakeLog(), Watched()
    log.append_logs(_logs(1))
    clock = Delivering([], 60_000)
    bench = Bench(store, log, clock=clock)
    await bench.projector.on_assigned({EVENTS})
    await bench.group.wait_for(EVENTS)
    await bench.projector.on_records(EVENTS, log.records[EVENTS][:1])
    await bench.projector.sources[EVENTS].reached(1)
    assert clock.monotonic() == pytest.approx(2 * Limits().linger_seconds)
    await bench.projector.close()


async def test_few_batches_are_under_way_at_a_time() -> None:
    """However many sources there are; each holds its rows in memory. A waiting one takes what has arrived until its turn."""
    log, store = FakeLog(), Watched()
    sources = [TopicPartition("backtape.events", number) for number in range(6)]
    for number, source in enumerate(sources):
        log.append_logs([finished_log(f"bt-{number}", seed=number, steps=12)], source)
    await Bench(store, log, Limits(batches=2)).run(*sources)
    assert store.most == 2


async def test_inboxes_are_bounded() -> None:
    """A source whose database is away takes over no more than the budget; on_records waits."""

    class Away(MemoryRowStore):
        async def open(self, source: TopicPartition, start: int) -> SourcePosition:
            raise RetryableError("no connection")

    log = FakeLog()
    log.append_logs(_logs(2))
    bench = Bench(Away(), log, Limits(waiting_bytes=5_000))
    await bench.projector.on_assigned({EVENTS})
    delivery = asyncio.create_task(bench.projector.on_records(EVENTS, log.records[EVENTS]))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not delivery.done()
    assert bench.projector.sources[EVENTS].waiting < 10
    await bench.projector.close()
    await asyncio.wait_for(delivery, timeout=5)


def _forged(log: Log) -> bytes:
    return log.bodies[2].replace(log.commits[1].head.digest.encode(), b"0" * 64)


def _repeated(log: Log) -> bytes:
    """A third commit that follows in the chain, with two fills of one id."""
    forked = Log(log.backtest_id)
    forked.head, forked.spec = log.commits[1].head, log.spec
    order = OrderSubmitted(
        sequence=forked.next, time_ns=1, order_id=999, symbol="X", side=Side.BUY, order_type=OrderType.LIMIT, quantity=2.0
    )
    fills = [
        OrderFilled(
            sequence=forked.next + place, time_ns=1, fill_id=1, order_id=999, symbol="X", side=Side.BUY, quantity=1.0, price=1.0,
            commission=0.0, leaves_quantity=2.0 - place,
        )
        for place in (1, 2)
    ]  # fmt: skip
    forked.append(order, *fills)
    return forked.bodies[0]


def _huge(log: Log) -> bytes:
    """The third commit with a size that is a valid integer in JSON and beyond int64."""
    commit = decode_commit(log.bodies[2])
    document = msgspec.to_builtins(commit)
    order = {"type": "OrderSubmitted", "time_ns": 1, "order_id": 10**30, "symbol": "X", "side": "buy", "order_type": "market"}
    document["events"] = [{**order, "sequence": commit.first_sequence, "quantity": 1.0}]
    return msgspec.json.encode(document)
