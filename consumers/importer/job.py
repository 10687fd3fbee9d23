"""This module is the import as a job: read, check, convert, write and read back, send, and note what is done.

Documents are taken in the order of their names and written in batches. For each batch: its files are put and read back; its
manifests are left as one object, which is the journal as well; the commands are sent and their receipts waited for; last it is
noted that the batch is done, with what was refused. A death between any two steps costs nothing but the work of that batch:
`--resume` goes by the journal, and without it everything is done again with the same effect, because ids, files and commands
follow from the documents.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from adapters.command_publisher import now
from adapters.documents import Documents, Piece, pieces_of
from adapters.ports import BlobStore
from consumers.importer.registry import Answer, Known, Registry
from consumers.importer.report import ImportReport
from schemas.canonical import canonical_json
from schemas.errors import shown
from schemas.ids import id_from, sha256
from schemas.imported import ImportedResult
from schemas.legacy_result import MAX_LINES_BYTES
from snapshots.imports import BATCH, Batch, Waiting, batch_of, done_key, import_prefix, write_batch
from snapshots.legacy import Document, read_document
from snapshots.legacy_json import Problem

BATCH_DOCUMENTS = 2_000
BATCH_BYTES = 64 * 1024 * 1024  # of documents; their tables in memory are about as large
PORTION_DOCUMENTS = 100  # read and converted in a thread at a time
GOOD = ("accepted", "duplicate")


@dataclass(slots=True)
class _Portion:
    """Some documents, read: with each its bytes' digest, where the journal has it the batch's manifest, else what it says."""

    read: list[tuple[Piece, Document | list[Problem] | Waiting]] = field(default_factory=list)


@dataclass(slots=True)
class _Journal:
    """What an earlier attempt has noted: manifests by the source's name, and how refused ones were answered."""

    batches: list[Batch] = field(default_factory=list)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)  # of batches that are done, by the manifest's digest


@dataclass(frozen=True, slots=True)
class Destination:
    """Where results go, and in whose name."""

    store: BlobStore
    registry: Registry
    submitter: str | None = None
    batch_documents: int = BATCH_DOCUMENTS


