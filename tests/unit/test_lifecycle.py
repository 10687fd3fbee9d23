"""The life cycle of a run: given(state).when(command).then(outcome, events), for every command on every state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from engine.lifecycle import MAX_DETAIL, Decision, IntakeRules, advance, decide, evolve, fail, finished
from schemas.commands import parse_command
from schemas.commit import Author, Commit, EncodedCommit, Head, decode_commit, encode_commit, follow
from schemas.errors import SchemaError
from schemas.events import (
    TERMINAL_EVENTS,
    AnyEvent,
    BacktestAccepted,
    BacktestCompleted,
    BacktestImported,
    BacktestProgressed,
    BacktestStarted,
    FailureReason,
)
from schemas.ids import BacktestId, Digest
from schemas.run_state import RunState, RunStatus, encode_state
from schemas.strategies import StrategyCard

ID = BacktestId("bt-1")
RECEIVED_MS = 1_767_607_200_000  # 2026-01-05T10:00:00Z
CARD = StrategyCard(
    name="sma_cross",
    summary="",
    parameters={
        "type": "object",
        "properties": {"fast": {"type": "integer", "minimum": 1}, "slow": {"type": "integer"}},
        "additionalProperties": False,
    },
    defaults={"slow": 30, "fast": 10},
    code_digest="5" * 64,
)
RULES = IntakeRules(catalogue={"sma_cross": CARD}, dedup_days=30, max_queued=10)


def submit(fast: int = 10, **changes: Any) -> dict[str, Any]:
    return {
        "type": "SubmitBacktest",
        "command_id": "c-1",
        "backtest_id": ID,
        "issued_at": "2026-01-05T09:59:00Z",
        "spec": {
            "data": {"dataset": "stocks", "symbols": ["AAPL"], "timeframe": "1d"},
            "strategy": {"name": "sma_cross", "parameters": {"fast": fast}},
        },
        **changes,
    }


def cancel(**changes: Any) -> dict[str, Any]:
    return {
        "type": "CancelBacktest",
        "command_id": "c-2",
        "backtest_id": ID,
        "issued_at": "2026-01-05T09:59:00Z",
        "reason": "enough",
        **changes,
    }


def delete(**changes: Any) -> dict[str, Any]:
    return {
        "type": "DeleteBacktest",
        "command_id": "c-3",
        "backtest_id": ID,
        "issued_at": "2026-01-05T09:59:00Z",
        "reason": "old",
        **changes,
    }


def bring_in(content: str = "1", **changes: Any) -> dict[str, Any]:
    """Return a command that imports a result with this original."""
    return {
        "type": "ImportBacktest",
        "command_id": "c-4",
        "backtest_id": ID,
        "issued_at": "2026-01-05T09:59:00Z",
        "content_sha256": content * 64,
        "manifest_sha256": "b" * 64,
        "batch_key": "imports/i/batch.jsonl",
        "result": {
            "engine": {"name": "zipline", "version": None}, "strategy": {"name": "sma", "parameters": {}}, "symbols": ["AAPL"],
            "start": "2020-01-01", "end": "2021-01-01", "initial_cash": 1000.0, "currency": "USD", "orders": 0, "fills": 0,
            "trades": 1, "marks": 2, "pnl": 10.0, "commission": 1.0, "final_equity": 1010.0, "source": "a.json",
            "content_bytes": 9,
        },
        **changes,
    }  # fmt: skip


# --- given, when, then ----------------------------------------------------------------------------------------------


@dataclass
class Run:
    """A run as its commits made it; the log is checked link by link."""

    state: RunState | None = None
    head: Head | None = None
    events: tuple[AnyEvent, ...] = ()

    def appended(self, commit: EncodedCommit, state: RunState) -> Run:
        decoded: Commit = decode_commit(commit.body)
        head = self.head
        if head is None:
            first = decoded.events[0]
            assert isinstance(first, BacktestAccepted | BacktestImported)
            head = Head.start(Digest(first.spec_digest if isinstance(first, BacktestAccepted) else first.manifest_digest))
        assert follow(head, decoded, commit.body) == commit.head
        return Run(state, commit.head, (*self.events, *decoded.events))

    def when(
        self, document: dict[str, Any], *, queued: int = 0, rules: IntakeRules = RULES, received_ms: int = RECEIVED_MS
    ) -> Then:
        decision = decide(self.state, parse_command(document), rules, received_ms=received_ms, queued=queued)
        if decision.state is None:
            assert decision.commit is None
            return Then(decision, self, [])
        if decision.commit is None:
            return Then(decision, Run(decision.state, self.head, self.events), [])
        after = self.appended(decision.commit, decision.state)
        return Then(decision, after, [type(event).__name__ for event in after.events[len(self.events) :]])

    def simulated(self, *events: AnyEvent) -> Run:
        """Append a commit of the simulation."""
        assert self.state is not None and self.head is not None
        author = Author.OWNER if isinstance(events[0], BacktestStarted) else Author.SIMULATION
        commit = encode_commit(ID, self.head, author, list(events))
        return self.appended(commit, evolve(self.state, commit, events[-1]))

    @property
    def next(self) -> int:
        return len(self.events) + 1


@dataclass
class Then:
    """What a command led to."""

    decision: Decision
    run: Run
    events: list[str]

    def then(self, outcome: str, *events: str, status: str | None = None) -> Then:
        reason = self.decision.reason
        assert (self.decision.outcome if reason is None else f"{self.decision.outcome}: {reason}") == outcome
        assert self.events == list(events)
        assert (self.run.state.status if self.run.state else None) == status
        assert self.decision.detail or outcome == "accepted", "what is not simply carried out is explained"
        return self


def started(sequence: int) -> BacktestStarted:
    return BacktestStarted(
        sequence=sequence, time_ns=0, dataset="stocks", dataset_version=1, data_digest="d" * 64, symbols=("AAPL",),
        timeframe="1d", first_bar_ns=0, last_bar_ns=9, bars=10, equity_every=1,
    )  # fmt: skip


def progressed(sequence: int) -> BacktestProgressed:
    return BacktestProgressed(sequence=sequence, time_ns=1, bars_done=sequence, bars=10, equity=1.0)


def completed(sequence: int) -> BacktestCompleted:
    return BacktestCompleted(sequence=sequence, time_ns=9, bars=10, orders=0, fills=0, trades=0, final_equity=1.0, statistics={})


def given(status: str | None) -> Run:
    """Return a run that came to this status by its commands and its simulation."""
    if status is None:
        return Run()
    run = Run().when(submit()).run
    if status == "queued":
        return run
    if status == "cancelled before its start":
        return run.when(cancel()).run
    if status == "deleted":
        return run.when(cancel()).run.when(delete()).run
    if status == "deleted unseen":
        return Run().when(delete()).run
    if status == "imported":
        return Run().when(bring_in()).run
    run = run.simulated(started(run.next)).simulated(progressed(run.next + 1), progressed(run.next + 2))
    if status == "cancelled":
        return run.when(cancel()).run
    if status == "completed":
        return run.simulated(completed(run.next))
    if status == "failed":
        assert run.state is not None
        return run.appended(*fail(ID, run.state, FailureReason.STRATEGY_RAISED, "no"))
    assert status == "running"
    return run


# --- the table of engine/lifecycle.py ---------------------------------------------------------------------------------

SUBMIT, OTHER, CANCEL, DELETE = submit(), submit(fast=11), cancel(), delete()
IMPORT, OTHER_IMPORT = bring_in(), bring_in("2")
TABLE: list[tuple[str | None, dict[str, Any], str, tuple[str, ...], str | None]] = [
    (None, SUBMIT, "accepted", ("BacktestAccepted",), "queued"),
    (None, OTHER, "accepted", ("BacktestAccepted",), "queued"),
    (None, CANCEL, "rejected: unknown_backtest", (), None),
    ("queued", SUBMIT, "duplicate: already_submitted", (), "queued"),
    ("queued", OTHER, "rejected: other_spec", (), "queued"),
    ("queued", CANCEL, "accepted", ("BacktestCancelled",), "cancelled"),
    ("running", SUBMIT, "duplicate: already_submitted", (), "running"),
    ("running", OTHER, "rejected: other_spec", (), "running"),
    ("running", CANCEL, "accepted", ("BacktestCancelled",), "cancelled"),
    ("completed", SUBMIT, "duplicate: already_finished", (), "completed"),
    ("completed", OTHER, "rejected: other_spec", (), "completed"),
    ("completed", CANCEL, "rejected: already_finished", (), "completed"),
    ("failed", SUBMIT, "duplicate: already_finished", (), "failed"),
    ("failed", OTHER, "rejected: other_spec", (), "failed"),
    ("failed", CANCEL, "rejected: already_finished", (), "failed"),
    ("cancelled", SUBMIT, "duplicate: already_cancelled", (), "cancelled"),
    ("cancelled", OTHER, "rejected: other_spec", (), "cancelled"),
    ("cancelled", CANCEL, "duplicate: already_cancelled", (), "cancelled"),
    ("cancelled before its start", SUBMIT, "duplicate: already_cancelled", (), "cancelled"),
    ("cancelled before its start", CANCEL, "duplicate: already_cancelled", (), "cancelled"),
    (None, DELETE, "accepted", (), "deleted"),
    ("queued", DELETE, "rejected: not_finished", (), "queued"),
    ("running", DELETE, "rejected: not_finished", (), "running"),
    ("completed", DELETE, "accepted", (), "deleted"),
    ("failed", DELETE, "accepted", (), "deleted"),
    ("cancelled", DELETE, "accepted", (), "deleted"),
    ("deleted", SUBMIT, "rejected: deleted", (), "deleted"),
    ("deleted", OTHER, "rejected: deleted", (), "deleted"),
    ("deleted", CANCEL, "rejected: deleted", (), "deleted"),
    ("deleted", DELETE, "duplicate: deleted", (), "deleted"),
    ("deleted unseen", SUBMIT, "rejected: deleted", (), "deleted"),
    ("deleted unseen", DELETE, "duplicate: deleted", (), "deleted"),
    (None, IMPORT, "accepted", ("BacktestImported",), "completed"),
    ("queued", IMPORT, "rejected: id_taken", (), "queued"),
    ("running", IMPORT, "rejected: id_taken", (), "running"),
    ("completed", IMPORT, "rejected: id_taken", (), "completed"),
    ("failed", IMPORT, "rejected: id_taken", (), "failed"),
    ("cancelled", IMPORT, "rejected: id_taken", (), "cancelled"),
    ("deleted", IMPORT, "rejected: deleted", (), "deleted"),
    ("deleted unseen", IMPORT, "rejected: deleted", (), "deleted"),
    ("imported", IMPORT, "duplicate: already_imported", (), "completed"),
    ("imported", OTHER_IMPORT, "rejected: id_taken", (), "completed"),
    ("imported", SUBMIT, "rejected: other_spec", (), "completed"),
    ("imported", CANCEL, "rejected: already_finished", (), "completed"),
    ("imported", DELETE, "accepted", (), "deleted"),
]  # fmt: skip


def case_name(case: tuple[Any, ...]) -> str:
    names = {
        id(SUBMIT): "same spec", id(OTHER): "other spec", id(CANCEL): "cancel", id(DELETE): "delete", id(IMPORT): "import",
        id(OTHER_IMPORT): "other import",
    }  # fmt: skip
    command = names[id(case[1])]
    return f"{case[0] or 'unknown'} + {command}"


@pytest.mark.parametrize(("status", "command", "outcome", "events", "after"), TABLE, ids=[case_name(case) for case in TABLE])
def test_every_command_on_every_state_has_its_answer(
    status: str | None, command: dict[str, Any], outcome: str, events: tuple[str, ...], after: str | None
) -> None:
    """The table in engine/lifecycle.py, row by row."""
    given(status).when(command).then(outcome, *events, status=after)


def test_the_table_has_every_state() -> None:
    """A new state must get its rows."""
    assert {row[0] for row in TABLE if row[0] not in (None, "imported") and " " not in row[0]} == set(RunStatus)
    for status in (None, *RunStatus):
        assert {id(row[1]) for row in TABLE if row[0] == status} == {id(each) for each in (SUBMIT, OTHER, CANCEL, DELETE, IMPORT)}


# --- accepting ------------------------------------------------------------------------------------------------------


def test_the_accepted_event_has_the_command_and_every_default() -> None:
    """Parameters are complete and sorted; market time is 0 before the first bar."""
    run = given(None).when(submit(submitter="desk", priority=5)).then("accepted", "BacktestAccepted", status="queued").run
    (accepted,) = run.events
    assert isinstance(accepted, BacktestAccepted)
    assert (accepted.sequence, accepted.time_ns, accepted.command_id) == (1, 0, "c-1")
    assert (accepted.submitter, accepted.priority) == ("desk", 5)
    assert accepted.spec["strategy"]["parameters"] == {"fast": 10, "slow": 30}
    assert list(accepted.spec["strategy"]["parameters"]) == ["fast", "slow"]
    assert accepted.spec["account"]["cash"] == 100_000.0
    assert run.state is not None and run.state.priority == 5 and run.state.head == run.head


def test_equal_commands_give_equal_bytes() -> None:
    """However the document is spelled."""
    first = decide(None, parse_command(submit()), RULES, received_ms=RECEIVED_MS, queued=0)
    turned = dict(reversed(submit().items()))
    second = decide(None, parse_command(turned), RULES, received_ms=RECEIVED_MS + 5, queued=3)
    assert first.commit == second.commit and first.state == second.state


def test_an_unknown_strategy_is_rejected_with_those_there_are() -> None:
    """Intake knows strategies by name only."""
    document = submit()
    document["spec"]["strategy"]["name"] = "moon"
    decision = given(None).when(document).then("rejected: unknown_strategy").decision
    assert "spec.strategy.name: 'moon' is not allowed: one of sma_cross" in decision.detail


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"quick": 1}, "spec.strategy.parameters.quick: 1 is not allowed: there is no such parameter; there are fast"),
        ({"fast": 0}, "spec.strategy.parameters.fast: 0 is not allowed: 0 is less than the minimum of 1"),
        ({"fast": "10"}, "spec.strategy.parameters.fast: '10' is not allowed: '10' is not of type 'integer'"),
    ],
)
def test_a_wrong_parameter_is_rejected_by_name(parameters: dict[str, Any], says: str) -> None:
    """By the schema that the strategy's author wrote."""
    document = submit()
    document["spec"]["strategy"]["parameters"] = parameters
    decision = given(None).when(document).then("rejected: invalid_parameter").decision
    assert says in decision.detail


