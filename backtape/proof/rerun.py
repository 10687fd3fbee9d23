"""This module proves a run's log: its chain, its owner's commits, and the simulation, run again and compared byte for byte."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from adapters.run_log import StoredCommit
from consumers.simulation.frames import AnyFrame, Committed, DataReady, Failed, Job, Resolved, Waiting
from consumers.simulation.runner import Runner
from schemas.canonical import document_digest
from schemas.commit import Author, ChainError, Commit, Head, decode_commit, encode_commit, follow
from schemas.events import BacktestAccepted, BacktestCancelled, BacktestCompleted, BacktestFailed, BacktestStarted, FailureReason
from schemas.ids import BacktestId, Digest, sha256

# A re-run gives these again; the others come from the machine (time, memory, kills) and leave a prefix to be proven.
REPEATABLE = (
    FailureReason.UNKNOWN_DATASET,
    FailureReason.UNKNOWN_SYMBOL,
    FailureReason.NO_DATA_IN_RANGE,
    FailureReason.STRATEGY_RAISED,
)


class Verdict(StrEnum):
    """What a check found."""

    PROVEN = "proven"
    DIFFERENT = "different"
    NOT_TRIED = "not_tried"  # what it needs is not at hand


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check, in words."""

    check: str
    verdict: Verdict
    detail: str


def check_chain(backtest_id: str, commits: Sequence[StoredCommit]) -> Finding:
    """Check numbers, sequences and parents from the spec's digest to the head, and that nothing follows the end."""
    first = commits[0].commit.events[0]
    if not isinstance(first, BacktestAccepted):
        return _different("chain", f"the first event is {type(first).__name__}, not BacktestAccepted")
    digest = document_digest(first.spec)
    if digest != first.spec_digest:
        return _different("chain", f"the recorded spec has digest {digest}, its event says {first.spec_digest}")
    head = Head.start(Digest(digest))
    for stored in commits:
        if stored.commit.backtest_id != backtest_id:
            return _different("chain", f"commit {stored.commit.number} names backtest {stored.commit.backtest_id!r}")
        try:
            head = follow(head, stored.commit, stored.body)
        except ChainError as error:
            return _different("chain", f"{error} (partition {stored.record.partition}, offset {stored.record.offset})")
    return Finding("chain", Verdict.PROVEN, f"{len(commits)} commits, {head.sequence} events, head {head.digest}")


def check_owner(commits: Sequence[StoredCommit]) -> Finding:
    """Check that the owner's commits hold what an owner may write, where it may, in the bytes that follow from it."""
    head = Head.start(Digest(commits[0].commit.parent))
    for stored in commits:
        commit = stored.commit
        if commit.author is Author.OWNER:
            allowed = {1: BacktestAccepted, 2: BacktestStarted}.get(commit.number)
            last = commit.events[-1]
            is_end = isinstance(last, BacktestCancelled | BacktestFailed)
            if len(commit.events) != 1 or not (is_end or (allowed is not None and isinstance(last, allowed))):
                return _different("owner", f"commit {commit.number} by the owner holds {_types(commit)}")
            if encode_commit(BacktestId(commit.backtest_id), head, Author.OWNER, commit.events).body != stored.body:
                return _different("owner", f"commit {commit.number} is not the encoding of its own event")
        head = Head(commit.number, commit.last_sequence, sha256(stored.body))
    return Finding("owner", Verdict.PROVEN, "Accepted, Started and the end are what their causes give")


async def check_rerun(runner: Runner, commits: Sequence[StoredCommit]) -> Finding:
    """Simulate again and compare every commit's bytes; the first difference is told in words."""
    accepted = commits[0].commit.events[0]
    assert isinstance(accepted, BacktestAccepted), "the chain was checked"
    rest = list(commits[1:])
    started = rest[0].commit.events[0] if rest else None
    last = commits[-1].commit.events[-1]
    if not isinstance(started, BacktestStarted) and not isinstance(last, BacktestFailed):
        return Finding("re-run", Verdict.PROVEN, "it ended before its simulation began: there is nothing to run again")
    head = Head(1, 1, sha256(commits[0].body))
    job = Job(
        backtest_id=commits[0].commit.backtest_id,
        spec=accepted.spec,
        accepted=head,
        known=head,
        data_version=started.dataset_version if isinstance(started, BacktestStarted) else None,
        data_digest=started.data_digest if isinstance(started, BacktestStarted) else None,
    )
    return await _compare(runner, job, rest, Code.recorded(commits))


@dataclass(frozen=True, slots=True)
class Code:
    """What a log was made by, as the headers of its first commits say; None: they do not say."""

    engine: str | None
    strategy: str | None

    @classmethod
    def recorded(cls, commits: Sequence[StoredCommit]) -> "Code":
        def header(name: str) -> str | None:
            return next((found for stored in commits[:2] if (found := stored.header(name))), None)

        return cls(header("code"), header("strategy"))

    def difference(self, at_hand: Resolved | None) -> str | None:
        """Say how the code at hand is another one; None: it is not, as far as is known."""
        if at_hand is None:
            return None
        for what, was, this in (
            ("code", self.engine, at_hand.code_digest),
            ("a strategy of code", self.strategy, at_hand.strategy_digest),
        ):
            if was is not None and was != this:
                return f"recorded by {what} {was}, this is {this}"
        return None


