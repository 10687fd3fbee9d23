"""This module follows one simulation: its frames become commits that wait to be appended.

Commits are kept until their transaction is confirmed, so that after a producer's recovery, or a rebalance that brings the
partition back, they are sent again instead of being computed again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from adapters.errors import RetryableError
from adapters.ports import Clock, Record
from consumers.simulation.frames import AnyFrame, Committed, DataReady, Failed, Job, Resolved, Waiting
from consumers.simulation.runner import Ending, Runner, Simulation
from schemas.commit import EncodedCommit, Head, decode_commit
from schemas.events import BacktestAccepted, FailureReason
from schemas.ids import BacktestId, sha256
from schemas.run_state import RunState
from schemas.spec import parse_spec

log = structlog.get_logger()

MAX_PENDING_BYTES = 2 * 1024 * 1024  # of one run; beyond, its process waits at its pipe
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 1.0

Found = TypeVar("Found")
ReadCommit = Callable[[int], Awaitable[Record]]
ReadBody = Callable[[], Awaitable[bytes]]


class ActiveRun:
    """One run whose simulation is under way, or whose last commits are not confirmed yet.

    ``failure`` is what the owner is to record after the pending commits; ``has_crashed`` that the process was killed and the
    run deserves another attempt.
    """

    def __init__(self, backtest_id: BacktestId, state: RunState, *, wake: Callable[[], None]) -> None:
        self.backtest_id = backtest_id
        self.pending: deque[EncodedCommit] = deque()
        self.resolved: Resolved | None = None
        self.failure: tuple[FailureReason, str] | None = None
        self.has_crashed = False
        self._confirmed = state.head
        self._pending_bytes = 0
        self._wake = wake
        self._room = asyncio.Event()
        self._room.set()
        self._simulation: Simulation | None = None
        self._task: asyncio.Task[None] | None = None

    # --- the owner's side ---------------------------------------------------------------------------------------

    def start(self, state: RunState, *, accepted: bytes | None, read_commit: ReadCommit, runner: Runner, clock: Clock) -> None:
        """Begin the simulation; it continues the log where ``state`` says it ends.

        accepted : the body of the run's Accepted commit, None: it is read back from the log
        """

        async def read() -> bytes:
            if accepted is not None:
                return accepted
            assert state.accepted_offset is not None, "an accepted run knows where its Accepted commit is"
            record = await read_commit(state.accepted_offset)
            assert record.value is not None, "a commit has bytes"
            return record.value

        self._task = asyncio.create_task(self._guarded(state, read, runner, clock), name=f"run {self.backtest_id}")

    def confirm(self, head: Head) -> None:
        """Forget the pending commits up to the log's head."""
        while self.pending and self.pending[0].head.number <= head.number:
            self._pending_bytes -= len(self.pending.popleft().body)
        self._confirmed = head
        if self._pending_bytes < MAX_PENDING_BYTES:
            self._room.set()

    def reconcile(self, head: Head) -> bool:
        """Go on from the log's head as a restore found it. False when this simulation's commits do not lead there."""
        if head != self._confirmed and all(commit.head != head for commit in self.pending):
            return False
        self.confirm(head)
        return True

    def kill(self) -> None:
        """End the simulation now; what it has not delivered is dropped."""
        if self._task is not None:
            self._task.cancel()
        if self._simulation is not None:
            self._simulation.kill()
        self.pending.clear()

    # --- the simulation's side ------------------------------------------------------------------------------------

    async def _guarded(self, state: RunState, read: ReadBody, runner: Runner, clock: Clock) -> None:
        try:
            ending = await self._follow(state, read, runner, clock)
            if ending is not None:
                self._judge(ending)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A defect of ours must not take the worker down, and must not be lost: it counts as a crash of this run.
            log.exception("run_supervision_failed", backtest_id=self.backtest_id, error=repr(error))
            self.has_crashed = True
        finally:
            if self._simulation is not None:
                self._simulation.kill()
            self._wake()

    async def _follow(self, state: RunState, read: ReadBody, runner: Runner, clock: Clock) -> Ending | None:
        """Take frames until the process says why it ends, or ends without saying."""
        job = await self._job(state, read, clock)
        limit = parse_spec(job.spec).limits.seconds
        simulation = self._simulation = await _patiently(lambda: runner.start(job), clock)
        left: float | None = None  # the time limit counts from DataReady, and only while we wait for the process
        while True:
            await self._room.wait()
            began = clock.monotonic()
            try:
                async with asyncio.timeout(left):
                    frame = await simulation.next()
            except TimeoutError:
                self.failure = (FailureReason.TIME_LIMIT, f"limits.seconds: {limit:g} s were not enough")
                return None
            if frame is None:
                return await simulation.ending()
            if left is not None:
                left = max(0.0, left - (clock.monotonic() - began))
            if isinstance(frame, DataReady):
                left = limit
            if self._take(frame):
                return None

    async def _job(self, state: RunState, read: ReadBody, clock: Clock) -> Job:
        """Take the run's spec from its Accepted commit: a waiting run keeps nothing but an offset."""
        body = await _patiently(read, clock)
        commit = decode_commit(body)
        accepted = commit.events[0]
        assert isinstance(accepted, BacktestAccepted) and commit.backtest_id == self.backtest_id, (
            "the offset is the Accepted commit's"
        )
        head = Head(number=commit.number, sequence=commit.last_sequence, digest=sha256(body))
        return Job(
            backtest_id=self.backtest_id,
            spec=accepted.spec,
            accepted=head,
            known=state.head,
            data_version=state.data_version,
            data_digest=state.data_digest,
            code_digest=state.code_digest,
            strategy_digest=state.strategy_digest,
        )

    def _take(self, frame: AnyFrame) -> bool:
        """Take one frame; True when it is the last."""
        match frame:
            case Waiting():
                log.warning("run_waits_for_data", backtest_id=self.backtest_id, detail=frame.detail)
            case DataReady():
                pass
            case Resolved():
                self.resolved = frame
            case Failed():
                self.failure = (frame.reason, frame.detail)
                self._wake()
                return True
            case Committed():
                commit = frame.commit()
                self.pending.append(commit)
                self._pending_bytes += len(commit.body)
                if self._pending_bytes >= MAX_PENDING_BYTES:
                    self._room.clear()
                self._wake()
                return commit.is_terminal
        return False

    def _judge(self, ending: Ending) -> None:
        """The process ended without a last word."""
        if ending.is_crash:
            log.warning("run_crashed", backtest_id=self.backtest_id, signal=ending.signal)
            self.has_crashed = True
        else:
            self.failure = (FailureReason.STRATEGY_EXITED, f"the strategy ended its process with exit code {ending.code}")


async def _patiently(call: Callable[[], Awaitable[Found]], clock: Clock) -> Found:
    """Call again while what is outside is out of reach; the run waits."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return await call()
        except RetryableError as error:
            log.debug("run_start_waits", error=str(error))
            await clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