@pytest.mark.parametrize(("queued", "outcome"), [(9, "accepted"), (10, "queue_full: queue_full")])
def test_the_queue_has_a_bound(queued: int, outcome: str) -> None:
    """As many may wait as the rules say, not one more."""
    assert given(None).when(submit(), queued=queued).decision.outcome == outcome.partition(":")[0]


def test_a_repeat_is_answered_even_when_the_queue_is_full() -> None:
    """It adds nothing to it."""
    given("queued").when(SUBMIT, queued=10).then("duplicate: already_submitted", status="queued")


@pytest.mark.parametrize("command", [submit, cancel, delete])
@pytest.mark.parametrize(
    ("issued_at", "is_expired"),
    [
        ("2025-12-06T10:00:00Z", False),  # 30 days before it arrived, to the millisecond
        ("2025-12-06T09:59:59.999Z", True),
        ("2026-01-05T11:00:00Z", False),  # a producer's clock may be ahead
    ],
)
def test_a_command_from_before_the_dedup_window_is_expired(command: Any, issued_at: str, is_expired: bool) -> None:
    """Nobody remembers whether it was carried out. Counted back from when Kafka took it, not from when it is read."""
    decision = given(None).when(command(issued_at=issued_at)).decision
    assert (decision.outcome == "expired") == is_expired


