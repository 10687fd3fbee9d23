"""This module decides what a command does to a run, and how a run's state follows from its commits.

``decide`` answers every command on every state: with a receipt's outcome, and with the events that are its effect.
``evolve`` folds a commit into the state. Both are pure; what they need to know is passed in.

    state       submit, same spec    submit, other spec   cancel                         delete
    (none)      accepted             accepted             rejected: unknown_backtest     accepted -> deleted
    queued      duplicate            rejected: other_spec accepted -> BacktestCancelled  rejected: not_finished
    running     duplicate            rejected: other_spec accepted -> BacktestCancelled  rejected: not_finished
    completed   duplicate            rejected: other_spec rejected: already_finished     accepted -> deleted
    failed      duplicate            rejected: other_spec rejected: already_finished     accepted -> deleted
    cancelled   duplicate            rejected: other_spec duplicate                      accepted -> deleted
    deleted     rejected: deleted    rejected: deleted    rejected: deleted              duplicate

An import of a result is accepted where there is no state: one BacktestImported, and the backtest is completed. The same content
again is a duplicate; any other state means that the id is taken.

A command issued before the dedup window is expired where no state tells what became of it. No state also means that the run ended
before that window: it can't be open, so that it can be deleted (docs/decisions/0007).
"""

from dataclasses import dataclass
from typing import Any, assert_never

import msgspec

from schemas.canonical import document_digest
from schemas.commands import CancelBacktest, DeleteBacktest, ImportBacktest, ParsedCommand, SubmitBacktest
from schemas.commit import Author, EncodedCommit, Head, encode_commit
from schemas.errors import FieldError
from schemas.events import (
    AnyEvent,
    BacktestAccepted,
    BacktestCancelled,
    BacktestCompleted,
    BacktestFailed,
    BacktestImported,
    BacktestStarted,
    FailureReason,
)
from schemas.ids import BacktestId, Digest
from schemas.receipts import Outcome, Reason
from schemas.run_state import RunState, RunStatus
from schemas.strategies import Catalogue, complete_parameters
from schemas.times import parse_time

DAY_MS = 86_400_000
MAX_ATTEMPTS = 3  # starts without a new commit; the run is then failed as crashed
MAX_DETAIL = 4_000  # characters of a failure's text


