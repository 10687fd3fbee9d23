"""An import from documents to the log, with a real worker on the memory log: once, whatever dies, and by --resume from there."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.documents import open_documents
from adapters.memory_blobs import MemoryBlobStore
from consumers.importer.job import Destination, ImportJob
from consumers.importer.registry import Answer, Known
from consumers.importer.report import ImportReport
from schemas.events import BacktestImported
from snapshots.blobs import IMPORTS
from snapshots.imports import Batches, place_manifest
from snapshots.verify_import import verify_import
from tests.legacy_results import BROKEN, DAMAGES, damaged, legacy
from tests.unit.snapshots.test_compactor import Died, Fuse, FusedStore
from tests.unit.worker.harness import Member, System, delete, submit

GOOD = 7


class WorkerRegistry:
    """The registry of a system: its worker answers, its log says what is known. ``fuse`` ends the importer's life, not theirs."""

    def __init__(self, member: Member, fuse: Fuse | None = None) -> None:
        self.member = member
        self.fuse = fuse or Fuse()
        self.sent = 0

    async def known(self, backtest_ids: Sequence[str]) -> dict[str, Known]:
        self.fuse.call(lambda: None)
        found = {}
        for backtest_id in backtest_ids:
            state = self.member.system.state(backtest_id)
            if state is None:
                continue
            is_imported = self.member.system.story(backtest_id) == ["BacktestImported"]
            origin = "deleted" if state.status == "deleted" else "imported" if is_imported else "run"
            found[backtest_id] = Known(origin, state.submitted_digest if origin == "imported" else None)
        return found

    async def send(self, commands: Sequence[dict[str, Any]]) -> list[Answer]:
        answers = []
        for command in commands:
            system, before = self.member.system, len(self.member.system.receipts)
            self.fuse.call(system.send, command)
            await self.member.until(lambda before=before: len(self.member.system.receipts) > before)
            receipt = system.receipts[-1]
            self.sent += 1
            answers.append(Answer(receipt.outcome, receipt.reason, receipt.detail))
        return answers


def write_source(folder: Path, *, damages: int = len(DAMAGES)) -> int:
    """Write good documents, one a file and as lines, and one of each kind of damage; return how many are refused."""
    folder.mkdir(exist_ok=True)
    for number in range(GOOD - 3):
        (folder / f"good-{number}.json").write_text(json.dumps(legacy(number), indent=1))
    lines = [json.dumps(legacy(number)) for number in range(GOOD - 3, GOOD)]
    (folder / "lines.jsonl").write_text("\n".join([lines[0], "", lines[1], "{cut", lines[2], ""]))
    for place, kind in enumerate(list(DAMAGES)[:damages]):
        (folder / f"damaged-{place:02d}.json").write_bytes(damaged(kind, 100 + place))
    broken = list(BROKEN.values())[:damages]
    for place, (content, _, _) in enumerate(broken):
        (folder / f"broken-{place}.json").write_bytes(content)
    (folder / "notes.txt").write_text("not a document")
    return damages + len(broken) + 1


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


async def bring_in(
    source: Path, store: MemoryBlobStore, registry: WorkerRegistry, *, resumes: bool = False, batch: int = 3
) -> ImportReport:
    destination = Destination(store, registry, submitter="archivist", batch_documents=batch)
    return await ImportJob(open_documents(str(source)), destination).run(resumes=resumes)


def check(system: System, store: MemoryBlobStore, numbers: Sequence[int] = range(GOOD)) -> None:
    """Each result is in the log once, and its files are what its original says."""
    for number in numbers:
        (commit,) = system.commits(f"old-{number}")
        (event,) = commit.events
        assert isinstance(event, BacktestImported) and event.submitter == "archivist"
        place_manifest(store, Batches(store), f"old-{number}", event)
        assert verify_import(store, f"old-{number}", event) is None