@pytest.mark.parametrize("command", [submit, cancel, delete])
def test_age_does_not_matter_where_a_state_tells(command: Any) -> None:
    """A known run answers its repeats however old they are."""
    assert given("running").when(command(issued_at="2020-01-01")).decision.outcome != "expired"


# --- failing and folding ----------------------------------------------------------------------------------------------


def test_a_failure_has_its_reason_and_a_bounded_text() -> None:
    """A strategy's traceback may be long."""
    run = given("running")
    assert run.state is not None
    after = run.appended(*fail(ID, run.state, FailureReason.STRATEGY_RAISED, "x" * 10_000))
    event = after.events[-1]
    assert (event.reason, len(event.detail)) == ("strategy_raised", MAX_DETAIL)  # type: ignore[union-attr]
    assert after.state is not None and after.state.status == "failed"


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_finished_run_cannot_fail(status: str) -> None:
    """Nothing is appended after a terminal event."""
    run = given(status)
    assert run.state is not None
    with pytest.raises(AssertionError, match="after a terminal event"):
        fail(ID, run.state, FailureReason.CRASHED, "")


def test_progress_makes_the_present_attempt_the_first_again() -> None:
    """Only starts that lead nowhere count towards `crashed`."""
    state = given("running").state
    assert state is not None
    tried = RunState(status=RunStatus.RUNNING, submitted_digest="", number=1, sequence=1, attempts=3)
    assert advance(tried, Head(2, 2, Digest("e" * 64))).attempts == 1
    assert advance(state, Head(2, 2, Digest("e" * 64))).attempts == 0


