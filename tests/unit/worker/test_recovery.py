"""What happens to runs when transactions fail, partitions move and processes die: nothing lost, nothing twice.

"As in a quiet run" is literal: the same commits, byte for byte, and the same state for the next owner.
"""

import msgspec
import pytest

from adapters.errors import ConfigurationError, IntegrityError
from adapters.memory_log import MemoryPartition
from adapters.ports import TopicPartition
from schemas.events import BacktestFailed
from schemas.run_state import TOPOLOGY_KEY, RunState, Topology, encode_state
from tests.unit.worker.harness import COMMANDS, EVENTS, GROUP, RUNS, Member, System, cancel, submit
from tests.unit.worker.scripted_runner import Script, ScriptedRunner

IDS = tuple(f"bt-{number}" for number in range(6))
SCRIPTS = {name: Script(commits=3 + place, padding=place) for place, name in enumerate(IDS)}


def send_all(system: System) -> None:
    for name in IDS:
        system.send(submit(name))
    system.send(submit(IDS[0]))


Outcome = tuple[dict[str, list[bytes]], dict[str, RunState], dict[str, list[str]]]


def outcome(system: System) -> Outcome:
    """Return everything that must be the same in a quiet and in a disturbed run."""
    for name in IDS:
        system.commits(name)  # checks the chain
    return (
        {name: system.bodies(name) for name in IDS},
        system.states(),
        {name: system.outcomes(name) for name in IDS},
    )


async def quiet_run() -> Outcome:
    system = System()
    worker = system.worker(runner=ScriptedRunner(dict(SCRIPTS)))
    await worker.assign(0, 1)
    send_all(system)
    await worker.until(lambda: system.is_finished(*IDS) and len(system.receipts) == 7)
    result = outcome(system)
    await worker.close()
    return result


# --- transactions that fail ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("turn", [*range(0, 30, 2)])
async def test_a_transaction_that_fails_loses_and_doubles_nothing(system: System, when: str, turn: int) -> None:
    """Whichever transaction it is, and whether the broker had committed it or not."""
    quiet = await quiet_run()
    worker = system.worker(runner=ScriptedRunner(dict(SCRIPTS)))
    await worker.assign(0, 1)
    send_all(system)
    await worker.turns(turn)
    for partition in worker.partitions.values():
        partition.fail_next = when
    await worker.until(lambda: system.is_finished(*IDS) and len(system.receipts) == 7)
    await worker.turns()
    assert outcome(system) == quiet
    assert all(worker.runner.starts(name) == 1 for name in IDS), "commits that waited were sent again, not computed again"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_transactions_that_fail_again_and_again_only_delay(system: System, when: str) -> None:
    """Every other transaction of both partitions."""
    quiet = await quiet_run()
    worker = system.worker(runner=ScriptedRunner(dict(SCRIPTS)))
    await worker.assign(0, 1)
    send_all(system)
    left = 20

    def is_done() -> bool:
        nonlocal left
        for partition in worker.partitions.values():
            if left > 0 and partition.fail_next is None and partition._epoch is not None:
                partition.fail_next = when
                left -= 1
        return system.is_finished(*IDS) and len(system.receipts) == 7

    await worker.until(is_done)
    await worker.turns()
    assert outcome(system) == quiet


# --- owners that change -------------------------------------------------------------------------------------------


async def test_a_fenced_worker_rejoins_and_another_owner_goes_on(system: System) -> None:
    """The fence is not fatal: a sole owner is fenced as well when the broker times a transaction out."""
    worker = system.worker()
    await worker.assign(0, 1)
    home = system.home("bt-1")
    worker.runner.hold("bt-1")
    system.send(submit("bt-1"))
    await worker.until(lambda: worker.runner.starts("bt-1"))
    await other_owner(system, home).fence()
    worker.runner.release("bt-1")
    await worker.until(lambda: worker.membership.rejoins == 1)
    assert system.story("bt-1") == ["BacktestAccepted"], "what a fenced owner computed does not reach the log"
    assert not worker.worker.owned and not worker.worker.fatal.done()
    await worker.assign(0, 1)
    await worker.until(lambda: system.is_finished("bt-1"))
    system.commits("bt-1")


def other_owner(system: System, number: int) -> MemoryPartition:
    return MemoryPartition(system.log, number, group=GROUP, commands=COMMANDS, events=EVENTS, runs=RUNS)


