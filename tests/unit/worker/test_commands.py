"""What the worker answers to each command, good or bad: a receipt or a dead letter, and the next command still works."""

import json
from typing import Any

import pytest

from adapters.ports import TopicPartition
from schemas.ids import sha256
from schemas.partitioning import home_partition
from schemas.receipts import MAX_DEAD_LETTER_BYTES, DeadLetterHeaders
from schemas.run_state import decode_run_state
from tests.unit.worker.harness import COMMANDS, DEAD, EVENTS, LOG_ID, RECEIPTS, RUNS, System, cancel, submit
from tests.unit.worker.scripted_runner import Script

WHOLE_STORY = ["BacktestAccepted", "BacktestStarted", "BacktestProgressed", "BacktestProgressed", "BacktestCompleted"]


async def test_a_submit_becomes_a_receipt_a_log_and_a_state(system: System) -> None:
    """The way of one command: accepted, started, simulated, completed; the state shrinks to what removes repeats."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(submit("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1"))
    assert system.outcomes("bt-1") == ["accepted"]
    assert system.story("bt-1") == WHOLE_STORY
    accepted = system.commits("bt-1")[0].events[0]
    assert accepted.spec["strategy"]["parameters"] == {"fast": 10, "slow": 30}  # type: ignore[union-attr]
    state = system.state("bt-1")
    assert state is not None and state.status == "completed" and state.finished_at_ms == system.clock.ms
    assert worker.runner.starts("bt-1") == 1


async def test_the_group_is_told_how_far_commands_were_answered(system: System) -> None:
    """Not in the transaction, and for others only: a worker goes on from run state."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(submit("bt-1"))
    source = TopicPartition(COMMANDS, home_partition(b"bt-1", system.log.partitions))
    await worker.until(lambda: system.log.committed.get(source))
    assert system.outcomes("bt-1") == ["accepted"]
    assert system.log.committed[source] == system.log.of(COMMANDS)[-1].offset + 1