@dataclass(frozen=True, slots=True)
class IntakeRules:
    """What intake knows beside the run's state."""

    catalogue: Catalogue
    dedup_days: float = 30.0
    max_queued: int = 100_000


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one command: what its receipt says, and its effect. A deletion changes the state without a commit."""

    outcome: Outcome
    reason: Reason | None = None
    detail: str = ""
    commit: EncodedCommit | None = None
    state: RunState | None = None  # after it, where it changes


def decide(state: RunState | None, parsed: ParsedCommand, rules: IntakeRules, *, received_ms: int, queued: int) -> Decision:
    """Answer a command.

    received_ms : the command record's timestamp; the dedup window is counted back from it
    queued : runs of this partition that are waiting to start
    """
    command = parsed.command
    match command:
        case SubmitBacktest():
            if state is not None:
                return _repeated_submit(state, parsed)
            if _is_too_old(command.issued_at, received_ms, rules):
                return _expired(command.issued_at, rules)
            return _submit(parsed, command, rules, queued)
        case CancelBacktest():
            if state is None and _is_too_old(command.issued_at, received_ms, rules):
                return _expired(command.issued_at, rules)
            return _cancel(state, command)
        case DeleteBacktest():
            if state is None and _is_too_old(command.issued_at, received_ms, rules):
                return _expired(command.issued_at, rules)
            return _delete(state, rules)
        case ImportBacktest():
            if state is not None:
                return _repeated_import(state, parsed)
            if _is_too_old(command.issued_at, received_ms, rules):
                return _expired(command.issued_at, rules)
            return _import(command)
        case _:
            assert_never(command)


def _is_too_old(issued_at: str, received_ms: int, rules: IntakeRules) -> bool:
    return parse_time(issued_at) // 1_000_000 < received_ms - rules.dedup_days * DAY_MS


def _expired(issued_at: str, rules: IntakeRules) -> Decision:
    return Decision(
        Outcome.EXPIRED, Reason.TOO_OLD, f"issued_at {issued_at} is more than {rules.dedup_days:g} days before it arrived"
    )


def _repeated_submit(state: RunState, parsed: ParsedCommand) -> Decision:
    if state.status is RunStatus.DELETED:
        return Decision(Outcome.REJECTED, Reason.DELETED, "a backtest of this id was deleted: choose another id")
    if state.submitted_digest != parsed.submitted_digest:
        detail = f"this id was submitted with another spec (digest {state.submitted_digest}, now {parsed.submitted_digest})"
        return Decision(Outcome.REJECTED, Reason.OTHER_SPEC, detail)
    match state.status:
        case RunStatus.QUEUED | RunStatus.RUNNING:
            reason = Reason.ALREADY_SUBMITTED
        case RunStatus.CANCELLED:
            reason = Reason.ALREADY_CANCELLED
        case RunStatus.COMPLETED | RunStatus.FAILED:
            reason = Reason.ALREADY_FINISHED
        case _:
            assert_never(state.status)
    return Decision(Outcome.DUPLICATE, reason, f"the backtest is {state.status}")


def _submit(parsed: ParsedCommand, command: SubmitBacktest, rules: IntakeRules, queued: int) -> Decision:
    card = rules.catalogue.get(command.spec.strategy.name)
    if card is None:
        known = ", ".join(sorted(rules.catalogue))
        detail = f"spec.strategy.name: {command.spec.strategy.name!r} is not allowed: one of {known}"
        return Decision(Outcome.REJECTED, Reason.UNKNOWN_STRATEGY, detail)
    try:
        parameters = complete_parameters(card, command.spec.strategy.parameters)
    except FieldError as error:
        return Decision(Outcome.REJECTED, Reason.INVALID_PARAMETER, str(error))
    if queued >= rules.max_queued:
        return Decision(Outcome.QUEUE_FULL, Reason.QUEUE_FULL, f"{queued} runs are waiting; at most {rules.max_queued} may")
    assert parsed.submitted_digest is not None, "a submit has a spec"
    recorded = command.spec.recorded()
    recorded["strategy"]["parameters"] = parameters
    accepted = accept(command, recorded, parsed.submitted_digest)
    commit = encode_commit(BacktestId(command.backtest_id), Head.start(Digest(accepted.spec_digest)), Author.OWNER, [accepted])
    state = RunState(
        status=RunStatus.QUEUED,
        submitted_digest=parsed.submitted_digest,
        priority=command.priority,
        number=commit.head.number,
        sequence=commit.head.sequence,
        digest=commit.head.digest,
    )
    return Decision(Outcome.ACCEPTED, commit=commit, state=state)


def accept(command: SubmitBacktest, recorded: dict[str, Any], submitted_digest: Digest) -> BacktestAccepted:
    """Return the first event of a run."""
    return BacktestAccepted(
        sequence=1,
        time_ns=0,
        command_id=command.command_id,
        issued_at=command.issued_at,
        spec=recorded,
        spec_digest=document_digest(recorded),
        submitted_digest=submitted_digest,
        submitter=command.submitter,
        priority=command.priority,
    )


def _cancel(state: RunState | None, command: CancelBacktest) -> Decision:
    if state is None:
        return Decision(Outcome.REJECTED, Reason.UNKNOWN_BACKTEST, f"no backtest {command.backtest_id} was accepted")
    match state.status:
        case RunStatus.CANCELLED:
            return Decision(Outcome.DUPLICATE, Reason.ALREADY_CANCELLED, "the backtest is cancelled")
        case RunStatus.COMPLETED | RunStatus.FAILED:
            return Decision(Outcome.REJECTED, Reason.ALREADY_FINISHED, f"the backtest is {state.status}")
        case RunStatus.DELETED:
            return Decision(Outcome.REJECTED, Reason.DELETED, "the backtest was deleted")
        case RunStatus.QUEUED | RunStatus.RUNNING:
            event = BacktestCancelled(
                sequence=state.sequence + 1, time_ns=0, command_id=command.command_id, reason=command.reason
            )
            commit = encode_commit(BacktestId(command.backtest_id), state.head, Author.OWNER, [event])
            return Decision(Outcome.ACCEPTED, commit=commit, state=evolve(state, commit, event))
        case _:
            assert_never(state.status)


def _delete(state: RunState | None, rules: IntakeRules) -> Decision:
    if state is None:
        detail = f"no run of this id is remembered: if there was one, it ended more than {rules.dedup_days:g} days ago"
        return Decision(
            Outcome.ACCEPTED, detail=detail, state=RunState(status=RunStatus.DELETED, submitted_digest="", number=0, sequence=0)
        )
    match state.status:
        case RunStatus.QUEUED | RunStatus.RUNNING:
            return Decision(Outcome.REJECTED, Reason.NOT_FINISHED, f"the backtest is {state.status}: cancel it first")
        case RunStatus.DELETED:
            return Decision(Outcome.DUPLICATE, Reason.DELETED, "the backtest was deleted")
        case RunStatus.COMPLETED | RunStatus.FAILED | RunStatus.CANCELLED:
            return Decision(Outcome.ACCEPTED, state=msgspec.structs.replace(state, status=RunStatus.DELETED))
        case _:
            assert_never(state.status)


def _repeated_import(state: RunState, parsed: ParsedCommand) -> Decision:
    if state.status is RunStatus.DELETED:
        return Decision(Outcome.REJECTED, Reason.DELETED, "a backtest of this id was deleted: choose another id")
    if state.submitted_digest == parsed.submitted_digest:
        return Decision(Outcome.DUPLICATE, Reason.ALREADY_IMPORTED, "this result was imported before")
    others = f"(digest {state.submitted_digest}, now {parsed.submitted_digest})"
    detail = f"the id belongs to a run, or to a result of other content {others}"
    return Decision(Outcome.REJECTED, Reason.ID_TAKEN, detail)


def _import(command: ImportBacktest) -> Decision:
    """Record a result of another system: its log is this one commit, whose parent is the digest of its manifest."""
    event = imported(command)
    commit = encode_commit(BacktestId(command.backtest_id), Head.start(Digest(event.manifest_digest)), Author.OWNER, [event])
    state = RunState(status=RunStatus.COMPLETED, submitted_digest=event.content_digest, number=1, sequence=1)
    return Decision(Outcome.ACCEPTED, commit=commit, state=state)


def imported(command: ImportBacktest) -> BacktestImported:
    """Return the only event of an imported result."""
    return BacktestImported(
        sequence=1,
        time_ns=0,
        command_id=command.command_id,
        issued_at=command.issued_at,
        content_digest=command.content_sha256,
        manifest_digest=command.manifest_sha256,
        batch_key=command.batch_key,
        result=command.result.model_dump(mode="json"),
        submitter=command.submitter,
    )


def fail(backtest_id: BacktestId, state: RunState, reason: FailureReason, detail: str) -> tuple[EncodedCommit, RunState]:
    """Return the owner's commit that ends a run without a result, and the state after it."""
    assert not state.status.is_finished, "nothing is appended after a terminal event"
    event = BacktestFailed(sequence=state.sequence + 1, time_ns=0, reason=reason, detail=detail[:MAX_DETAIL])
    commit = encode_commit(backtest_id, state.head, Author.OWNER, [event])
    return commit, evolve(state, commit, event)