async def test_every_document_is_imported_or_refused_with_its_reason(system: System, tmp_path: Path) -> None:
    """And the source is as it was."""
    refused = write_source(tmp_path)
    before = contents(tmp_path)
    worker, store = system.worker(), MemoryBlobStore()
    await worker.assign(0, 1)
    report = await bring_in(tmp_path, store, WorkerRegistry(worker))
    assert (report.imported, report.already, report.refused, report.batches) == (GOOD, 0, refused, 3)
    assert (report.documents, report.files, report.trades) == (GOOD + refused, GOOD - 3 + 1 + refused - 1, 3 * GOOD)
    by_file = {each.file: each for each in report.refusals}
    for place, (_, pointer, reason) in enumerate(DAMAGES.values()):
        found = by_file[f"damaged-{place:02d}.json"]
        assert found.pointer == pointer and reason in str(found)
    assert (by_file["lines.jsonl"].line, by_file["lines.jsonl"].pointer) == (4, "")
    assert contents(tmp_path) == before
    check(system, store)


async def test_a_second_import_changes_nothing(system: System, tmp_path: Path) -> None:
    """Everything is there already; no command is sent, no object is put."""
    write_source(tmp_path)
    worker, store = system.worker(), MemoryBlobStore()
    await worker.assign(0, 1)
    registry = WorkerRegistry(worker)
    first = await bring_in(tmp_path, store, registry)
    objects = {each.key: store.get(each.key) for each in store.list("")}
    again = await bring_in(tmp_path, store, registry)
    assert (again.imported, again.already, again.refused, registry.sent) == (0, GOOD, first.refused, GOOD)
    assert {each.key: store.get(each.key) for each in store.list("")} == objects
    assert [str(each) for each in again.refusals] == [str(each) for each in first.refusals]


async def test_an_id_is_used_once(system: System, tmp_path: Path) -> None:
    """By a run, a deleted backtest, another content, another file of the source: each is refused for its own reason."""
    worker, store = system.worker(), MemoryBlobStore()
    await worker.assign(0, 1)
    system.send(submit("old-0"))
    await worker.until(lambda: system.is_finished("old-0"))
    for number in (1, 2, 3):
        (tmp_path / f"{number}.json").write_text(json.dumps(legacy(number)))
    await bring_in(tmp_path, store, WorkerRegistry(worker))
    system.send(delete("old-1"))
    await worker.until(lambda: len(system.receipts) == 5)
    (tmp_path / "0.json").write_text(json.dumps(legacy(0)))
    (tmp_path / "2.json").write_text(json.dumps(legacy(2, tags=["changed"])))
    (tmp_path / "4.json").write_text(json.dumps(legacy(3)))  # the same as 3.json
    (tmp_path / "5.json").write_text(json.dumps(legacy(5)))
    (tmp_path / "6.json").write_text(json.dumps(legacy(5, tags=["other"])))
    report = await bring_in(tmp_path, store, WorkerRegistry(worker))
    assert (report.imported, report.already, report.refused) == (1, 2, 4)
    said = {each.file: each.allowed for each in report.refusals}
    assert all(each.pointer == "/id" for each in report.refusals)
    assert "belongs to a run" in said["0.json"] and "deleted" in said["1.json"]
    assert "imported with other content" in said["2.json"] and "5.json has it" in said["6.json"]


async def test_the_worker_decides_where_the_read_model_is_behind(system: System, tmp_path: Path) -> None:
    """What it does not know yet is refused by the receipt; a resumed import says so again."""

    class Behind(WorkerRegistry):
        async def known(self, backtest_ids: Sequence[str]) -> dict[str, Known]:
            return {}

    worker, store = system.worker(), MemoryBlobStore()
    await worker.assign(0, 1)
    system.send(submit("old-0"))
    await worker.until(lambda: system.is_finished("old-0"))
    for number in range(2):
        (tmp_path / f"{number}.json").write_text(json.dumps(legacy(number)))
    reports = [await bring_in(tmp_path, store, Behind(worker), resumes=resumes) for resumes in (False, False, True)]
    for report in reports:
        assert (report.imported, report.already, report.refused) == (1, 0, 1)
        assert "rejected (id_taken): the id belongs to a run" in report.refusals[0].allowed
    assert system.outcomes("old-1") == ["accepted", "duplicate: already_imported"], "the third import sent nothing"


