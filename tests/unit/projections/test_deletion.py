"""Tests of deleting backtests from the read model: at once or late, with events before, after and under way."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.memory_rows import MemoryRowStore
from adapters.ports import NO_EFFECTS, Advance, Effects, TableWrite, TopicPartition
from consumers.projector import Limits
from consumers.projector.messages import ABOUT_RUNS
from projections.tables import RUN_TABLES
from schemas.manifest import SnapshotAnnouncement
from schemas.receipts import Outcome, Reason, Receipt, encode_receipt
from tests.factories import finished_log
from tests.projector_parts import EVENTS, Bench, FakeLog

RECEIPTS, ARCHIVE = (TopicPartition(f"backtape.{name}", 0) for name in ("receipts", "archive"))


def _delete(log: FakeLog, backtest_id: str, *, outcome: Outcome = Outcome.ACCEPTED, command_type: str = "DeleteBacktest") -> None:
    receipt = Receipt(
        outcome=outcome, partition=0, offset=1, command_type=command_type, command_id="c-1", backtest_id=backtest_id,
        reason=None if outcome is Outcome.ACCEPTED else Reason.NOT_FINISHED,
    )  # fmt: skip
    log.append(RECEIPTS, backtest_id.encode(), encode_receipt(receipt), log_id=None)


def _announce(log: FakeLog, backtest_id: str) -> None:
    announced = SnapshotAnnouncement(
        backtest_id=backtest_id, manifest_key="key", manifest_sha256="a" * 64, chain_head="b" * 64, bytes=1, rows=3
    )
    log.append(ARCHIVE, backtest_id.encode(), announced.model_dump_json().encode(), log_id=None)


def _rows_of(store: MemoryRowStore, backtest_id: str) -> dict[str, int]:
    counts = {
        table.name: sum(row["backtest_id"] == backtest_id for row in store.tables.get(table.name, {}).values())
        for table in ABOUT_RUNS
    }
    return {name: count for name, count in counts.items() if count}


@pytest.fixture
def log() -> FakeLog:
    made = FakeLog()
    made.append_logs([finished_log("bt-1", seed=1), finished_log("bt-2", seed=2)])
    for name in ("bt-1", "bt-2"):
        _announce(made, name)
    return made


async def test_a_deletion_removes_all_rows_of_the_backtest_and_no_others(log: FakeLog) -> None:
    """Its commands stay; who deleted it and when stands in a table of its own."""
    store = MemoryRowStore()
    await Bench(store, log).run(EVENTS, ARCHIVE, RECEIPTS)
    before = _rows_of(store, "bt-2")
    assert set(_rows_of(store, "bt-1")) >= {table.name for table in RUN_TABLES} - {"account_events"}
    _delete(log, "bt-1")
    _delete(log, "bt-2", outcome=Outcome.REJECTED)
    await Bench(store, log).run(EVENTS, ARCHIVE, RECEIPTS)
    assert _rows_of(store, "bt-1") == {}
    assert _rows_of(store, "bt-2") == before
    assert len(store.tables["commands"]) == 2
    [row] = store.tables["deleted_backtests"].values()
    assert (row["backtest_id"], row["command_id"]) == ("bt-1", "c-1")


@pytest.mark.parametrize("seed", range(6))
async def test_events_that_come_after_the_deletion_are_skipped(log: FakeLog, seed: int) -> None:
    """A rebuild may read the receipt before the events, or both in turns: the end is the same."""
    _delete(log, "bt-1")
    store = MemoryRowStore()
    bench = Bench(store, log, Limits(batch_bytes=[1, 2_000, 10_000_000][seed % 3]))
    if seed < 3:
        await store.open(EVENTS, 0)  # the receipts find that it has a position
        await bench.run(RECEIPTS)
        await Bench(store, log).run(EVENTS)
    else:
        await bench.run(EVENTS, RECEIPTS, chunk=1 + seed % 2)
    assert _rows_of(store, "bt-1") == {}
    assert _rows_of(store, "bt-2")["backtests"] == 1
    assert store.tables.get("quarantine", {}) == {}


async def test_a_batch_that_was_made_before_the_deletion_and_written_after_adds_nothing(log: FakeLog) -> None:
    """Two projectors: one has read the run's state when the other removes the rows."""

    class Overtaken(MemoryRowStore):
        reached = asyncio.Event()
        go_on = asyncio.Event()

        async def write(self, advances: Sequence[Advance], writes: Sequence[TableWrite], effects: Effects = NO_EFFECTS) -> None:
            if "bt-1" in effects.alive and not self.go_on.is_set():
                self.reached.set()
                await self.go_on.wait()
            await super().write(advances, writes, effects)

    _delete(log, "bt-1")
    store = Overtaken()
    events = asyncio.create_task(Bench(store, log, Limits(batch_bytes=20_000)).run(EVENTS))
    await store.reached.wait()
    await Bench(store, log).run(RECEIPTS)
    store.go_on.set()
    await events
    assert _rows_of(store, "bt-1") == {}
    assert _rows_of(store, "bt-2")["fills"] > 0