async def _compare(runner: Runner, job: Job, rest: list[StoredCommit], recorded: Code) -> Finding:
    simulation = await runner.start(job)
    at_hand: Resolved | None = None
    compared = 0
    try:
        expected = [stored for stored in rest if not isinstance(stored.commit.events[-1], BacktestCancelled | BacktestFailed)]
        end = rest[-1].commit.events[-1]
        while compared < len(expected) or _must_see_failure(end):
            frame = await simulation.next()
            finding = _judge(frame, expected, compared, end, recorded, at_hand)
            if finding is not None:
                return finding
            if isinstance(frame, Resolved):
                at_hand = frame
            if isinstance(frame, Committed):
                compared += 1
        return _proven(compared, end)
    finally:
        simulation.kill()


def _must_see_failure(end: object) -> bool:
    return isinstance(end, BacktestFailed) and end.reason in REPEATABLE


def _judge(
    frame: AnyFrame | None, expected: list[StoredCommit], compared: int, end: object, recorded: Code, at_hand: Resolved | None
) -> Finding | None:
    """Return a finding that ends the comparison, or None to go on."""
    match frame:
        case DataReady() | Resolved():
            return None
        case Waiting():
            return Finding("re-run", Verdict.NOT_TRIED, f"the data is out of reach: {frame.detail}")
        case None:
            return _different("re-run", f"the re-run's process ended after {compared} of {len(expected)} commits")
        case Failed():
            if (
                compared == len(expected)
                and isinstance(end, BacktestFailed)
                and (end.reason, end.detail) == (frame.reason, frame.detail)
            ):
                return _proven(compared, end)
            if frame.reason in (FailureReason.DATA_CHANGED, FailureReason.UNKNOWN_DATASET, FailureReason.DATA_DIGEST_MISMATCH):
                return Finding("re-run", Verdict.NOT_TRIED, f"the data it was recorded with is not at hand: {frame.detail}")
            fails = f"the re-run fails after {compared} commits: {frame.reason}: {frame.detail}"
            if at_hand is None:  # the strategy could not even be made
                return Finding("re-run", Verdict.NOT_TRIED, f"the code it was recorded with is not at hand: {frame.detail}")
            if other := recorded.difference(at_hand):
                return Finding("re-run", Verdict.NOT_TRIED, f"{other}; {fails}")
            return _different("re-run", fails)
        case Committed():
            if compared >= len(expected):
                return _different("re-run", f"the re-run goes on with commit {frame.number} where the log has failed")
            stored = expected[compared]
            if frame.body == stored.body:
                return None
            if other := recorded.difference(at_hand):
                return Finding("re-run", Verdict.NOT_TRIED, f"{other}; the bytes differ")
            return _different("re-run", first_difference(stored.commit, decode_commit(frame.body)))
    raise AssertionError(f"a frame of unknown kind: {frame!r}")


def _proven(compared: int, end: object) -> Finding:
    if isinstance(end, BacktestCompleted):
        return Finding("re-run", Verdict.PROVEN, f"{compared} commits are the same byte for byte")
    return Finding("re-run", Verdict.PROVEN, f"{compared} commits before the end are the same byte for byte")


def first_difference(recorded: Commit, again: Commit) -> str:
    """Say where two commits first differ: commit, event, field, both values."""
    for name in ("backtest_id", "number", "first_sequence", "author", "parent"):
        ours, theirs = getattr(recorded, name), getattr(again, name)
        if ours != theirs:
            return f"commit {recorded.number}: {name} is recorded as {ours}, the re-run gives {theirs}"
    for ours, theirs in zip(recorded.events, again.events, strict=False):
        if ours == theirs:
            continue
        where = f"commit {recorded.number}, sequence {ours.sequence}, {type(ours).__name__}"
        if type(ours) is not type(theirs):
            return f"{where}: the re-run gives {type(theirs).__name__}"
        for name in ours.__struct_fields__:
            if getattr(ours, name) != getattr(theirs, name):
                return f"{where}: {name} is recorded as {getattr(ours, name)}, the re-run gives {getattr(theirs, name)}"
    if len(recorded.events) != len(again.events):
        return f"commit {recorded.number}: {len(recorded.events)} events are recorded, the re-run gives {len(again.events)}"
    return f"commit {recorded.number}: the same content in other bytes"


def _different(check: str, detail: str) -> Finding:
    return Finding(check, Verdict.DIFFERENT, detail)


def _types(commit: Commit) -> str:
    return ", ".join(type(event).__name__ for event in commit.events)