def test_an_imported_result_is_one_commit_that_begins_at_its_manifest() -> None:
    """The chain's first parent is the manifest's digest, and the event has all that the read model needs."""
    run = given(None).when(bring_in(submitter="archivist")).then("accepted", "BacktestImported", status="completed").run
    (event,) = run.events
    assert isinstance(event, BacktestImported) and run.head is not None and run.head.number == 1
    assert (event.submitter, event.manifest_digest, event.content_digest) == ("archivist", "b" * 64, "1" * 64)
    assert event.result["metrics"] == {} and event.result["tags"] == [], "every default is explicit"
    assert run.state is not None and len(encode_state(run.state)) <= 200


def test_an_import_before_the_dedup_window_is_expired() -> None:
    """Nobody remembers whether it was answered."""
    given(None).when(bring_in(issued_at="2025-11-01T00:00:00Z")).then("expired: too_old", status=None)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("content_sha256", "x", "content_sha256"),
        ("result", {}, "result.engine: nothing is not allowed: this field is required"),
        ("result", {**bring_in()["result"], "pnl": "much"}, "result.pnl: 'much' is not allowed"),
        ("result", {**bring_in()["result"], "metrics": {"x": "y" * 140_000}}, "result: 1.* bytes .* at most 131072"),
    ],
)
def test_a_wrong_import_is_refused_by_its_field(field: str, value: object, said: str) -> None:
    """As every command is."""
    with pytest.raises(SchemaError, match=said):
        parse_command(bring_in(**{field: value}))