async def test_every_record_names_the_log_and_the_first_commits_the_machine(system: System) -> None:
    """Header log_id on all that a worker writes; what a run ran on only beside its start, outside the hashed bytes."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(submit("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1"))
    for topic in (EVENTS, RECEIPTS):
        assert all(dict(record.headers)["log_id"] == LOG_ID.encode() for record in system.log.of(topic))
    assert ["code" in dict(record.headers) for record in system.log.of(EVENTS)] == [True, True, False, False, False]
    assert [dict(record.headers).get("strategy") for record in system.log.of(EVENTS)] == [None, b"5" * 64, None, None, None]


NOT_JSON = b'{"type": "SubmitBacktest", '
NOT_UTF8 = json.dumps(submit("bt-x")).encode().replace(b"stocks", b"st\xffcks")
MEGABYTE = json.dumps(submit("bt-x", submitter="x" * 1_000_000)).encode()


@pytest.mark.parametrize(
    ("value", "reason", "says"),
    [
        pytest.param(NOT_JSON, "not_json", "not JSON", id="not JSON"),
        pytest.param(NOT_UTF8, "not_json", "is 0xff", id="not UTF-8"),
        pytest.param(b"[1]", "not_json", "a JSON object, not list", id="not an object"),
        pytest.param(b"[" * 100_000, "not_json", "recursion limit", id="nested beyond reason"),
        pytest.param(b"", "not_json", "not JSON", id="empty"),
        pytest.param(None, "not_json", "not JSON", id="no value"),
        pytest.param(MEGABYTE, "too_large", "at most 262144", id="a megabyte"),
        pytest.param(b"\0" * 2_000_000, "too_large", "at most 262144", id="zeros, as a small batch can hold"),
    ],
)
@pytest.mark.parametrize("key", [b"bt-x", None], ids=["keyed", "unkeyed"])
async def test_what_cannot_be_read_is_kept_as_a_dead_letter(
    system: System, key: bytes | None, value: bytes | None, reason: str, says: str
) -> None:
    """Its first 128 KiB with reason, place, length and digest; a receipt as well; and the next command works."""
    worker = system.worker()
    await worker.assign(0, 1)
    offset = system.send_raw(key, value)
    system.send(submit("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1") and len(system.receipts) == 2)
    (letter,) = system.log.of(DEAD)
    headers = DeadLetterHeaders.from_kafka(list(letter.headers))
    body = value or b""
    assert (headers.reason, headers.offset, headers.partition) == (reason, offset, 0)
    assert (headers.length, headers.sha256) == (len(body), sha256(body))
    assert says in headers.detail
    assert letter.value == body[:MAX_DEAD_LETTER_BYTES]
    (receipt,) = [each for each in system.receipts if each.outcome == "dead"]
    assert (receipt.reason, receipt.offset) == (reason, offset) and says in receipt.detail


def changed(**changes: Any) -> dict[str, Any]:
    return submit("bt-x", **changes)


def with_spec(path: str, value: Any) -> dict[str, Any]:
    """Return a submit whose spec has this value at the path."""
    document: dict[str, Any] = json.loads(json.dumps(submit("bt-x")))
    *parents, last = path.split(".")
    place = document["spec"]
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    return document


@pytest.mark.parametrize(
    ("document", "reason", "says"),
    [
        pytest.param(changed(type="RunBacktest"), "unknown_command", ["type: 'RunBacktest'", "SubmitBacktest"], id="command"),
        pytest.param(changed(colour="red"), "invalid_field", ["colour: 'red'", "no such field"], id="unknown field"),
        pytest.param(changed(issued_at="yesterday"), "invalid_field", ["issued_at: 'yesterday'", "RFC 3339"], id="time"),
        pytest.param(
            with_spec("strategy.name", "moon"), "unknown_strategy", ["spec.strategy.name: 'moon'", "sma_cross"], id="strategy"
        ),
        pytest.param(
            with_spec("strategy.parameters", {"quick": 1}), "invalid_parameter", ["spec.strategy.parameters", "quick"],
            id="unknown parameter",
        ),
        pytest.param(
            with_spec("strategy.parameters", {"fast": 0}), "invalid_parameter",
            ["spec.strategy.parameters.fast: 0", "minimum of 1"], id="parameter out of range",
        ),
        pytest.param(
            with_spec("account.cash", float("nan")), "invalid_field", ["spec.account.cash: nan", "finite"], id="NaN cash"
        ),
        pytest.param(
            with_spec("account.cash", -1), "invalid_field", ["spec.account.cash: -1", "greater than 0"], id="negative cash"
        ),
        pytest.param(
            with_spec("data", {"dataset": "s", "symbols": ["A"], "timeframe": "1d", "start": "2024-02-01", "end": "2024-01-01"}),
            "invalid_field", ["spec.data", "start 2024-02-01 must be before end 2024-01-01"], id="start after end",
        ),
        pytest.param(
            with_spec("tags", ["x" * 120] * 31 + ["x" * 129]), "invalid_field", ["spec.tags.31", "128"], id="long tag"
        ),
        pytest.param(
            with_spec("strategy.parameters", {"fast": 1, "note": "x" * 70_000}), "too_large", ["spec", "65536"],
            id="a spec over 64 KiB",
        ),
    ],
)  # fmt: skip
async def test_a_wrong_command_is_rejected_with_field_value_and_what_is_allowed(
    system: System, document: dict[str, Any], reason: str, says: list[str]
) -> None:
    """A rejection is a receipt and nothing else: no log, no state."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(document)
    system.send(submit("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1") and len(system.receipts) == 2)
    assert system.outcomes("bt-x") == [f"rejected: {reason}"]
    (receipt,) = [each for each in system.receipts if each.backtest_id == "bt-x"]
    assert all(part in receipt.detail for part in says), receipt.detail
    assert receipt.command_id == "submit-bt-x"
    assert not system.bodies("bt-x") and system.state("bt-x") is None


