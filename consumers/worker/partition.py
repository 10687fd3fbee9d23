"""This module owns one partition: it answers its commands, starts its runs and appends what they produce.

One task per partition takes turns: plan a transaction from the inbox and from the runs' pending commits, commit it, and only
then let the state in memory advance. After any doubt it fences and restores again: the log tells what happened.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec
import structlog

from adapters.errors import ConfigurationError, IntegrityError, RetryableError
from adapters.ports import Clock, Headers, Partition, Record
from consumers.simulation.runner import Runner
from consumers.worker.active import ActiveRun
from consumers.worker.plan import Plan, TopicNames
from consumers.worker.run_book import RunBook, Waiting, read_state_records
from engine.lifecycle import DAY_MS, MAX_ATTEMPTS, IntakeRules, advance, fail, finished
from schemas.commit import EncodedCommit
from schemas.events import FailureReason
from schemas.ids import BacktestId
from schemas.run_state import RunState, RunStatus, Topology

log = structlog.get_logger()

MAX_INBOX = 2_000  # records; beyond, the shell waits
MAX_STEP_COMMANDS = 500  # commands in one transaction
MAX_STEP_BYTES = 1024 * 1024  # of one transaction; longer ones would block every reader of the partition
REOPEN_SECONDS = 0.5
MAX_LOOKS_BEYOND_END = 20  # times REOPEN_SECONDS: ten seconds
SWEEP_SECONDS = 3_600.0  # between two looks for runs that may be forgotten
MAX_FRESH_BYTES = 8 * 1024 * 1024  # of Accepted commits that are kept for runs that start at once


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """What all partitions of a worker have in common."""

    names: TopicNames
    intake: IntakeRules
    partitions: int
    machine: Headers
    accept_lost_commands: bool = False


@dataclass(slots=True)
class Totals:
    """What a worker has done since its start, for its metrics."""

    transactions: int = 0
    commits: int = 0
    bytes: int = 0
    commands: int = 0
    reopened: int = 0


class OwnedPartition:
    """One partition, its runs and its queue."""

    def __init__(
        self,
        partition: Partition,
        rules: WorkerRules,
        *,
        runner: Runner,
        clock: Clock,
        new_log_id: Callable[[], str],
        on_change: Callable[[], None],
        is_slot_idle: Callable[[], bool],
        totals: Totals,
    ) -> None:
        self.number = partition.number
        self.active: dict[BacktestId, ActiveRun] = {}
        self.answered: int | None = None  # the offset after the last command that was answered; None before it is known
        self._partition = partition
        self._rules = rules
        self._runner = runner
        self._clock = clock
        self._new_log_id = new_log_id
        self._totals = totals
        self._on_change = on_change  # the worker looks for runs to start
        self._is_slot_idle = is_slot_idle  # a slot is free, and no run waits for it
        self._inbox: deque[Record] = deque()
        self._room = asyncio.Event()
        self._next_intake: int | None = None
        self._book = RunBook()
        self._starting: list[BacktestId] = []
        self._topology: Topology | None = None
        self._is_topology_new = False
        self._expired: list[BacktestId] = []
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._openings = 0
        self._looks_beyond_end = 0
        self._swept = 0.0
        self._fresh: dict[BacktestId, bytes] = {}  # bodies of Accepted commits whose run is likely to start at once
        self._fresh_bytes = 0

    # --- called by the worker -------------------------------------------------------------------------------------

    async def run(self, position: Callable[[int], None]) -> None:
        """Own the partition until ``stop``.

        position : called with the next offset of the commands topic when the partition may be read
        Raises FencedError when another owner has taken over, or another FatalError.
        """
        self._is_stopping = False
        while not self._is_stopping:
            try:
                await self._open(position)
                await self._serve()
            except RetryableError as error:
                self._totals.reopened += 1
                log.warning("partition_reopens", partition=self.number, error=str(error))
                await self._clock.sleep(REOPEN_SECONDS)

    async def stop(self) -> None:
        """Give up ownership after the transaction under way. Simulations go on: the partition may come back."""
        self._is_stopping = True
        self._next_intake = None
        self._inbox.clear()
        self._room.set()
        self._wake.set()

    async def close(self) -> None:
        await self._partition.close()

    def discard(self) -> None:
        """End all simulations: another worker owns the partition."""
        for run in self.active.values():
            run.kill()
        self.active.clear()

    async def deliver(self, records: Sequence[Record]) -> None:
        """Take command records over; those from before the present position were delivered before a seek."""
        opening = self._openings
        await self._room.wait()
        if opening != self._openings:
            return  # fetched before a seek: taken now, it would hide the records between
        for record in records:
            if self._next_intake is not None and record.offset >= self._next_intake:
                self._inbox.append(record)
                self._next_intake = record.offset + 1
        if len(self._inbox) >= MAX_INBOX:
            self._room.clear()
        self._wake.set()

    @property
    def waiting_commands(self) -> int:
        return len(self._inbox)

    @property
    def waiting_runs(self) -> int:
        return self._book.waiting

    @property
    def slots_used(self) -> int:
        return len(self.active) + len(self._starting)

    def first_waiting(self) -> Waiting | None:
        """Return the run that is to start next, or None."""
        return None if self._is_stopping else self._book.first()

    def start_first(self) -> None:
        """Let the first waiting run begin: its attempt is recorded, then its simulation starts."""
        self._starting.append(self._book.take_first())
        self._wake.set()

    # --- opening ------------------------------------------------------------------------------------------------

    async def _open(self, position: Callable[[int], None]) -> None:
        """Fence, then read where the partition stands. This order is what makes every later step safe."""
        self._inbox.clear()
        self._next_intake = None
        self._openings += 1
        await self._partition.fence()
        intake = self._load(await self._partition.restore())
        self._next_intake = self.answered = await self._first_command(intake)
        self._room.set()
        self._wake.set()
        log.info(
            "partition_opened",
            partition=self.number,
            next_command=self._next_intake,
            queued=self._book.waiting,
            running=len(self.active),
        )
        position(self._next_intake)
        self._on_change()

    async def _first_command(self, intake: int | None) -> int:
        """Return where to read on, after checking that the commands topic is still the one that was read before."""
        beginning, end = await self._partition.bounds_of_commands()
        if intake is None:
            return beginning
        if intake < beginning and not self._rules.accept_lost_commands:
            raise IntegrityError(
                f"partition {self.number}: commands {intake} to {beginning - 1} were deleted by Kafka before a worker read them; "
                "set BACKTAPE_ACCEPT_LOST_COMMANDS=true to go on without them"
            )
        if intake > end:
            self._looks_beyond_end += 1
            problem = f"partition {self.number}: commands were read up to {intake}, the topic ends at {end}: it was made again"
            if self._looks_beyond_end < MAX_LOOKS_BEYOND_END:  # a new leader may not know its end yet
                raise RetryableError(problem)
            raise IntegrityError(f"{problem}; restore the commands topic, or make all topics again")
        self._looks_beyond_end = 0
        return max(intake, beginning)

    def _load(self, records: Sequence[Record]) -> int | None:
        """Rebuild the partition's memory from its state records, and return the recorded intake position."""
        restored = read_state_records(records)
        self._topology = restored.topology
        self._check_topology()
        self._starting.clear()
        self._keep_what_agrees(restored.states)
        self._book.restore(restored.states, running=self.active)
        self._sweep()
        return restored.intake

    def _sweep(self) -> None:
        """Note which finished runs may be forgotten; the next transaction does it."""
        self._swept = self._clock.monotonic()
        self._expired = self._book.finished_before(self._clock.now_ms() - self._rules.intake.dedup_days * DAY_MS)

    def _check_topology(self) -> None:
        self._is_topology_new = self._topology is None
        if self._topology is None:
            self._topology = Topology(partitions=self._rules.partitions, log_id=self._new_log_id())
        elif self._topology.partitions != self._rules.partitions:
            raise ConfigurationError(
                f"partition {self.number} was made as one of {self._topology.partitions}, "
                f"the topics have {self._rules.partitions}: the number of partitions is fixed"
            )

    def _keep_what_agrees(self, states: Mapping[BacktestId, RunState]) -> None:
        """End the simulations that the log does not agree with; the others go on."""
        for backtest_id, run in list(self.active.items()):
            state = states.get(backtest_id)
            if state is None or state.status.is_finished or not run.reconcile(state.head):
                run.kill()
                del self.active[backtest_id]

    # --- one transaction after another ----------------------------------------------------------------------------

    async def _serve(self) -> None:
        while not self._is_stopping:
            await self._wake.wait()
            self._wake.clear()
            while not self._is_stopping and await self._step():
                pass

    async def _step(self) -> bool:
        """Plan, commit, apply. False when there was nothing to do."""
        self._requeue_crashed()
        if self._clock.monotonic() - self._swept > SWEEP_SECONDS:
            self._sweep()
        plan = self._plan()
        if plan.is_empty:
            return False
        for home, record in plan.forwarded:
            await self._partition.forward(home, [record])  # at least once: a repeat is a duplicate at its home
        await self._partition.transact(plan.writes(), plan.queued_writes)
        self._apply(plan)
        log.debug("step_committed", partition=self.number, commits=len(plan.commits), states=len(plan.states), bytes=plan.bytes)
        return True

    def _plan(self) -> Plan:
        assert self._topology is not None, "an opened partition has its topology"
        plan = Plan(
            names=self._rules.names,
            before=self._book.states,
            headers=(("log_id", self._topology.log_id.encode()),),
            machine=self._rules.machine,
            now_ms=self._clock.now_ms(),
            topology=self._topology if self._is_topology_new else None,
            forgotten=tuple(self._expired),
        )
        for record in islice(self._inbox, MAX_STEP_COMMANDS):
            if plan.bytes >= MAX_STEP_BYTES:
                break
            plan.take_command(record, self._rules.intake, partitions=self._rules.partitions, queued=self._book.waiting)
        for backtest_id in plan.queued:
            if self._is_slot_idle():
                self._starting.append(backtest_id)  # it takes the slot now, and needs no transaction of its own to start
        plan.starting.extend(self._starting)
        for backtest_id in plan.starting:
            self._plan_start(plan, backtest_id)
        for run in self.active.values():
            self._plan_commits(plan, run)
        return plan

    def _plan_start(self, plan: Plan, backtest_id: BacktestId) -> None:
        state = plan.state(backtest_id)
        assert state is not None, "a run that starts was accepted"
        if state.status.is_finished:
            return  # cancelled in this very transaction
        if state.attempts >= MAX_ATTEMPTS:
            detail = f"its process was killed {state.attempts} times without getting further than commit {state.number}"
            plan.add(backtest_id, *fail(backtest_id, state, FailureReason.CRASHED, detail))
        else:
            plan.states[backtest_id] = msgspec.structs.replace(state, attempts=state.attempts + 1)

    def _plan_commits(self, plan: Plan, run: ActiveRun) -> None:
        state = plan.state(run.backtest_id)
        assert state is not None, "a run that is under way was accepted"
        for commit in run.pending:
            if state.status.is_finished or plan.bytes >= MAX_STEP_BYTES:
                return
            state = _state_after(state, commit, run)
            plan.add(run.backtest_id, commit, state)
        if run.failure is not None and not state.status.is_finished:
            plan.add(run.backtest_id, *fail(run.backtest_id, state, *run.failure))

    def _apply(self, plan: Plan) -> None:
        """Let memory advance to what the log holds now."""
        self._totals.transactions += 1
        self._totals.commits += len(plan.commits)
        self._totals.bytes += plan.bytes
        self._is_topology_new = False
        self._expired = []
        if plan.intake is not None:
            self.answered = plan.intake
        while plan.intake is not None and self._inbox and self._inbox[0].offset < plan.intake:
            self._inbox.popleft()
            self._totals.commands += 1
        if len(self._inbox) < MAX_INBOX:
            self._room.set()
        self._book.update(plan.states, not_waiting={*self.active, *self._starting, *plan.accepted})
        self._book.forget(plan.forgotten)
        for backtest_id, commit in plan.commits:
            if backtest_id in self.active:
                self.active[backtest_id].confirm(commit.head)
        self._settle(plan)
        self._on_change()

    def _settle(self, plan: Plan) -> None:
        """Queue what was accepted, start what was to start, and let go of what has ended."""
        for backtest_id in plan.queued:
            self._keep_fresh(backtest_id, plan.commits[plan.accepted[backtest_id]][1].body)
            if backtest_id not in plan.starting:
                self._book.enqueue(backtest_id)
        for backtest_id in plan.starting:
            self._starting.remove(backtest_id)
            if not self._book.states[backtest_id].status.is_finished:
                self._start(backtest_id)
        for backtest_id, state in plan.states.items():
            if not state.status.is_finished:
                continue
            self._fresh_bytes -= len(self._fresh.pop(backtest_id, b""))
            if backtest_id in self.active:
                self.active.pop(backtest_id).kill()

    def _requeue_crashed(self) -> None:
        """Let crashed runs wait for another attempt, once what they had delivered is in the log."""
        crashed = [backtest_id for backtest_id, run in self.active.items() if run.has_crashed and not run.pending]
        for backtest_id in crashed:
            del self.active[backtest_id]
            self._book.enqueue(backtest_id)
        if crashed:
            self._on_change()

    def _start(self, backtest_id: BacktestId) -> None:
        state = self._book.states[backtest_id]
        run = self.active[backtest_id] = ActiveRun(backtest_id, state, wake=self._wake.set)
        body = self._fresh.pop(backtest_id, None)
        self._fresh_bytes -= len(body or b"")
        run.start(state, accepted=body, read_commit=self._partition.read_commit, runner=self._runner, clock=self._clock)

    def _keep_fresh(self, backtest_id: BacktestId, body: bytes) -> None:
        """Keep an Accepted commit for the run's start, within a bound; others are read back from the log."""
        if self._fresh_bytes + len(body) <= MAX_FRESH_BYTES:
            self._fresh[backtest_id] = body
            self._fresh_bytes += len(body)


def _state_after(state: RunState, commit: EncodedCommit, run: ActiveRun) -> RunState:
    if commit.is_terminal:
        return finished(state, commit.head, RunStatus.COMPLETED)
    after = advance(state, commit.head)
    if run.resolved is None:
        return after
    return msgspec.structs.replace(
        after,
        data_version=run.resolved.data_version,
        data_digest=run.resolved.data_digest,
        code_digest=run.resolved.code_digest,
        strategy_digest=run.resolved.strategy_digest,
    )
