"""This module checks a result that another system computed: all that can be said of it but that its numbers are right."""

from collections.abc import Sequence

from adapters.ports import BlobStore
from adapters.run_log import StoredCommit
from backtape.proof.rerun import Finding, Verdict
from schemas.commit import Author, ChainError, Head, encode_commit, follow
from schemas.events import BacktestImported
from schemas.ids import BacktestId, Digest
from snapshots.blobs import manifest_key
from snapshots.verify_import import verify_import

RERUN = "re-run"  # the one check that an imported result can't pass


def imported_event(commits: Sequence[StoredCommit]) -> BacktestImported | None:
    """Return the event of an imported result's log; None: it is the log of a run."""
    first = commits[0].commit.events[0]
    return first if isinstance(first, BacktestImported) else None


def check_import_chain(backtest_id: str, commits: Sequence[StoredCommit], event: BacktestImported) -> Finding:
    """Check that the log is one commit whose parent is the digest of the manifest, in the bytes that follow from its event."""
    (stored, *rest), start = commits, Head.start(Digest(event.manifest_digest))
    if rest or stored.commit.backtest_id != backtest_id or len(stored.commit.events) != 1:
        events = sum(len(each.commit.events) for each in commits)
        return Finding("chain", Verdict.DIFFERENT, f"the log of an import is one event of its own, not {events}")
    try:
        head = follow(start, stored.commit, stored.body)
    except ChainError as error:
        return Finding("chain", Verdict.DIFFERENT, str(error))
    if encode_commit(BacktestId(backtest_id), start, Author.OWNER, [event]).body != stored.body:
        return Finding("chain", Verdict.DIFFERENT, "commit 1 is not the encoding of its own event")
    return Finding("chain", Verdict.PROVEN, f"1 commits, 1 events, head {head.digest}, from the manifest {event.manifest_digest}")


def check_import_files(store: BlobStore, backtest_id: str, event: BacktestImported, *, is_announced: bool) -> Finding:
    """Compare manifest, files and rows with the event and the original document, which is read again."""
    if not is_announced and store.head(manifest_key(backtest_id)) is None:
        return Finding("Parquet", Verdict.NOT_TRIED, "its manifest is not in its place yet: the compactor puts it there")
    found = verify_import(store, backtest_id, event)
    if found is not None:
        return Finding("Parquet", Verdict.DIFFERENT, found)
    told = "manifest and files have their digests, and every row is what the original document says"
    return Finding("Parquet", Verdict.PROVEN, f"{told} (SHA-256 {event.content_digest})")


def not_provable(event: BacktestImported) -> Finding:
    """Say what nobody can check here."""
    engine = event.result.get("engine", {})
    name = " ".join(str(each) for each in (engine.get("name"), engine.get("version")) if each)
    detail = f"imported, not provable: {name} computed it, and it is not run here. That its numbers are right is not known"
    return Finding(RERUN, Verdict.NOT_TRIED, detail)
