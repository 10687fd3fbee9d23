"""This module keeps a partition's runs in memory: the state of each, and who waits to start.

It is rebuilt from state records when the partition is opened, and advances only after a transaction has committed.
"""

from collections.abc import Collection, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from adapters.ports import Record
from schemas.ids import BacktestId
from schemas.run_state import (
    INTAKE_KEY,
    TOPOLOGY_KEY,
    RunState,
    Topology,
    decode_intake,
    decode_run_state,
    decode_topology,
)


class Waiting(NamedTuple):
    """A run that waits to start, in the order in which runs start: higher priority first, then who came first."""

    negative_priority: int
    accepted_offset: int
    backtest_id: BacktestId


class Restored(NamedTuple):
    """What a partition's state records say."""

    states: dict[BacktestId, RunState]
    intake: int | None
    topology: Topology | None


def read_state_records(records: Sequence[Record]) -> Restored:
    """Decode what ``Partition.restore`` returned."""
    states: dict[BacktestId, RunState] = {}
    intake: int | None = None
    topology: Topology | None = None
    for record in records:
        key = (record.key or b"").decode()
        value = record.value or b""
        if key == INTAKE_KEY:
            intake = decode_intake(value).next_offset
        elif key == TOPOLOGY_KEY:
            topology = decode_topology(value)
        else:
            states[BacktestId(key)] = decode_run_state(value)
    return Restored(states, intake, topology)


class RunBook:
    """The states of a partition's runs, and the queue of those that wait."""

    def __init__(self) -> None:
        self.states: dict[BacktestId, RunState] = {}
        self._queue: list[Waiting] = []
        self._ended_in_queue = 0  # entries whose run was cancelled; dropped when they come to the front

    def restore(self, states: dict[BacktestId, RunState], *, running: Collection[BacktestId]) -> None:
        """Begin anew: every open run waits but those whose simulation is under way."""
        self.states = states
        self._queue = [
            self._waiting(each) for each, state in states.items() if not state.status.is_finished and each not in running
        ]
        heapify(self._queue)
        self._ended_in_queue = 0

    def update(self, states: Mapping[BacktestId, RunState], *, not_waiting: Collection[BacktestId]) -> None:
        """Take over the states after a commit.

        not_waiting : runs that are not in the queue, because they start, run, or were accepted by this very commit
        """
        self._ended_in_queue += sum(
            state.status.is_finished and each not in not_waiting and self._is_open(each) for each, state in states.items()
        )
        self.states.update(states)
        if 2 * self._ended_in_queue > len(self._queue):  # seldom enough to cost nothing, often enough to bound the queue
            self._queue = [each for each in self._queue if not self.states[each.backtest_id].status.is_finished]
            heapify(self._queue)
            self._ended_in_queue = 0

    def enqueue(self, backtest_id: BacktestId) -> None:
        heappush(self._queue, self._waiting(backtest_id))

    @property
    def waiting(self) -> int:
        """How many runs wait to start."""
        return len(self._queue) - self._ended_in_queue

    def first(self) -> Waiting | None:
        """Return the run that is to start next, or None."""
        while self._queue and self.states[self._queue[0].backtest_id].status.is_finished:
            heappop(self._queue)
            self._ended_in_queue -= 1
        return self._queue[0] if self._queue else None

    def take_first(self) -> BacktestId:
        """Take the first run out of the queue. Only after ``first`` has returned one."""
        return heappop(self._queue).backtest_id

    def finished_before(self, oldest_ms: float) -> list[BacktestId]:
        """Return the runs that ended so long ago that repeats of their commands need not be recognised."""
        return [
            each for each, state in self.states.items() if state.finished_at_ms is not None and state.finished_at_ms < oldest_ms
        ]

    def forget(self, backtest_ids: Collection[BacktestId]) -> None:
        for backtest_id in backtest_ids:
            self.states.pop(backtest_id, None)

    def _is_open(self, backtest_id: BacktestId) -> bool:
        state = self.states.get(backtest_id)
        return state is not None and not state.status.is_finished

    def _waiting(self, backtest_id: BacktestId) -> Waiting:
        state = self.states[backtest_id]
        assert state.accepted_offset is not None, "an accepted run knows where its Accepted commit is"
        return Waiting(-state.priority, state.accepted_offset, backtest_id)
