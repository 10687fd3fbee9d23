"""Whatever a strategy does ends its own run with a reason, and nothing else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from adapters.folder import FolderBlobStore
from backtape.data import generate_dataset
from consumers.settings import load_settings
from consumers.simulation.frames import AnyFrame, Committed, DataReady, Failed, Job, Resolved
from consumers.simulation.runner import Ending, ZygoteRunner
from engine.lifecycle import accept
from schemas.commands import SubmitBacktest
from schemas.commit import Author, Head, encode_commit
from schemas.events import FailureReason
from schemas.ids import BacktestId, Digest
from schemas.spec import parse_spec

STRATEGIES = Path(__file__).parent / "strategies" / "misbehaving.py"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ZygoteRunner]:
    """A zygote whose data lies in a folder. All tests share it: whatever they do, it has to go on."""
    tmp_path = tmp_path_factory.mktemp("isolation")
    generate_dataset(FolderBlobStore(tmp_path / "store"), dataset="sim", bars=2_000, seed=1)
    made = ZygoteRunner(
        {
            **os.environ,
            "BACKTAPE_S3_URL": f"file://{tmp_path / 'store'}",
            "BACKTAPE_CACHE_DIR": str(tmp_path / "cache"),
            "BACKTAPE_STRATEGY_FILES": str(STRATEGIES),
        }
    )
    yield made
    await made.close()


def job(strategy: str, known: Head | None = None, **more: Any) -> Job:
    spec = parse_spec(
        {
            "data": {"dataset": more.pop("dataset", "sim"), "symbols": ["SIM"], "timeframe": "1m"},
            "strategy": {"name": strategy},
            **more,
        }
    )
    command = SubmitBacktest(type="SubmitBacktest", command_id="c", backtest_id="b", issued_at="2026-01-01T00:00:00Z", spec=spec)
    accepted = accept(command, spec.recorded(), Digest("0" * 64))
    head = encode_commit(BacktestId("b"), Head.start(Digest(accepted.spec_digest)), Author.OWNER, [accepted]).head
    return Job(backtest_id="b", spec=spec.recorded(), accepted=head, known=known or head)


async def play(runner: ZygoteRunner, wanted: Job) -> tuple[list[AnyFrame], Ending]:
    simulation = await runner.start(wanted)
    frames = []
    while (frame := await simulation.next()) is not None:
        frames.append(frame)
    return frames, await simulation.ending()


async def test_a_good_strategy_delivers_its_commits(runner: ZygoteRunner) -> None:
    """The frames are: data at hand, what it runs on, then commits up to the terminal one."""
    frames, ending = await play(runner, job("buy_and_hold"))
    assert isinstance(frames[0], DataReady)
    assert isinstance(frames[1], Resolved)
    commits = frames[2:]
    assert all(isinstance(frame, Committed) for frame in commits)
    assert [frame.is_terminal for frame in commits if isinstance(frame, Committed)] == [False] * (len(commits) - 1) + [True]
    assert ending == Ending(code=0, signal=None)


async def test_a_rerun_sends_only_what_the_log_does_not_hold(runner: ZygoteRunner) -> None:
    """With a known head, the frames continue there, with the same bytes."""
    first = [frame for frame in (await play(runner, job("buy_and_hold")))[0] if isinstance(frame, Committed)]
    again = [
        frame for frame in (await play(runner, job("buy_and_hold", first[0].commit().head)))[0] if isinstance(frame, Committed)
    ]
    assert again == first[1:]


async def test_a_log_that_the_rerun_disagrees_with_fails_the_run(runner: ZygoteRunner) -> None:
    """A digest that differs at the known head is never continued."""
    frames, _ = await play(runner, job("buy_and_hold", Head(2, 2, Digest("f" * 64))))
    assert isinstance(frames[-1], Failed)
    assert frames[-1].reason is FailureReason.NONDETERMINISTIC
    assert not any(isinstance(frame, Committed) for frame in frames)


@pytest.mark.parametrize(
    ("strategy", "reason", "words"),
    [
        ("raises", FailureReason.STRATEGY_RAISED, "this strategy has had enough"),
        ("eats_memory", FailureReason.MEMORY_LIMIT, "limits.memory_mb: 256 MB"),
        ("exits_politely", FailureReason.STRATEGY_RAISED, "SystemExit"),
        ("no_such_strategy", FailureReason.STRATEGY_RAISED, "no_such_strategy"),
    ],
)
async def test_what_a_strategy_does_wrong_is_said(runner: ZygoteRunner, strategy: str, reason: FailureReason, words: str) -> None:
    """The last frame says what happened, in words."""
    frames, _ = await play(runner, job(strategy, limits={"memory_mb": 256}))
    assert isinstance(frames[-1], Failed)
    assert frames[-1].reason is reason
    assert words in frames[-1].detail


async def test_unknown_data_is_said(runner: ZygoteRunner) -> None:
    """A data set that is not there, and a symbol that is not in it, fail the run with the field's name."""
    for changed, reason in (
        (job("buy_and_hold", dataset="nowhere"), FailureReason.UNKNOWN_DATASET),
        (job("buy_and_hold", data={"dataset": "sim", "symbols": ["NOWHERE"], "timeframe": "1m"}), FailureReason.UNKNOWN_SYMBOL),
        (
            job("buy_and_hold", data={"dataset": "sim", "symbols": ["SIM"], "timeframe": "1m", "start": "2050-01-01"}),
            FailureReason.NO_DATA_IN_RANGE,
        ),
    ):
        frames, _ = await play(runner, changed)
        assert isinstance(frames[-1], Failed)
        assert frames[-1].reason is reason, frames[-1]