async def test_a_command_without_key_is_rejected(system: System) -> None:
    """The key decides the partition, so it can't be guessed from the body."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send_raw(None, json.dumps(submit("bt-x")).encode())
    await worker.until(lambda: system.receipts)
    assert system.outcomes("bt-x") == ["rejected: missing_key"]


async def test_a_key_that_is_not_the_backtest_id_is_rejected(system: System) -> None:
    """Whatever its bytes: also those that are not text."""
    worker = system.worker(partitions=1)
    await worker.assign(0)
    system.send_raw(b"\xff\xfe", json.dumps(submit("bt-x")).encode())
    system.send_raw(b"", json.dumps(submit("bt-x")).encode())
    await worker.until(lambda: len(system.receipts) == 2)
    assert system.outcomes("bt-x") == ["rejected: key_mismatch"] * 2


async def test_headers_that_are_not_text_do_not_matter(system: System) -> None:
    """A worker reads no header of a command: one that is not UTF-8 neither stops nor loses anything."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(submit("bt-1"), headers=(("trace", b"\xff\xfe\x00"),))
    await worker.until(lambda: system.is_finished("bt-1"))
    assert system.outcomes("bt-1") == ["accepted"]


async def test_a_misrouted_command_is_forwarded_unchanged_and_carried_out_at_home(system: System) -> None:
    """As a client does that hashes keys differently; headers go along."""
    worker = system.worker()
    await worker.assign(0, 1)
    elsewhere = 1 - system.home("bt-1")
    system.send(submit("bt-1"), partition=elsewhere, headers=(("trace", b"\xff"),))
    await worker.until(lambda: system.is_finished("bt-1"))
    assert sorted(system.outcomes("bt-1")) == ["accepted", "forwarded: other_partition"]
    sent, forwarded = (record for number in (elsewhere, 1 - elsewhere) for record in _commands(system, number))
    assert (forwarded.key, forwarded.value, forwarded.headers) == (sent.key, sent.value, sent.headers)


async def test_the_same_command_twice_runs_once(system: System) -> None:
    """While it waits, while it runs, and when it is done."""
    worker = system.worker(slots=1)
    await worker.assign(0, 1)
    worker.runner.hold("bt-1")
    for _ in range(2):
        system.send(submit("bt-1"))
    await worker.until(lambda: worker.runner.starts("bt-1"))
    worker.runner.release("bt-1")
    await worker.until(lambda: system.is_finished("bt-1"))
    system.send(submit("bt-1"))
    await worker.until(lambda: len(system.receipts) == 3)
    assert system.outcomes("bt-1") == ["accepted", "duplicate: already_submitted", "duplicate: already_finished"]
    assert system.story("bt-1") == WHOLE_STORY and worker.runner.starts("bt-1") == 1


