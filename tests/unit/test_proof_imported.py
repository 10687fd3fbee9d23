"""Audits of imported results: what is checked, what is said not to be provable, and the exit codes."""

from __future__ import annotations

import dataclasses

import pytest

from adapters.memory_blobs import MemoryBlobStore
from adapters.ports import Record
from adapters.run_log import StoredCommit
from backtape.cli.audit import exit_code
from backtape.proof.audit import Audit
from backtape.proof.imported import check_import_chain, check_import_files, imported_event, not_provable
from backtape.proof.rerun import Finding, Verdict
from schemas.commit import Author, Head, decode_commit, encode_commit
from schemas.events import BacktestImported
from schemas.ids import BacktestId, Digest
from snapshots.imports import Batches, place_manifest, write_batch
from tests.factories import finished_log
from tests.legacy_results import document_of, event_of

STORE = MemoryBlobStore()
BATCH = write_batch(STORE, "import-1", [document_of(1)])
EVENT = event_of(BATCH, BATCH.waiting[0])


def stored(body: bytes) -> StoredCommit:
    return StoredCommit(decode_commit(body), body, Record("t.events", 0, 0, 0, b"old-1", body))


def commit_of(event: BacktestImported, parent: str = EVENT.manifest_digest, author: Author = Author.OWNER) -> StoredCommit:
    return stored(encode_commit(BacktestId("old-1"), Head.start(Digest(parent)), author, [event]).body)


def test_an_imported_log_is_told_from_a_runs() -> None:
    assert imported_event([commit_of(EVENT)]) == EVENT
    assert imported_event([stored(body) for body in finished_log().bodies]) is None


def test_the_chain_begins_at_the_manifest() -> None:
    """In the bytes that follow from the event; nothing else is in the log."""
    good = commit_of(EVENT)
    assert check_import_chain("old-1", [good], EVENT).verdict is Verdict.PROVEN
    other = commit_of(EVENT, parent="0" * 64)
    assert "names parent" in check_import_chain("old-1", [other], EVENT).detail
    spaced = dataclasses.replace(good, body=good.body + b" ")
    by_simulation = commit_of(EVENT, author=Author.SIMULATION)
    for wrong in ([good, good], [spaced], [by_simulation]):
        assert check_import_chain("old-1", wrong, EVENT).verdict is Verdict.DIFFERENT
    assert check_import_chain("old-2", [good], EVENT).verdict is Verdict.DIFFERENT


def test_files_are_compared_once_the_manifest_is_in_its_place() -> None:
    """Before that it can't be tried; where the manifest was announced, it must be there."""
    store = MemoryBlobStore()
    batch = write_batch(store, "import-1", [document_of(1)])
    assert check_import_files(store, "old-1", EVENT, is_announced=False).verdict is Verdict.NOT_TRIED
    assert "is missing" in check_import_files(store, "old-1", EVENT, is_announced=True).detail
    place_manifest(store, Batches(store), "old-1", EVENT)
    assert check_import_files(store, "old-1", EVENT, is_announced=True).verdict is Verdict.PROVEN
    store.put(batch.waiting[0].manifest.files[0].key, b"other")
    assert check_import_files(store, "old-1", EVENT, is_announced=True).verdict is Verdict.DIFFERENT


def audit(*verdicts: Verdict, is_imported: bool = False) -> Audit:
    findings = tuple(Finding(f"check-{place}", verdict, "") for place, verdict in enumerate(verdicts))
    return Audit("b", (*findings, not_provable(EVENT)) if is_imported else findings, is_imported=is_imported)


PROVEN, DIFFERENT, NOT_TRIED = Verdict.PROVEN, Verdict.DIFFERENT, Verdict.NOT_TRIED
INTACT = audit(PROVEN, is_imported=True)


@pytest.mark.parametrize(
    ("audits", "of_all", "code"),
    [
        ([INTACT], False, 2),  # somebody asked for it: it is not proven
        ([INTACT], True, 0),  # nobody did, and nothing is wrong
        ([INTACT, audit(PROVEN)], True, 0),
        ([INTACT, audit(NOT_TRIED)], True, 2),
        ([audit(DIFFERENT, is_imported=True)], True, 1),
        ([audit(NOT_TRIED, is_imported=True)], True, 2),  # its files are out of reach: that is another matter
        ([audit(PROVEN), audit(DIFFERENT)], True, 1),
    ],
)
def test_an_imported_result_is_never_proven_and_spoils_no_nightly_audit(audits: list[Audit], of_all: bool, code: int) -> None:
    """The exit code of one, and of all."""
    assert exit_code(audits, of_all=of_all) == code


def test_it_says_plainly_that_it_cannot_be_proven() -> None:
    assert INTACT.is_intact and INTACT.verdict is NOT_TRIED
    assert INTACT.summary.startswith("not_tried (re-run: imported, not provable: zipline 1.4.1 computed it")
