"""This module finds files that no manifest names, deletes those that no manifest will ever name, and deleted runs' rows.

A writer that died leaves files; who loses a race does, and a deletion. A manifest that is put later may still name a file that
none names now: only where every run of the file has its manifest, or is deleted, is that ruled out, because a manifest is put
once. All others are left to whoever completes those runs. On top of that a file stays for a grace time, for readers that hold a
manifest which is gone.

A shared file that holds rows of deleted runs beside those of others is written anew without them, in steps that leave every
other run readable whatever dies in between (docs/decisions/0012): the move that says where the rows will be; the new file; when
that is older than the grace time and reads back: the old file goes. A move goes when no manifest leads to it any more.

Manifests of imports that wait in a batch go when each is in its place, or will never be: after the grace time.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.canonical import canonical_json
from schemas.ids import sha256
from schemas.manifest import BundleMove, SnapshotFile
from snapshots.blobs import BUNDLES, IMPORTS, MOVED, PREFIX, BlobInfo, Blobs, fetch, manifest_key, move_key
from snapshots.bundle import runs_of
from snapshots.deletion import is_deleted
from snapshots.errors import DamagedError, SnapshotError
from snapshots.imports import BATCH, batch_of, done_key
from snapshots.moves import moved_to, read_move
from snapshots.rewriting import without_others
from snapshots.writer import put_checked, read_manifest

MANIFEST = "/manifest.json"

# Why a manifest of a run will never name a file again.
DELETED, ELSEWHERE = "deleted", "elsewhere"
SETTLED = (DELETED, ELSEWHERE)


@dataclass(slots=True)
class Orphans:
    """What was found, and what became of it. ``unreadable`` says what is wrong, file by file."""

    files: int = 0  # that were looked at
    bytes: int = 0
    young: int = 0  # named by no manifest, and younger than the grace time
    unfinished: int = 0  # of runs that have no manifest yet: they may still be completed
    collected: int = 0
    collected_bytes: int = 0
    rewritten: int = 0  # shared files, without the rows of deleted runs
    replaced: int = 0  # files whose rows are in a new one, and that stay for the grace time
    unreadable: list[str] = field(default_factory=list)


def collect_orphans(store: Blobs, *, now_ms: int, grace_ms: int, deletes: bool = True) -> Orphans:
    """Delete the files that nobody refers to and nobody will, and deleted runs' rows; with ``deletes`` false: only count.

    Files are listed before moves and manifests are read: a file that is put later is not looked at. Any number of collectors,
    writers and readers may be at work meanwhile.
    """
    return _Collection(store, oldest_ms=now_ms - grace_ms, deletes=deletes).run()


@dataclass(slots=True)
class _Collection:
    """One pass over a store."""

    store: Blobs
    oldest_ms: int
    deletes: bool
    found: Orphans = field(default_factory=Orphans)
    moves: dict[str, list[tuple[BlobInfo, BundleMove]]] = field(default_factory=dict)  # by the file that they replace
    named: Counter[str] = field(default_factory=Counter)  # runs whose manifest leads to a file
    runs: dict[str, int] = field(default_factory=dict)  # in a shared file
    files_of: dict[str, list[SnapshotFile] | None] = field(default_factory=dict)  # none: deleted; None: not settled yet

    def run(self) -> Orphans:
        files = [blob for prefix in (PREFIX, BUNDLES) for blob in self.store.list(prefix) if not blob.key.endswith(MANIFEST)]
        self._read_moves()
        self._read_manifests()
        gone = set(self.moves) - {blob.key for blob in files}
        for blob in files:
            self.found.files += 1
            self.found.bytes += blob.bytes
            try:
                if self.named[blob.key] == 0:
                    self._collect(blob)
                elif self.named[blob.key] < self.runs.get(blob.key, 0):
                    self._replace(blob)
            except SnapshotError as error:
                self.found.unreadable.append(str(error))
        self._collect_batches()
        for source in gone:
            if self.named[source] == 0 and self.deletes:
                for blob, _ in self.moves[source]:
                    self.store.delete(blob.key)
        return self.found

    def _read_moves(self) -> None:
        for blob in self.store.list(MOVED):
            body = fetch(self.store, blob.key)
            if body is not None:
                move = read_move(body, where=f"{self.store.url}/{blob.key}")
                self.moves.setdefault(move.source, []).append((blob, move))
                self.runs[move.key] = len(move.places)

    def _read_manifests(self) -> None:
        for blob in self.store.list(PREFIX):
            if not blob.key.endswith(MANIFEST):
                continue
            for backtest_id, file in self._named_by(blob.key):
                if file.file_runs is not None:
                    self.runs[file.key] = file.file_runs
                for reached in self._reached(backtest_id, file):
                    self.named[reached.key] += 1

    def _named_by(self, key: str) -> Iterator[tuple[str, SnapshotFile]]:
        """Yield the files of a manifest that may be gone meanwhile."""
        body = fetch(self.store, key)
        if body is not None:
            manifest = read_manifest(body, where=f"{self.store.url}/{key}")
            yield from ((manifest.backtest_id, file) for file in manifest.files)

    def _reached(self, backtest_id: str, file: SnapshotFile) -> Iterator[SnapshotFile]:
        """Yield a manifest's file and all that its rows were moved to."""
        yield file
        for _, move in self.moves.get(file.key, ()):
            next_one = moved_to(file, move, backtest_id)
            if next_one is not None:
                yield from self._reached(backtest_id, next_one)

    # --- files that nobody refers to ------------------------------------------------------------------------------

    def _collect(self, blob: BlobInfo) -> None:
        if blob.modified_ms > self.oldest_ms:
            self.found.young += 1
        elif all(self._state(each, blob.key) in SETTLED for each in self._runs_of(blob.key)):
            self._delete(blob)
        else:
            self.found.unfinished += 1

    def _delete(self, blob: BlobInfo) -> None:
        if self.deletes:
            self.store.delete(blob.key)
        self.found.collected += 1
        self.found.collected_bytes += blob.bytes

    def _runs_of(self, key: str) -> list[str]:
        """Return the runs that a file is of."""
        if key.startswith(PREFIX):
            return [key.removeprefix(PREFIX).partition("/")[0]]
        return runs_of(self._body(key), key=f"{self.store.url}/{key}")

    def _body(self, key: str) -> bytes:
        body = fetch(self.store, key)
        if body is None:
            raise DamagedError(f"{self.store.url}/{key} was there a moment ago")
        return body

    def _state(self, backtest_id: str, key: str) -> SnapshotFile | str | None:
        """Return where a run's rows are in the file, or why none will ever be looked for there; None: they may be."""
        files = self._files_of(backtest_id)
        if not files:
            return None if files is None else DELETED
        reached = (each for file in files for each in self._reached(backtest_id, file))
        return next((each for each in reached if each.key == key), ELSEWHERE)

    def _files_of(self, backtest_id: str) -> list[SnapshotFile] | None:
        """Return the files of a run's manifest; none: it is deleted; None: it may still get a manifest."""
        if backtest_id not in self.files_of:
            named = [file for _, file in self._named_by(manifest_key(backtest_id))]
            is_settled = bool(named) or is_deleted(self.store, backtest_id)
            self.files_of[backtest_id] = named if is_settled else None
        return self.files_of[backtest_id]

    def _collect_batches(self) -> None:
        """Delete batches of imports whose results are all settled, with what was noted of them."""
        for blob in [each for each in self.store.list(IMPORTS) if each.key.endswith(BATCH)]:
            self.found.files += 1
            self.found.bytes += blob.bytes
            if blob.modified_ms > self.oldest_ms:
                self.found.young += 1
                continue
            try:
                ids = [each.manifest.backtest_id for each in batch_of(blob.key, self._body(blob.key)).waiting]
            except SnapshotError as error:
                self.found.unreadable.append(str(error))
                continue
            if any(self._files_of(each) is None for each in ids):
                self.found.unfinished += 1
                continue
            if self.deletes:
                self.store.delete(done_key(blob.key))
            self._delete(blob)

    # --- rows of deleted runs -------------------------------------------------------------------------------------

    def _replace(self, blob: BlobInfo) -> None:
        """Replace a shared file that holds more runs than lead to it; delete it when its rows have been elsewhere long enough."""
        for _, move in self.moves.get(blob.key, ()):
            new = self.store.head(move.key)
            body = None if new is None else fetch(self.store, move.key)
            if new is not None and body is not None and sha256(body) == move.sha256:
                if new.modified_ms <= self.oldest_ms:
                    self._delete(blob)
                else:
                    self.found.replaced += 1
                return
        body = self._body(blob.key)
        states = {each: self._state(each, blob.key) for each in runs_of(body, key=f"{self.store.url}/{blob.key}")}
        if None in states.values():
            self.found.unfinished += 1
            return
        kept = {each: state for each, state in states.items() if isinstance(state, SnapshotFile)}
        if not kept or DELETED not in states.values():
            return  # rows of runs that lost a race are in no one's way; a file that nobody is left in goes next time
        if sha256(body) != next(iter(kept.values())).sha256:
            raise DamagedError(f"{self.store.url}/{blob.key} has another SHA-256 than its manifests say: it is left as it is")
        made, move = without_others(body, kept)
        if self.deletes:
            self.store.put_if_absent(move_key(move.source, move.sha256), canonical_json(move.model_dump(mode="json")))
            put_checked(self.store, move.key, made, move.sha256)
        self.found.rewritten += 1