async def test_the_same_id_with_another_spec_is_rejected(system: System) -> None:
    """Whatever became of the first."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(submit("bt-1"))
    system.send(submit("bt-1", fast=11))
    await worker.until(lambda: system.is_finished("bt-1"))
    system.send(submit("bt-1", fast=12))
    await worker.until(lambda: len(system.receipts) == 3)
    assert system.outcomes("bt-1") == ["accepted", "rejected: other_spec", "rejected: other_spec"]
    assert system.story("bt-1") == WHOLE_STORY


async def test_a_cancel_ends_a_waiting_run_before_it_starts(system: System) -> None:
    """Also one in the same transaction as the submit."""
    worker = system.worker(slots=1)
    await worker.assign(0, 1)
    worker.runner.hold("bt-1")
    system.send(submit("bt-1"))
    await worker.until(lambda: worker.runner.starts("bt-1"))
    system.send(submit("bt-2"))
    await worker.until(lambda: system.outcomes("bt-2"))
    system.send(cancel("bt-2"))
    system.send(submit("bt-3"))
    system.send(cancel("bt-3"))
    await worker.until(lambda: system.is_finished("bt-2", "bt-3"))
    worker.runner.release("bt-1")
    await worker.until(lambda: system.is_finished("bt-1"))
    await worker.turns()
    assert system.story("bt-2") == system.story("bt-3") == ["BacktestAccepted", "BacktestCancelled"]
    assert system.outcomes("bt-3") == ["accepted", "accepted"]
    assert worker.runner.order == ["bt-1"]


async def test_a_cancel_ends_a_running_run_on_the_committed_head(system: System) -> None:
    """What the process delivers afterwards is dropped, the process is killed, and its slot is free."""
    worker = system.worker(slots=1)
    await worker.assign(0, 1)
    worker.runner.hold("bt-1")
    system.send(submit("bt-1"))
    await worker.until(lambda: worker.runner.starts("bt-1"))
    worker.runner.release("bt-1", 2)
    await worker.until(lambda: len(system.bodies("bt-1")) == 3)
    system.send(cancel("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1"))
    worker.runner.release("bt-1")
    await worker.turns()
    assert system.story("bt-1") == ["BacktestAccepted", "BacktestStarted", "BacktestProgressed", "BacktestCancelled"]
    cancelled = system.commits("bt-1")[-1].events[0]
    assert (cancelled.command_id, cancelled.reason) == ("cancel-bt-1", "no longer needed")  # type: ignore[union-attr]
    assert worker.runner.simulations[0].is_killed
    system.send(submit("bt-2"))
    await worker.until(lambda: system.is_finished("bt-2"))


async def test_a_cancel_comes_before_what_the_run_has_delivered_but_nobody_has_appended(system: System) -> None:
    """Both lie before the worker when it plans its transaction: nothing follows the cancellation."""
    worker = system.worker()
    await worker.assign(0, 1)
    worker.runner.hold("bt-1")
    system.send(submit("bt-1"))
    await worker.until(lambda: worker.runner.starts("bt-1"))
    await worker.turns(20)
    worker.runner.release("bt-1")
    system.send(cancel("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1"))
    await worker.turns(50)
    assert system.story("bt-1") == ["BacktestAccepted", "BacktestCancelled"]


async def test_a_cancel_of_what_is_over_or_unknown_is_answered(system: System) -> None:
    """And a submit after a cancel is a repeat of what was cancelled."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(cancel("bt-0"))
    system.send(submit("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1"))
    system.send(cancel("bt-1"))
    for document in (submit("bt-2"), cancel("bt-2"), cancel("bt-2"), submit("bt-2"), submit("bt-2", fast=11)):
        system.send(document)
    await worker.until(lambda: len(system.receipts) == 8)
    assert system.outcomes("bt-0") == ["rejected: unknown_backtest"]
    assert system.outcomes("bt-1") == ["accepted", "rejected: already_finished"]
    assert system.outcomes("bt-2") == [
        "accepted", "accepted", "duplicate: already_cancelled", "duplicate: already_cancelled", "rejected: other_spec",
    ]  # fmt: skip


async def test_a_command_older_than_the_dedup_window_is_expired(system: System) -> None:
    """Nobody knows any more whether it was carried out; a command of a known run is answered by its state."""
    worker = system.worker(dedup_days=30)
    await worker.assign(0, 1)
    system.send(submit("bt-1", issued_at="2025-12-06T10:00:00Z"))  # 30 days to the second before NOW_MS
    system.send(submit("bt-2", issued_at="2025-12-06T09:59:59Z"))
    system.send(cancel("bt-2", issued_at="2025-12-06T09:59:59Z"))
    await worker.until(lambda: system.is_finished("bt-1"))
    system.send(submit("bt-1", issued_at="2020-01-01"))
    await worker.until(lambda: len(system.receipts) == 4)
    assert system.outcomes("bt-1") == ["accepted", "duplicate: already_finished"]
    assert system.outcomes("bt-2") == ["expired: too_old"] * 2