@pytest.mark.parametrize("resumes", [True, False])
@pytest.mark.parametrize(("at", "after"), [(at, after) for at in range(1, 46, 3) for after in (False, True)])
async def test_an_import_that_died_goes_on(system: System, tmp_path: Path, at: int, after: bool, resumes: bool) -> None:
    """Before or after any call to the outside; with --resume, and without it."""
    refused = write_source(tmp_path, damages=1)
    worker, store = system.worker(), MemoryBlobStore()
    await worker.assign(0, 1)
    fuse = Fuse(at, after)
    with contextlib.suppress(Died):
        await bring_in(tmp_path, FusedStore(store, fuse), WorkerRegistry(worker, fuse))
    report = await bring_in(tmp_path, store, WorkerRegistry(worker), resumes=resumes)
    assert (report.imported + report.already, report.refused) == (GOOD, refused)
    check(system, store)
    outcomes = [outcome for number in range(GOOD) for outcome in system.outcomes(f"old-{number}")]
    assert set(outcomes) <= {"accepted", "duplicate: already_imported"} and outcomes.count("accepted") == GOOD


async def test_a_resumed_import_does_not_do_again_what_is_done(system: System, tmp_path: Path) -> None:
    """No command, no object; and the report is the one of an import that was not interrupted."""
    write_source(tmp_path)
    worker, store = system.worker(), MemoryBlobStore()
    await worker.assign(0, 1)
    first = await bring_in(tmp_path, store, WorkerRegistry(worker))
    fuse, registry = Fuse(), WorkerRegistry(worker)
    objects = sorted(each.key for each in store.list(""))
    again = await bring_in(tmp_path, FusedStore(store, fuse), registry, resumes=True)
    assert registry.sent == 0 and sorted(each.key for each in store.list("")) == objects
    assert (again.imported, again.resumed, again.refused, again.pnl) == (GOOD, GOOD, first.refused, first.pnl)


async def test_a_document_that_was_changed_meanwhile_is_not_taken_for_the_old_one(system: System, tmp_path: Path) -> None:
    """The journal knows the content, not the name alone."""
    write_source(tmp_path, damages=0)
    worker, store = system.worker(), MemoryBlobStore()
    await worker.assign(0, 1)
    await bring_in(tmp_path, store, WorkerRegistry(worker))
    (tmp_path / "good-1.json").write_text(json.dumps(legacy(1, tags=["changed"])))
    report = await bring_in(tmp_path, store, WorkerRegistry(worker), resumes=True)
    (refusal, _) = report.refusals  # the other one is the line that is cut off
    assert (report.imported, report.refused) == (GOOD - 1, 2)
    assert refusal.file == "good-1.json" and "imported with other content" in refusal.allowed


async def test_a_dry_run_writes_and_sends_nothing(tmp_path: Path) -> None:
    """It needs no server, and says the same."""
    refused = write_source(tmp_path)
    report = await ImportJob(open_documents(str(tmp_path)), None).run()
    assert (report.imported, report.refused, report.batches) == (GOOD, refused, 0)


async def test_files_are_found_by_their_names(tmp_path: Path) -> None:
    """Below folders, in order; what has another name is not a document; one file may be named itself."""
    (tmp_path / "b").mkdir()
    for name in ("b/2.JSON", "a.json", "c.ndjson", "d.csv"):
        (tmp_path / name).write_text(json.dumps(legacy(ord(name[0]))))
    assert open_documents(str(tmp_path)).names() == ["a.json", "b/2.JSON", "c.ndjson"]
    report = await ImportJob(open_documents(str(tmp_path / "a.json")), None).run()
    assert (report.files, report.imported) == (1, 1)


def test_a_file_that_is_too_large_or_gone_is_a_problem_of_its_own(tmp_path: Path) -> None:
    """It is not read, and the others are."""
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.json").write_text("1" * (1 if name == "a" else 100))
    documents = open_documents(str(tmp_path))
    names = documents.names()
    (tmp_path / "c.json").unlink()
    small, large, gone = documents.files(names, max_bytes=10)
    assert (small.content, small.problem) == (b"1", None)
    assert (large.content, large.problem) == (b"", "100 bytes are not allowed: at most 10")
    assert gone.problem is not None and "it can't be read: No such file" in gone.problem


def test_the_journal_lies_where_the_source_says(tmp_path: Path) -> None:
    """Another source, another journal: its name is derived, and tells nobody the folder."""
    jobs = [ImportJob(open_documents(str(tmp_path)), None) for _ in range(2)]
    assert jobs[0]._import_id == jobs[1]._import_id and str(tmp_path) not in IMPORTS + jobs[0]._import_id