async def test_a_partition_that_comes_back_keeps_its_simulations(system: System) -> None:
    """Every rebalance revokes all partitions; most come back a moment later."""
    worker = system.worker()
    await worker.assign(0, 1)
    worker.runner.hold("bt-1")
    system.send(submit("bt-1"))
    await worker.until(lambda: worker.runner.starts("bt-1"))
    worker.runner.release("bt-1", 2)
    await worker.until(lambda: len(system.bodies("bt-1")) == 3)
    for _ in range(3):
        await worker.revoke()
        await worker.assign(0, 1)
        await worker.turns(20)
    worker.runner.release("bt-1")
    await worker.until(lambda: system.is_finished("bt-1"))
    assert worker.runner.starts("bt-1") == 1
    system.commits("bt-1")


async def test_what_a_run_delivers_while_its_partition_is_away_is_kept(system: System) -> None:
    """It is appended when the partition is back."""
    worker = system.worker()
    await worker.assign(0, 1)
    worker.runner.hold("bt-1")
    system.send(submit("bt-1"))
    await worker.until(lambda: worker.runner.starts("bt-1"))
    await worker.revoke()
    worker.runner.release("bt-1")
    await worker.turns()
    assert len(system.bodies("bt-1")) == 1
    await worker.assign(0, 1)
    await worker.until(lambda: system.is_finished("bt-1"))
    assert worker.runner.starts("bt-1") == 1


@pytest.mark.parametrize("computed", [1, 4])
async def test_a_partition_that_was_elsewhere_meanwhile_goes_on_from_the_log(system: System, computed: int) -> None:
    """A simulation that was kept goes on only if its own commits lead to the head that another owner has left."""
    first, second = system.worker(), system.worker()
    await first.assign(0, 1)
    for member in (first, second):
        member.runner.hold("bt-1")
    system.send(submit("bt-1"))
    await first.until(lambda: first.runner.starts("bt-1"))
    first.runner.release("bt-1", 1)
    await first.until(lambda: len(system.bodies("bt-1")) == 2)
    await first.revoke()
    first.runner.release("bt-1", computed - 1)
    await second.assign(0, 1)
    await second.until(lambda: second.runner.starts("bt-1"))
    second.runner.release("bt-1", 2)
    await second.until(lambda: len(system.bodies("bt-1")) == 4)
    await second.revoke()
    await first.assign(0, 1)
    await first.turns(50)
    first.runner.release("bt-1")
    await first.until(lambda: system.is_finished("bt-1"))
    assert system.story("bt-1")[-1] == "BacktestCompleted" and len(system.commits("bt-1")) == 5
    assert first.runner.starts("bt-1") == (1 if computed == 4 else 2)


@pytest.mark.parametrize("delivered", [0, 1, 2, 3])
async def test_another_worker_runs_again_and_appends_only_what_is_missing(system: System, delivered: int) -> None:
    """Byte for byte as in a quiet run, wherever the first owner stopped; its simulation is ended."""
    quiet = System()
    calm = quiet.worker()
    await calm.assign(0, 1)
    quiet.send(submit("bt-1"))
    await calm.until(lambda: quiet.is_finished("bt-1"))
    await calm.close()

    first, second = system.worker(), system.worker()
    await first.assign(0, 1)
    first.runner.hold("bt-1")
    system.send(submit("bt-1"))
    await first.until(lambda: first.runner.starts("bt-1"))
    first.runner.release("bt-1", delivered)
    await first.until(lambda: len(system.bodies("bt-1")) == 1 + delivered)
    await first.revoke()
    await first.assign()
    assert first.runner.simulations[0].is_killed
    await second.assign(0, 1)
    await second.until(lambda: system.is_finished("bt-1"))
    assert system.bodies("bt-1") == quiet.bodies("bt-1")
    assert second.runner.jobs[0].known.number == 1 + delivered
    if delivered:
        assert second.runner.jobs[0].data_version == 7, "what the first start resolved is not resolved again"


async def test_a_re_run_that_differs_fails_the_run(system: System) -> None:
    """Its log would not follow from its command any more."""
    first = system.worker()
    second = system.worker(runner=ScriptedRunner({"bt-1": Script(seed=1)}))
    await first.assign(0, 1)
    first.runner.hold("bt-1")
    system.send(submit("bt-1"))
    await first.until(lambda: first.runner.starts("bt-1"))
    first.runner.release("bt-1", 2)
    await first.until(lambda: len(system.bodies("bt-1")) == 3)
    await first.revoke()
    await second.assign(0, 1)
    await second.until(lambda: system.is_finished("bt-1"))
    assert failure(system, "bt-1").reason == "nondeterministic"


