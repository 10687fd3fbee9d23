"""This module plans one transaction of a partition: what is appended, and which states follow when it has committed.

Nothing here touches the partition's state; the plan is applied after the commit, or thrown away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from adapters.ports import Headers, Record, Write
from consumers.worker.intake import Dead, Misrouted, Readable, Refused, kept_key, read_command, receipt_of
from engine.lifecycle import IntakeRules, decide
from schemas.commit import EncodedCommit
from schemas.ids import BacktestId
from schemas.receipts import Receipt, encode_receipt
from schemas.run_state import INTAKE_KEY, TOPOLOGY_KEY, IntakeState, RunState, Topology, encode_state


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The full names of the topics a worker writes to."""

    events: str
    runs: str
    receipts: str
    dead_letters: str


@dataclass(slots=True)
class Plan:
    """The content of one transaction."""

    names: TopicNames
    before: Mapping[BacktestId, RunState]
    headers: Headers  # of every record: the log's id
    machine: Headers  # of a run's first commits: what it ran on
    now_ms: int
    topology: Topology | None = None  # when it is to be written
    forgotten: tuple[BacktestId, ...] = ()  # finished longer ago than repeats are recognised
    commits: list[tuple[BacktestId, EncodedCommit]] = field(default_factory=list)
    others: list[Write] = field(default_factory=list)
    states: dict[BacktestId, RunState] = field(default_factory=dict)
    strategies: dict[BacktestId, str] = field(default_factory=dict)  # digests of the code of those that start
    accepted: dict[BacktestId, int] = field(default_factory=dict)  # index of the Accepted commit in commits
    starting: list[BacktestId] = field(default_factory=list)
    forwarded: list[tuple[int, Record]] = field(default_factory=list)
    intake: int | None = None
    bytes: int = 0

    def state(self, backtest_id: BacktestId) -> RunState | None:
        """Return a run's state as it will be after what is planned so far."""
        return self.states.get(backtest_id) or self.before.get(backtest_id)

    @property
    def queued(self) -> list[BacktestId]:
        """The runs that are accepted here and wait to start, in the order in which they start."""
        waiting = [each for each in self.accepted if not self.states[each].status.is_finished]
        return sorted(waiting, key=lambda each: -self.states[each].priority)

    @property
    def is_empty(self) -> bool:
        return not (self.commits or self.others or self.states or self.topology or self.forgotten) and self.intake is None

    # --- filling it ---------------------------------------------------------------------------------------------

    def take_command(self, record: Record, rules: IntakeRules, *, partitions: int, queued: int) -> None:
        """Plan the answer to one command record, and its effect."""
        self.intake = record.offset + 1
        reading = read_command(record, partitions=partitions)
        match reading:
            case Dead():
                headers = (*self.headers, *reading.headers.to_kafka())
                self._write(Write(self.names.dead_letters, kept_key(record), reading.value, headers))
                self._receipt(record, reading.receipt)
            case Misrouted():
                self.forwarded.append((reading.home, record))
                self._receipt(record, reading.receipt)
            case Refused():
                self._receipt(record, reading.receipt)
            case Readable():
                self._decide(record, reading, rules, queued)

    def _decide(self, record: Record, reading: Readable, rules: IntakeRules, queued: int) -> None:
        backtest_id = BacktestId(reading.parsed.command.backtest_id)
        waiting = queued + len(self.accepted)
        decision = decide(self.state(backtest_id), reading.parsed, rules, received_ms=record.timestamp_ms, queued=waiting)
        if decision.commit is not None and decision.state is not None:
            if not decision.commit.is_terminal:
                self.accepted[backtest_id] = len(self.commits)
            self.add(backtest_id, decision.commit, decision.state)
        elif decision.state is not None:  # a deletion: it is remembered from now on as long as an end
            self.states[backtest_id] = msgspec.structs.replace(decision.state, finished_at_ms=self.now_ms)
        document = reading.parsed.command.model_dump(
            mode="json", include={"type", "command_id", "backtest_id", "submitter", "issued_at"}
        )
        self._receipt(record, receipt_of(record, document, decision.outcome, decision.reason, decision.detail))

    def add(self, backtest_id: BacktestId, commit: EncodedCommit, state: RunState) -> None:
        """Plan a commit and the state after it."""
        if state.strategy_digest is not None:
            self.strategies[backtest_id] = state.strategy_digest
        if state.status.is_finished:
            state = msgspec.structs.replace(state, finished_at_ms=self.now_ms)
        self.commits.append((backtest_id, commit))
        self.states[backtest_id] = state
        self.bytes += len(commit.body)

    def _receipt(self, record: Record, receipt: Receipt) -> None:
        self._write(Write(self.names.receipts, kept_key(record), encode_receipt(receipt), self.headers))

    def _write(self, write: Write) -> None:
        self.others.append(write)
        self.bytes += len(write.value or b"")

    # --- as records ---------------------------------------------------------------------------------------------

    def writes(self) -> list[Write]:
        """Return the commits first, in their order, then the rest but for the states of the runs that are accepted here."""
        return [
            *(
                Write(self.names.events, backtest_id.encode(), commit.body, self._commit_headers(backtest_id, commit))
                for backtest_id, commit in self.commits
            ),
            *self.others,
            *(_state_write(self.names.runs, key, state) for key, state in self._states_at_once().items()),
        ]

    def queued_writes(self, offsets: Sequence[int]) -> list[Write]:
        """Return the states of the runs that are accepted here, which say where their commit is.

        offsets : of ``writes()``
        """
        for backtest_id in self.queued:
            offset = offsets[self.accepted[backtest_id]]
            self.states[backtest_id] = msgspec.structs.replace(self.states[backtest_id], accepted_offset=offset)
        return [_state_write(self.names.runs, backtest_id, self.states[backtest_id]) for backtest_id in self.queued]

    def _states_at_once(self) -> dict[str, RunState | IntakeState | Topology | None]:
        """Return, by key, the states that need no offset; None: it is removed."""
        later = set(self.queued)
        states: dict[str, RunState | IntakeState | Topology | None] = {
            backtest_id: state for backtest_id, state in self.states.items() if backtest_id not in later
        }
        states |= dict.fromkeys(self.forgotten)
        if self.topology is not None:
            states[TOPOLOGY_KEY] = self.topology
        if self.intake is not None:
            states[INTAKE_KEY] = IntakeState(next_offset=self.intake)
        return states

    def _commit_headers(self, backtest_id: BacktestId, commit: EncodedCommit) -> Headers:
        # Accepted is number 1, Started number 2: what a run ran on stands beside its start, outside the hashed bytes.
        if commit.head.number > 2:
            return self.headers
        strategy = self.strategies.get(backtest_id)
        return (*self.headers, *self.machine, *((("strategy", strategy.encode()),) if strategy is not None else ()))


def _state_write(topic: str, key: str, state: RunState | IntakeState | Topology | None) -> Write:
    return Write(topic, key.encode(), None if state is None else encode_state(state))