def evolve(state: RunState, commit: EncodedCommit, last_event: AnyEvent) -> RunState:
    """Return the state after a commit, of which only the last event can change the status."""
    status = _status_after(state.status, last_event)
    if status.is_finished:
        return finished(state, commit.head, status)
    return advance(state, commit.head, status)


def _status_after(status: RunStatus, event: AnyEvent) -> RunStatus:
    match event:
        case BacktestCompleted() | BacktestImported():
            return RunStatus.COMPLETED
        case BacktestCancelled():
            return RunStatus.CANCELLED
        case BacktestFailed():
            return RunStatus.FAILED
        case BacktestStarted():
            return RunStatus.RUNNING
        case _:
            return status


def advance(state: RunState, head: Head, status: RunStatus = RunStatus.RUNNING) -> RunState:
    """Return the state of a run whose log has grown to ``head``. Progress makes the present attempt the first again."""
    return msgspec.structs.replace(
        state, status=status, number=head.number, sequence=head.sequence, digest=head.digest, attempts=min(state.attempts, 1)
    )


def finished(state: RunState, head: Head, status: RunStatus) -> RunState:
    """Return what is kept of a finished run: enough to recognise repeats, below 200 bytes."""
    return RunState(status=status, submitted_digest=state.submitted_digest, number=head.number, sequence=head.sequence)