async def test_a_full_queue_refuses_and_takes_again_when_there_is_room(system: System) -> None:
    """Cancelled runs make room at once, wherever in the queue they stood."""
    worker = system.worker(slots=1, max_queued=2)
    await worker.assign(0, 1)
    ids = [name for name in (f"bt-{number}" for number in range(100)) if system.home(name) == 0][:6]
    running, first, second, third, fourth, fifth = ids
    worker.runner.hold(running)
    system.send(submit(running))
    await worker.until(lambda: worker.runner.starts(running))
    for each in (first, second, third):
        system.send(submit(each, priority=-system.log.next_offsets[_source(0)]))
    await worker.until(lambda: len(system.receipts) == 4)
    assert system.outcomes(third) == ["queue_full: queue_full"]
    system.send(cancel(second))
    await worker.until(lambda: system.is_finished(second))
    system.send(submit(fourth))
    system.send(submit(fifth))
    await worker.until(lambda: system.outcomes(fifth))
    assert system.outcomes(fourth) == ["accepted"]
    assert system.outcomes(fifth) == ["queue_full: queue_full"]
    worker.runner.release(running)
    await worker.until(lambda: system.is_finished(running, first, fourth))
    system.send(submit(third))
    await worker.until(lambda: system.is_finished(third))


async def test_runs_start_by_priority_then_in_the_order_they_came(system: System) -> None:
    """Over all partitions of the worker, one slot at a time."""
    worker = system.worker(slots=1)
    await worker.assign(0, 1)
    worker.runner.hold("bt-first")
    system.send(submit("bt-first"))
    await worker.until(lambda: worker.runner.starts("bt-first"))
    same = [name for name in (f"bt-{number}" for number in range(100)) if system.home(name) == 0][:4]
    other = next(name for name in (f"bx-{number}" for number in range(100)) if system.home(name) == 1)
    for name, priority in zip(same, (0, 5, -5, 5), strict=True):
        system.send(submit(name, priority=priority))
    system.send(submit(other, priority=7))
    await worker.until(lambda: len(system.receipts) == 6)
    worker.runner.release("bt-first")
    await worker.until(lambda: system.is_finished(*same, other))
    assert worker.runner.order == ["bt-first", other, same[1], same[3], same[0], same[2]]


async def test_a_run_that_finds_a_free_slot_starts_with_its_acceptance(system: System) -> None:
    """Its first state already counts the attempt: no transaction of its own comes between the two."""
    worker = system.worker(slots=1)
    await worker.assign(0, 1)
    low, high = [name for name in (f"bt-{number}" for number in range(100)) if system.home(name) == 0][:2]
    keys = (low.encode(), high.encode())
    for name in (low, high):
        worker.runner.hold(name)
    system.send(submit(low))
    system.send(submit(high, priority=1))
    await worker.until(lambda: worker.runner.order)
    states = [
        (record.key, decode_run_state(record.value or b"").attempts) for record in system.log.of(RUNS) if record.key in keys
    ]
    assert states == [(high.encode(), 1), (low.encode(), 0)], "one slot: it goes to the higher priority of one delivery"
    assert worker.runner.order == [high]


async def test_a_long_run_of_commands_is_taken_in_several_transactions(system: System) -> None:
    """More than one transaction may hold, and more than the inbox may hold: order and number are kept."""
    worker = system.worker(slots=1, max_queued=100_000)
    await worker.assign(0, 1)
    worker.runner.scripts = {f"bt-{number}": Script(commits=2) for number in range(2_500)}
    for number in range(2_500):
        system.send(submit(f"bt-{number}"))
        system.send(cancel(f"bt-{number}"))
    await worker.until(lambda: len(system.receipts) == 5_000)
    assert {each.outcome for each in system.receipts} == {"accepted"}
    for number in (0, 1):
        offsets = [each.offset for each in system.receipts if each.partition == number]
        assert offsets == sorted(offsets)
    assert {state.status for state in system.states().values()} == {"cancelled"}
    assert len(system.log.of(RUNS)) < 3 * 2_500


def _commands(system: System, number: int) -> list[Any]:
    return system.log.records.get(_source(number), [])


def _source(number: int) -> Any:
    from adapters.ports import TopicPartition

    return TopicPartition(COMMANDS, number)