async def test_a_revocation_right_after_an_assignment_is_kept(system: System) -> None:
    """Also before the partition's task had its first turn: nothing of ours is under way afterwards."""
    worker = system.worker()
    system.send(submit("bt-1"))
    await worker.assign(0, 1)
    await worker.revoke()
    await worker.turns(50)
    assert not worker.worker.owned and not system.receipts
    await worker.assign(0, 1)
    await worker.until(lambda: system.is_finished("bt-1"))


async def test_records_fetched_before_the_partition_was_opened_hide_none(system: System) -> None:
    """What was on its way when the position was set again is read again from there, in order."""
    worker = system.worker(partitions=1)
    for name in ("bt-1", "bt-2"):
        system.send(submit(name), partition=0)
    await worker.assign(0)
    late = system.log.records[TopicPartition(COMMANDS, 0)][1:]
    await worker.worker.on_records(TopicPartition(COMMANDS, 0), late)
    await worker.until(lambda: system.is_finished("bt-1", "bt-2"))
    assert [receipt.offset for receipt in system.receipts] == [0, 1]


async def test_a_killed_worker_leaves_nothing_behind_that_its_successor_misses(system: System) -> None:
    """No goodbye: the successor finds runs that wait, runs that run and commands that nobody read."""
    first, second = system.worker(slots=2), system.worker()
    await first.assign(0, 1)
    for name in IDS[:2]:
        first.runner.hold(name)
    for name in IDS[:4]:
        system.send(submit(name))
    await first.until(lambda: len(system.receipts) == 4 and len(first.runner.jobs) == 2)
    for name in IDS[4:]:
        system.send(submit(name))
    await second.assign(0, 1)  # its fence is what ends the first one's say
    await second.until(lambda: system.is_finished(*IDS))
    assert len(system.receipts) == len(IDS)
    for name in IDS:
        assert system.story(name).count("BacktestStarted") == 1


async def test_a_closed_worker_ends_its_simulations(system: System) -> None:
    """They belong to nobody afterwards."""
    worker = system.worker()
    await worker.assign(0, 1)
    worker.runner.hold("bt-1")
    system.send(submit("bt-1"))
    await worker.until(lambda: worker.runner.starts("bt-1"))
    await worker.close()
    assert worker.runner.simulations[0].is_killed and worker.runner.is_closed


# --- processes that end badly --------------------------------------------------------------------------------------


def failure(system: System, backtest_id: str) -> BacktestFailed:
    event = system.commits(backtest_id)[-1].events[-1]
    assert isinstance(event, BacktestFailed)
    return event


@pytest.mark.parametrize(
    ("script", "starts", "reason"),
    [
        pytest.param(Script(crashes=1), 2, None, id="killed once"),
        pytest.param(Script(crashes=2), 3, None, id="killed twice"),
        pytest.param(Script(crashes=3), 3, "crashed", id="killed three times"),
        pytest.param(Script(commits=8, crashes=5, survives=1), 6, None, id="killed often, further each time"),
        pytest.param(Script(ends="failed"), 1, "strategy_raised", id="raised"),
        pytest.param(Script(ends="exit"), 1, "strategy_exited", id="exited"),
        pytest.param(Script(waits_for_data=True), 1, None, id="waited for its data"),
    ],
)
async def test_a_process_that_ends_badly_fails_its_run_and_not_the_worker(
    system: System, script: Script, starts: int, reason: str | None
) -> None:
    """With a reason; a killed process is started again while it gets further, and three times where it does not."""
    worker = system.worker(slots=1, runner=ScriptedRunner({"bt-1": script}))
    await worker.assign(0, 1)
    system.send(submit("bt-1"))
    system.send(submit("bt-2"))
    await worker.until(lambda: system.is_finished("bt-1", "bt-2"))
    assert worker.runner.starts("bt-1") == starts
    if reason is None:
        assert system.story("bt-1")[-1] == "BacktestCompleted"
    else:
        assert failure(system, "bt-1").reason == reason
    assert system.story("bt-2")[-1] == "BacktestCompleted"


async def test_a_run_that_takes_too_long_fails(system: System) -> None:
    """Its limit counts while the worker waits for the process."""
    worker = system.worker(runner=ScriptedRunner({"bt-1": Script(ends="hang")}))
    await worker.assign(0, 1)
    document = submit("bt-1")
    document["spec"]["limits"] = {"seconds": 0.02}
    system.send(document)
    await worker.until(lambda: system.is_finished("bt-1"))
    assert failure(system, "bt-1").reason == "time_limit"
    assert "0.02 s" in failure(system, "bt-1").detail
    assert worker.runner.simulations[0].is_killed