class ImportJob:
    """One import of one source.

    destination : None: a dry run, which reads and checks everything, and writes and sends nothing
    say : told each step, for a person
    """

    def __init__(
        self,
        documents: Documents,
        destination: Destination | None,
        *,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._documents = documents
        self._destination = destination
        self._most = BATCH_DOCUMENTS if destination is None else destination.batch_documents
        self._say = say
        self._import_id = id_from("import", documents.url)
        self._seen: dict[str, tuple[str, str]] = {}  # of each id the digest and the source of its document
        self.report = ImportReport()

    async def run(self, *, resumes: bool = False) -> ImportReport:
        """Bring in every document that can be. Raises AdapterError where the outside fails: `resumes` goes on from there."""
        journal = await self._resumed(self._destination) if resumes and self._destination is not None else _Journal()
        under_way: asyncio.Task[None] | None = None
        try:
            async for batch in self._batches(journal):
                if under_way is not None:
                    await under_way
                under_way = asyncio.create_task(self._import(batch))  # while the next one is read
            if under_way is not None:
                await under_way
        finally:
            if under_way is not None:
                under_way.cancel()  # nothing happens to one that is done
        self.report.refusals.sort(key=lambda each: (each.file, each.line or 0))
        return self.report

    async def _batches(self, journal: _Journal) -> AsyncIterator[list[tuple[Piece, Document]]]:
        """Yield the documents that may be new, as many as are written together; count the others."""
        pending: list[tuple[Piece, Document]] = []
        size = 0
        portions = self._portions(journal)
        while (portion := await asyncio.to_thread(next, portions, None)) is not None:
            for piece, found in portion.read:
                if isinstance(found, Waiting):
                    self._count_answer(piece, found, journal.answers[found.digest], is_resumed=True)
                elif isinstance(found, list):
                    self.report.refuse(piece, found)
                elif self._is_first(piece, found):
                    pending.append((piece, found))
                    size += len(piece.content)
                    if len(pending) >= self._most or size >= BATCH_BYTES:
                        yield pending
                        pending, size = [], 0
        if pending:
            yield pending

    # --- reading --------------------------------------------------------------------------------------------------

    def _portions(self, journal: _Journal) -> Iterator[_Portion]:
        """Yield every document of the source, read and checked."""
        portion = _Portion()
        names = self._documents.names()
        for file in self._documents.files(names, max_bytes=MAX_LINES_BYTES):
            self.report.files += 1
            for piece in pieces_of(file):
                self.report.documents += 1
                portion.read.append((piece, self._read(piece, journal)))
                if len(portion.read) >= PORTION_DOCUMENTS:
                    yield portion
                    portion = _Portion()
        if portion.read:
            yield portion

    def _read(self, piece: Piece, journal: _Journal) -> Document | list[Problem] | Waiting:
        if piece.problem is not None:
            return [Problem("", "the file", piece.problem)]
        noted = journal.waiting.get(piece.source)
        if noted is not None and noted.manifest.content_sha256 == sha256(piece.content):
            return noted
        return read_document(piece.content, source=piece.source)

    def _is_first(self, piece: Piece, document: Document) -> bool:
        """Say whether no other document of this source has the id; else count it."""
        digest, other = self._seen.setdefault(document.backtest_id, (document.digest, piece.source))
        if other == piece.source:
            return True
        if digest == document.digest:
            self.report.already += 1
        else:
            self.report.refuse(piece, [Problem("/id", shown(document.backtest_id), f"an id of its own: {other} has it")])
        return False

    # --- writing and sending ----------------------------------------------------------------------------------------

    async def _import(self, pending: Sequence[tuple[Piece, Document]]) -> None:
        """Write a batch and bring it into the log; what the read model knows already is left out."""
        to = self._destination
        if to is None:
            for _, document in pending:
                self._count(document.result)
            return
        known = await to.registry.known([document.backtest_id for _, document in pending])
        new = [(piece, document) for piece, document in pending if self._is_new(piece, document, known)]
        if not new:
            return
        batch = await asyncio.to_thread(write_batch, to.store, self._import_id, [document for _, document in new])
        self.report.batches += 1
        self._say(f"{len(new)} results written: {batch.key}")
        answers = await self._send(to, batch)
        by_id = {each.manifest.backtest_id: each for each in batch.waiting}
        for piece, document in new:
            waiting = by_id[document.backtest_id]
            self._count_answer(piece, waiting, answers[waiting.digest])

    def _is_new(self, piece: Piece, document: Document, known: dict[str, Known]) -> bool:
        found = known.get(document.backtest_id)
        if found is None:
            return True
        if found.digest == document.digest:
            self.report.already += 1
        else:
            self.report.refuse(piece, [Problem("/id", shown(document.backtest_id), _why_taken(found, document.digest))])
        return False

    async def _send(self, to: Destination, batch: Batch) -> dict[str, Answer]:
        """Send a batch's commands, wait for what becomes of them, note that it is done; return the answers."""
        known = await to.registry.known([each.manifest.backtest_id for each in batch.waiting])
        answers: dict[str, Answer] = {each.digest: Answer("accepted") for each in batch.waiting if _is_known(each, known)}
        rest = [each for each in batch.waiting if each.digest not in answers]
        told = await to.registry.send([_command(batch, each, to.submitter) for each in rest])
        answers |= {each.digest: answer for each, answer in zip(rest, told, strict=True)}
        done = {digest: [each.outcome, each.reason, each.detail] for digest, each in answers.items() if each.outcome not in GOOD}
        await asyncio.to_thread(to.store.put, done_key(batch.key), canonical_json({"format": 1, "refused": done}))
        self._say(f"{len(answers)} results answered, {len(done)} of them refused")
        return answers

    def _count_answer(self, piece: Piece, waiting: Waiting, answer: Answer, *, is_resumed: bool = False) -> None:
        manifest = waiting.manifest
        if is_resumed:
            self._seen.setdefault(manifest.backtest_id, (manifest.content_sha256, piece.source))
        if answer.outcome not in GOOD:
            allowed = f"{answer.outcome} ({answer.reason}): {answer.detail}"
            self.report.refuse(piece, [Problem("/id", shown(manifest.backtest_id), allowed)])
            return
        self.report.resumed += is_resumed
        self._count(manifest.result)

    def _count(self, result: ImportedResult) -> None:
        report = self.report
        report.imported += 1
        report.bytes += result.content_bytes
        report.orders += result.orders
        report.fills += result.fills
        report.trades += result.trades
        report.marks += result.marks
        report.pnl = math.fsum((report.pnl, result.pnl))
        report.commission = math.fsum((report.commission, result.commission))

    async def _resumed(self, to: Destination) -> _Journal:
        """Read what an earlier attempt has noted, and send what it has written and not sent."""
        journal = await asyncio.to_thread(_read_journal, to.store, self._import_id)
        for batch in journal.batches:
            missing = [each for each in batch.waiting if each.digest not in journal.answers]
            if missing:
                self._say(f"goes on with {len(missing)} results that were written before")
                journal.answers |= await self._send(to, batch)
        return journal


def _read_journal(store: BlobStore, import_id: str) -> _Journal:
    journal = _Journal()
    for blob in list(store.list(import_prefix(import_id))):
        if not blob.key.endswith(BATCH):
            continue
        batch = batch_of(blob.key, store.get(blob.key))
        journal.batches.append(batch)
        journal.waiting |= {each.manifest.result.source: each for each in batch.waiting}
        key = done_key(blob.key)
        if store.head(key) is not None:
            refused = json.loads(store.get(key))["refused"]
            journal.answers |= {each.digest: Answer(*refused.get(each.digest, ("accepted",))) for each in batch.waiting}
    return journal


def _command(batch: Batch, waiting: Waiting, submitter: str | None) -> dict[str, object]:
    manifest = waiting.manifest
    return {
        "type": "ImportBacktest",
        "command_id": id_from("ImportBacktest", manifest.backtest_id, manifest.content_sha256),
        "backtest_id": manifest.backtest_id,
        "issued_at": now(),
        "submitter": submitter,
        "content_sha256": manifest.content_sha256,
        "manifest_sha256": waiting.digest,
        "batch_key": batch.key,
        "result": manifest.result.model_dump(mode="json"),
    }


def _is_known(waiting: Waiting, known: dict[str, Known]) -> bool:
    found = known.get(waiting.manifest.backtest_id)
    return found is not None and found.digest == waiting.manifest.content_sha256


def _why_taken(found: Known, digest: str) -> str:
    match found.origin:
        case "deleted":
            return "an id that was never deleted: it is not used again"
        case "imported":
            return f"an id of its own: it was imported with other content (SHA-256 {found.digest}, now {digest})"
        case _:
            return "an id of its own: it belongs to a run"
