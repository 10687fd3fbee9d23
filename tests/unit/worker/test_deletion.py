"""What a worker does with delete commands: answered once, remembered, and the same whatever fails in between."""

import pytest

from tests.unit.worker.harness import RUNS, System, cancel, delete, submit


async def test_a_delete_of_a_finished_run_is_accepted_and_remembered(system: System) -> None:
    """A receipt and a mark in run state; no event. A repeat is a duplicate, the id is not used again."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(submit("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1"))
    log = system.bodies("bt-1")
    for document in (delete("bt-1"), delete("bt-1"), submit("bt-1"), submit("bt-1", fast=11), cancel("bt-1")):
        system.send(document)
    await worker.until(lambda: len(system.receipts) == 6)
    assert system.outcomes("bt-1") == ["accepted", "accepted", "duplicate: deleted", *["rejected: deleted"] * 3]
    assert system.bodies("bt-1") == log
    state = system.state("bt-1")
    assert state is not None and state.status == "deleted" and state.finished_at_ms == system.clock.ms


async def test_a_delete_of_an_open_run_is_rejected_and_harmless(system: System) -> None:
    """Waiting or running, it goes on; after a cancel in the same transaction it may be deleted."""
    worker = system.worker(slots=1)
    await worker.assign(0, 1)
    worker.runner.hold("bt-1")
    system.send(submit("bt-1"))
    await worker.until(lambda: worker.runner.starts("bt-1"))
    home = system.home("bt-1")
    waiting = next(f"w-{number}" for number in range(99) if system.home(f"w-{number}") == home)
    for document in (submit(waiting), delete(waiting), delete("bt-1"), cancel(waiting), delete(waiting)):
        system.send(document)
    await worker.until(lambda: len(system.receipts) == 6)
    assert system.outcomes(waiting) == ["accepted", "rejected: not_finished", "accepted", "accepted"]
    worker.runner.release("bt-1")
    await worker.until(lambda: system.is_finished("bt-1"))
    assert system.outcomes("bt-1") == ["accepted", "rejected: not_finished"]
    assert worker.worker.owned[home].waiting_runs == 0


async def test_an_id_that_nobody_remembers_may_be_deleted(system: System) -> None:
    """It can't be open; its rows may be older than what workers remember. The mark goes with the dedup window."""
    worker = system.worker(dedup_days=1)
    await worker.assign(0, 1)
    system.send(delete("bt-1"))
    await worker.until(lambda: system.receipts)
    (receipt,) = system.receipts
    assert (receipt.outcome, receipt.command_type) == ("accepted", "DeleteBacktest")
    assert "more than 1 days ago" in receipt.detail
    system.clock.ms += 2 * 86_400_000
    await worker.revoke()
    await worker.assign(0, 1)
    await worker.until(lambda: "bt-1" not in system.states())
    assert [record.value for record in system.log.of(RUNS) if record.key == b"bt-1"][-1] is None


async def test_deleting_many_finished_runs_leaves_the_queue_as_it_was(system: System) -> None:
    """What is deleted was not waiting: the number of waiting runs counts only those."""
    worker = system.worker(slots=1)
    await worker.assign(0, 1)
    names = [f"bt-{number}" for number in range(12)]
    for name in names:
        system.send(submit(name))
    await worker.until(lambda: system.is_finished(*names))
    worker.runner.hold("last-1")
    worker.runner.hold("last-2")
    for name in ("last-1", "last-2"):
        system.send(submit(name))
    await worker.until(lambda: worker.runner.starts("last-1") + worker.runner.starts("last-2") == 1)
    for name in names:
        system.send(delete(name))
    await worker.until(lambda: len(system.receipts) == 26)
    assert sum(each.waiting_runs for each in worker.worker.owned.values()) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("turn", range(6))
async def test_a_delete_whose_transaction_fails_happens_once(system: System, when: str, turn: int) -> None:
    """One accepted receipt and one mark, whether the broker had committed the transaction or not."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(submit("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1"))
    system.send(delete("bt-1"))
    await worker.turns(turn)
    for partition in worker.partitions.values():
        partition.fail_next = when
    system.send(delete("bt-1", command_id="delete-again"))
    await worker.until(lambda: len(system.receipts) == 3)
    await worker.turns()
    assert system.outcomes("bt-1") == ["accepted", "accepted", "duplicate: deleted"]


async def test_a_delete_that_is_delivered_again_to_a_new_owner_is_not_carried_out_again(system: System) -> None:
    """The command is read again from before the crash: the recorded intake position skips it."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(submit("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1"))
    system.send(delete("bt-1"))
    await worker.until(lambda: len(system.receipts) == 2)
    await worker.close()
    successor = system.worker()
    await successor.assign(0, 1)
    system.send(submit("bt-2"))
    await successor.until(lambda: system.is_finished("bt-2"))
    assert system.outcomes("bt-1") == ["accepted", "accepted"]
