"""This module is the memory twin of Runner: simulations that follow a script instead of market data.

Like the real one it is deterministic (a run's commits follow from its job alone), sends nothing that the log already holds,
and says so when a re-run does not lead to the log's head.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from consumers.simulation.frames import AnyFrame, Committed, DataReady, Failed, Job, Resolved, Waiting, committed
from consumers.simulation.runner import Ending
from schemas.commit import Author, EncodedCommit, Head, encode_commit
from schemas.events import AnyEvent, BacktestCompleted, BacktestProgressed, BacktestStarted, FailureReason
from schemas.ids import BacktestId
from schemas.strategies import Catalogue, StrategyCard

SIGKILL = 9

CATALOGUE: Catalogue = {
    "sma_cross": StrategyCard(
        name="sma_cross",
        summary="Holds while a fast average is above a slow one",
        parameters={
            "type": "object",
            "properties": {"fast": {"type": "integer", "minimum": 1}, "slow": {"type": "integer", "minimum": 1}},
            "required": ["fast", "slow"],
            "additionalProperties": False,
        },
        defaults={"fast": 10, "slow": 30},
        code_digest="5" * 64,
    )
}


@dataclass(slots=True)
class Script:
    """What the simulations of one backtest do.

    commits : Started, then one commit of progress each, then Completed; how many in all
    crashes : how many of its processes are killed, each after ``survives`` commits that are new
    ends : the last word, in place of Completed where it is another one
    seed : a run whose seed has changed is one that is not deterministic
    """

    commits: int = 4
    crashes: int = 0
    survives: int = 0
    ends: Literal["completed", "failed", "exit", "hang"] = "completed"
    waits_for_data: bool = False
    seed: int = 0
    padding: int = 0  # events more in each commit of progress


@dataclass(slots=True)
class ScriptedRunner:
    """Runs scripts. ``hold`` keeps a backtest's simulations from sending until ``release``."""

    scripts: dict[str, Script] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    simulations: list["ScriptedSimulation"] = field(default_factory=list)
    is_closed: bool = False
    _gates: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _crashed: dict[str, int] = field(default_factory=dict)

    async def start(self, job: Job) -> "ScriptedSimulation":
        self.jobs.append(job)
        script = self.scripts.get(job.backtest_id, Script())
        is_crashing = self._crashed.get(job.backtest_id, 0) < script.crashes
        if is_crashing:
            self._crashed[job.backtest_id] = self._crashed.get(job.backtest_id, 0) + 1
        simulation = ScriptedSimulation(job, script, is_crashing=is_crashing, gate=self._gates.get(job.backtest_id))
        self.simulations.append(simulation)
        return simulation

    async def catalogue(self) -> Catalogue:
        return CATALOGUE

    async def close(self) -> None:
        self.is_closed = True

    def hold(self, backtest_id: str) -> None:
        self._gates[backtest_id] = asyncio.Semaphore(0)

    def release(self, backtest_id: str, commits: int = 1_000) -> None:
        for _ in range(commits):
            self._gates[backtest_id].release()

    def starts(self, backtest_id: str) -> int:
        return sum(job.backtest_id == backtest_id for job in self.jobs)

    @property
    def order(self) -> list[str]:
        return [job.backtest_id for job in self.jobs]


class ScriptedSimulation:
    """One simulation under way."""

    def __init__(self, job: Job, script: Script, *, is_crashing: bool, gate: asyncio.Semaphore | None) -> None:
        self.is_killed = False
        self._frames = _frames(job, script, is_crashing=is_crashing)
        self._ending = Ending(code=None, signal=SIGKILL) if is_crashing else Ending(code=3, signal=None)
        self._ends = script.ends
        self._is_crashing = is_crashing
        self._gate = gate
        self._killed = asyncio.Event()

    async def next(self) -> AnyFrame | None:
        if not self._frames:
            if self._ends == "hang" and not self._is_crashing:
                await self._killed.wait()
            return None
        if self._gate is not None and isinstance(self._frames[0], Committed):
            await self._gate.acquire()
        return self._frames.pop(0)

    async def ending(self) -> Ending:
        return self._ending

    def kill(self) -> None:
        self.is_killed = True
        self._killed.set()


def _frames(job: Job, script: Script, *, is_crashing: bool) -> list[AnyFrame]:
    frames: list[AnyFrame] = [Waiting(detail="the blob store is out of reach")] if script.waits_for_data else []
    frames += [
        DataReady(),
        Resolved(data_version=7, data_digest="d" * 64, code_digest="c" * 64, strategy_digest="5" * 64),
    ]
    commits = scripted_commits(job.backtest_id, job.accepted, script)
    known = next((commit.head for commit in commits if commit.head.number == job.known.number), job.accepted)
    if known != job.known:
        return [*frames, Failed(reason=FailureReason.NONDETERMINISTIC, detail=f"re-run gives {known}, not {job.known}")]
    new = [committed(commit) for commit in commits if commit.head.number > job.known.number]
    if is_crashing:
        return [*frames, *new[: script.survives]]
    if script.ends == "completed":
        return [*frames, *new]
    frames += new[:-1]
    if script.ends == "failed":
        frames.append(Failed(reason=FailureReason.STRATEGY_RAISED, detail="ZeroDivisionError: division by zero"))
    return frames


def scripted_commits(backtest_id: str, accepted: Head, script: Script) -> list[EncodedCommit]:
    """Return all commits of a run after its Accepted one."""
    commits = [_commit(backtest_id, accepted, Author.OWNER, [_started(accepted)])]
    for number in range(script.commits - 2):
        head = commits[-1].head
        events: list[AnyEvent] = [
            BacktestProgressed(
                sequence=head.sequence + 1 + place,
                time_ns=number,
                bars_done=number + 1,
                bars=script.commits,
                equity=100_000.5 + number + script.seed,
            )
            for place in range(1 + script.padding)
        ]
        commits.append(_commit(backtest_id, head, Author.SIMULATION, events))
    head = commits[-1].head
    completed = BacktestCompleted(
        sequence=head.sequence + 1,
        time_ns=9,
        bars=script.commits,
        orders=0,
        fills=0,
        trades=0,
        final_equity=100_000.0,
        statistics={},
    )
    return [*commits, _commit(backtest_id, head, Author.SIMULATION, [completed])]


def _started(accepted: Head) -> BacktestStarted:
    return BacktestStarted(
        sequence=accepted.sequence + 1,
        time_ns=0,
        dataset="stocks",
        dataset_version=7,
        data_digest="d" * 64,
        symbols=("AAPL",),
        timeframe="1d",
        first_bar_ns=0,
        last_bar_ns=9,
        bars=10,
        equity_every=1,
    )


def _commit(backtest_id: str, head: Head, author: Author, events: list[AnyEvent]) -> EncodedCommit:
    return encode_commit(BacktestId(backtest_id), head, author, events)