@for_all(
    st.sampled_from([RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.FAILED]),
    st.integers(1, 10**9),
    st.integers(1, 10**10),
    st.integers(0, 2**43),
)
def test_a_finished_run_needs_at_most_200_bytes(status: RunStatus, number: int, sequence: int, finished_at_ms: int) -> None:
    """So that millions of them fit a partition's state; whatever its state held while it ran."""
    long = RunState(
        status=RunStatus.RUNNING, submitted_digest="a" * 64, number=1, sequence=1, digest="b" * 64, priority=-100,
        accepted_offset=2**40, attempts=3, code_digest="c" * 64, strategy_digest="d" * 64, data_version=9,
        data_digest="e" * 64, finished_at_ms=finished_at_ms,
    )  # fmt: skip
    state = finished(long, Head(number, sequence, Digest("f" * 64)), status)
    dated = RunState(
        status=state.status, submitted_digest=state.submitted_digest, number=state.number, sequence=state.sequence,
        finished_at_ms=finished_at_ms,
    )  # fmt: skip
    assert state.finished_at_ms is None and state.submitted_digest == "a" * 64
    assert len(encode_state(dated)) <= 200


# --- any sequence -----------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.sampled_from(["submit", "other", "cancel", "old submit", "start", "progress", "complete", "fail"]), max_size=25
)
DOCUMENTS = {
    "submit": SUBMIT,
    "other": OTHER,
    "cancel": CANCEL,
    "old submit": submit(issued_at="2020-01-01"),
}


@settings(max_examples=150)
@for_all(STEPS)
def test_no_sequence_of_commands_and_results_breaks_the_rules(steps: list[str]) -> None:
    """One acceptance at most, nothing after a terminal event, and the state always is the fold of the log."""
    run = Run()
    for step in steps:
        run = _step(run, step)
        accepted = [event for event in run.events if isinstance(event, BacktestAccepted)]
        ends = [place for place, event in enumerate(run.events, start=1) if isinstance(event, TERMINAL_EVENTS)]
        assert len(accepted) == (1 if run.state else 0)
        assert ends in ([], [len(run.events)])
        if run.state is not None:
            assert run.state.status.is_finished == bool(ends)
            assert (run.state.sequence, run.state.number) == (run.events[-1].sequence, run.head and run.head.number)


def _step(run: Run, step: str) -> Run:
    if step in DOCUMENTS:
        return run.when(DOCUMENTS[step]).run
    state = run.state
    if state is None or state.status.is_finished:
        return run  # no simulation of such a run is under way
    if step == "fail":
        return run.appended(*fail(ID, state, FailureReason.CRASHED, "killed"))
    if state.status is RunStatus.QUEUED:
        return run.simulated(started(run.next)) if step == "start" else run
    return {
        "start": lambda: run,
        "progress": lambda: run.simulated(progressed(run.next), progressed(run.next + 1)),
        "complete": lambda: run.simulated(progressed(run.next), completed(run.next + 1)),
    }[step]()