async def test_a_cancel_reaches_a_run_that_hangs(system: System) -> None:
    """It needs nothing from the process."""
    worker = system.worker(runner=ScriptedRunner({"bt-1": Script(ends="hang")}))
    await worker.assign(0, 1)
    system.send(submit("bt-1"))
    await worker.until(lambda: worker.runner.starts("bt-1"))
    await worker.turns(20)
    system.send(cancel("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1"))
    assert system.story("bt-1")[-1] == "BacktestCancelled"
    assert worker.runner.simulations[0].is_killed


# --- a partition that is not as it must be ---------------------------------------------------------------------------


async def consume_one(system: System) -> None:
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(submit("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1"))
    await worker.revoke()


async def failed(member: Member) -> BaseException:
    while not member.worker.fatal.done():
        await member.turn()
    return member.worker.fatal.result()


async def test_commands_that_kafka_deleted_unread_end_the_process(system: System) -> None:
    """Loss is an error with the offsets in it, unless the setting accepts it."""
    await consume_one(system)
    home = system.home("bt-1")
    for name in ("bt-1", "bt-1"):
        system.send(cancel(name))
    system.log.truncate(TopicPartition(COMMANDS, home), 2)
    careful = system.worker()
    await careful.assign(0, 1)
    error = await failed(careful)
    assert isinstance(error, IntegrityError) and "commands 1 to 1 were deleted" in str(error)
    assert "BACKTAPE_ACCEPT_LOST_COMMANDS" in str(error)
    await careful.close()
    told = system.worker(accept_lost_commands=True)
    await told.assign(0, 1)
    await told.until(lambda: len(system.receipts) == 2)


async def test_a_commands_topic_that_was_made_again_ends_the_process(system: System) -> None:
    """Its offsets begin anew: read on from the recorded one, every command would be passed over in silence."""
    await consume_one(system)
    home = TopicPartition(COMMANDS, system.home("bt-1"))
    system.log.records[home] = []
    system.log.next_offsets[home] = 0
    later = system.worker()
    await later.assign(0, 1)
    error = await failed(later)
    assert isinstance(error, IntegrityError) and "read up to 1, the topic ends at 0" in str(error)


async def test_another_number_of_partitions_ends_the_process(system: System) -> None:
    """Keys would have other homes: a backtest would get a second life beside its first."""
    await consume_one(system)
    grown = system.worker(partitions=3)
    await grown.assign(0, 1)
    error = await failed(grown)
    assert isinstance(error, ConfigurationError) and "one of 2" in str(error) and "have 3" in str(error)


async def test_the_topology_is_recorded_once(system: System) -> None:
    """With the log's id, which a later owner keeps."""
    await consume_one(system)
    later = system.worker()
    await later.assign(0, 1)
    await later.until(lambda: len(later.worker.owned) == 2)
    await later.turns()
    written = [record for record in system.log.of(RUNS) if record.key == TOPOLOGY_KEY.encode()]
    assert [record.partition for record in written] == [0, 1]
    assert all(msgspec.json.decode(record.value or b"", type=Topology).partitions == 2 for record in written)
    assert encode_state(Topology(partitions=2, log_id="x"))


async def test_what_finished_before_the_dedup_window_is_forgotten(system: System) -> None:
    """By a tombstone, when the partition is opened the next time."""
    await consume_one(system)
    system.clock.ms += 31 * 86_400_000
    later = system.worker()
    await later.assign(0, 1)
    await later.until(lambda: system.state("bt-1") is None)
    system.send(cancel("bt-1", issued_at="2026-02-05T00:00:00Z"))
    await later.until(lambda: len(system.receipts) == 2)
    assert system.outcomes("bt-1")[-1] == "rejected: unknown_backtest"


async def test_a_worker_forgets_while_it_runs(system: System) -> None:
    """An owner that never gives its partition up still forgets what is over."""
    worker = system.worker()
    await worker.assign(0, 1)
    system.send(submit("bt-1"))
    await worker.until(lambda: system.is_finished("bt-1"))
    system.clock.ms += 31 * 86_400_000
    system.send(submit("bt-2", issued_at="2026-02-05T00:00:00Z"), partition=system.home("bt-1"))
    system.send(cancel("bt-1", issued_at="2026-02-05T00:00:00Z"))
    await worker.until(lambda: system.state("bt-1") is None)