async def test_an_exit_and_a_kill_end_the_process_and_not_the_zygote(runner: ZygoteRunner) -> None:
    """os._exit gives a code, a kill a signal; the next run works."""
    assert (await play(runner, job("exits")))[1] == Ending(code=7, signal=None)
    killed = (await play(runner, job("is_killed")))[1]
    assert killed.is_crash
    assert killed.signal == 9
    assert (await play(runner, job("buy_and_hold")))[1].code == 0


async def test_a_killed_run_takes_its_processes_along(runner: ZygoteRunner) -> None:
    """A simulation that hangs, and what it has spawned, are gone after kill()."""
    for strategy in ("loops", "spawns"):
        simulation = await runner.start(job(strategy))
        while not isinstance(await simulation.next(), Resolved):
            pass
        assert simulation._pid is not None
        group = simulation._pid
        if strategy == "spawns":
            while await simulation.next() is not None:
                pass
        simulation.kill()
        await simulation.ending()
        left = [each for each in psutil.process_iter(["pid", "status"]) if _group(each.pid) == group]
        psutil.wait_procs(left, timeout=5)
        assert not [each for each in left if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


async def test_a_simulation_gives_way_and_its_owner_does_not(runner: ZygoteRunner) -> None:
    """In priority, and in a session of its own: Linux may weigh sessions against each other, and priorities within one only."""
    simulation = await runner.start(job("sleeps"))
    while not isinstance(await simulation.next(), Resolved):
        pass
    assert simulation._pid is not None
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, simulation._pid) == min(19, ours + load_settings().simulation_nice) > ours
    assert os.getsid(simulation._pid) != os.getsid(0)
    simulation.kill()
    await simulation.ending()


async def test_the_catalogue_lists_packages_and_files(runner: ZygoteRunner) -> None:
    """Strategies come from entry points and from the files that the settings name."""
    catalogue = await runner.catalogue()
    assert {"sma_cross", "buy_and_hold", "raises", "loops"} <= set(catalogue)
    assert catalogue["sma_cross"].parameters["properties"]["fast"]["default"] == 20


async def test_a_zygote_that_dies_is_started_again(runner: ZygoteRunner) -> None:
    """Runs under way count as crashed, later ones work."""
    simulation = await runner.start(job("sleeps"))
    while not isinstance(await simulation.next(), Resolved):
        pass
    assert runner._process is not None
    runner._process.kill()
    assert (await simulation.ending()).is_crash
    assert (await play(runner, job("buy_and_hold")))[1].code == 0