async def test_a_receipt_that_is_delivered_again_after_a_crash_is_carried_out_once(log: FakeLog) -> None:
    """The position moves with the rows: a new projector goes on behind it, and one that repeats it is fenced."""
    _delete(log, "bt-1")
    store = MemoryRowStore()
    await Bench(store, log).run(EVENTS, RECEIPTS)
    await Bench(store, log).run(EVENTS, RECEIPTS)
    assert len(store.tables["commands"]) == 1
    assert _rows_of(store, "bt-1") == {}


async def test_an_id_that_is_used_again_is_set_aside_where_people_see_it(log: FakeLog) -> None:
    """The workers remember a deletion for some weeks; what comes after that must not be lost in silence."""
    store = MemoryRowStore()
    _delete(log, "bt-1")
    await Bench(store, log).run(EVENTS, RECEIPTS)
    log.append_logs([finished_log("bt-1", seed=7)])  # later than the receipt: its records have later times
    await Bench(store, log).run(EVENTS)
    assert _rows_of(store, "bt-1") == {"quarantine": 1}
    [row] = store.tables["quarantine"].values()
    assert "used again after its deletion" in row["reason"]


async def test_a_tombstone_removes_the_snapshots_row(log: FakeLog) -> None:
    """The last word counts, also within one batch."""
    store = MemoryRowStore()
    log.append(ARCHIVE, b"bt-1", None, log_id=None)
    log.append(ARCHIVE, b"bt-2", None, log_id=None)
    _announce(log, "bt-2")
    await Bench(store, log).run(ARCHIVE, chunk=100)
    assert [row["backtest_id"] for row in store.tables["snapshots"].values()] == ["bt-2"]


async def test_the_projector_notes_how_far_behind_it_is(log: FakeLog) -> None:
    """The log's end, and since when its oldest unread record waits; beside the position, which it does not touch."""
    store = MemoryRowStore()
    bench = Bench(store, log)
    await bench.projector.on_assigned({EVENTS})
    await bench.group.wait_for(EVENTS)
    records = log.records[EVENTS]
    watch = bench.projector._health
    await watch.look()
    [row] = store.tables["log_ends"].values()
    assert row["log_end"] == records[-1].offset + 2
    assert row["oldest_unread_at"].timestamp() * 1_000 == pytest.approx(records[0].timestamp_ms)
    await bench.projector.on_records(EVENTS, records)
    await bench.projector.sources[EVENTS].reached(records[-1].offset + 1)
    before = store.positions[EVENTS]
    await watch.look()
    [row] = store.tables["log_ends"].values()
    assert store.positions[EVENTS] == before
    assert row["oldest_unread_at"] is None
    await bench.projector.on_revoked({EVENTS})
