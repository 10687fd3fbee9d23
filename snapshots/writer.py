"""This module writes a finished run's snapshot: files first, read back, then the one conditional PUT that makes it complete.

Files lie under keys that hold their SHA-256, so a writer that dies between any two steps leaves files that nobody refers to,
and the next one writes the same again. The manifest is written once and never changed. Who loses the race for it deletes
nothing (its files may be the winner's), checks the winner's manifest and announces it as if it were its own.
"""

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from schemas.canonical import canonical_json
from schemas.ids import sha256
from schemas.manifest import AnyManifest, SnapshotAnnouncement, SnapshotFile, SnapshotManifest, parse_manifest
from snapshots.blobs import Blobs, digest_of, file_key, manifest_key
from snapshots.errors import DamagedError, LogError, ReadBackError
from snapshots.moves import Moves
from snapshots.run_log import Place, RunFacts, facts_of
from snapshots.streaming import table_files

_COMPARED = (
    "backtest_id", "chain_head", "commits", "events", "first_sequence", "last_sequence", "spec_digest", "data_digest", "status",
)  # fmt: skip


def find_snapshot(store: Blobs, facts: RunFacts) -> SnapshotAnnouncement | None:
    """Return the announcement of a snapshot that is there already, None if there is none.

    Raises DamagedError when it is one of another log.
    """
    key = manifest_key(facts.backtest_id)
    if store.head(key) is None:
        return None
    body = store.get(key)
    manifest = read_run_manifest(body, where=f"{store.url}/{key}")
    check_facts(manifest, facts, where=f"{store.url}/{key}")
    return announcement(manifest, body)


def write_snapshot(
    store: Blobs, bodies: Iterable[bytes], place: Place, *, facts: RunFacts | None = None, folder: Path | None = None
) -> SnapshotAnnouncement:
    """Write the snapshot of a finished run, or find that it is there, and return what to announce.

    bodies : the run's commits from its first on; iterated several times
    facts : what they say, where the caller has checked them already
    folder : of the files on their way; None: the system's temporary folder
    Raises LogError when the commits are not a finished run's log, ReadBackError when what was written reads back otherwise,
    DamagedError when the snapshot that is there is one of another log.
    """
    facts = facts or facts_of(bodies)
    if facts.status is None:
        raise LogError(f"the run {facts.backtest_id} is not finished: its log ends at sequence {facts.last_sequence}")
    found = find_snapshot(store, facts)
    if found is not None:
        return found
    manifest = manifest_of(facts, place, _write_files(store, bodies, facts, folder))
    body = canonical_json(manifest.model_dump(mode="json"))
    if store.put_if_absent(manifest_key(facts.backtest_id), body):
        return announcement(manifest, body)
    return winner_of(store, facts)


def announcement(manifest: AnyManifest, body: bytes) -> SnapshotAnnouncement:
    """Return the record for the archive topic. ``body``: the manifest as it is stored."""
    return SnapshotAnnouncement(
        backtest_id=manifest.backtest_id,
        manifest_key=manifest_key(manifest.backtest_id),
        manifest_sha256=sha256(body),
        chain_head=manifest.chain_head if isinstance(manifest, SnapshotManifest) else None,
        bytes=sum(file.share for file in manifest.files),
        rows=sum(file.rows for file in manifest.files),
    )


def read_manifest(body: bytes, *, where: str) -> AnyManifest:
    """Return the manifest of a run or of an import. Raises DamagedError when the bytes are neither."""
    try:
        return parse_manifest(body)
    except ValidationError as error:
        raise DamagedError(f"{where} is no snapshot's manifest: {error}") from error


def read_run_manifest(body: bytes, *, where: str) -> SnapshotManifest:
    """Return the manifest of a run. Raises DamagedError when the bytes are none."""
    manifest = read_manifest(body, where=where)
    if not isinstance(manifest, SnapshotManifest):
        raise DamagedError(f"{where} is the manifest of an imported result, not of a run")
    return manifest


def check_facts(manifest: SnapshotManifest, facts: RunFacts, *, where: str) -> None:
    """Raise DamagedError, naming field and both values, when the manifest is not one of this log.

    Where the log lies is not compared: a restored topic has other offsets and the same commits.
    """
    for name in _COMPARED:
        told, holds = getattr(manifest, name), getattr(facts, name)
        if told != holds:
            raise DamagedError(f"{where} says {name} {told}, the log says {holds}")


def _write_files(store: Blobs, bodies: Iterable[bytes], facts: RunFacts, folder: Path | None) -> list[SnapshotFile]:
    files = []
    for made in table_files(bodies, facts, folder=folder):
        if made.name == "events" and made.rows != facts.events:
            raise LogError(f"the commits of {facts.backtest_id} hold {made.rows} events, its chain {facts.events}")
        key = file_key(facts.backtest_id, made.name, made.sha256)
        store.put_file(key, made.file)
        _check_back(store, key, made.sha256)
        files.append(SnapshotFile(table=made.name, key=key, sha256=made.sha256, bytes=made.bytes, rows=made.rows))
    return files


def put_checked(store: Blobs, key: str, body: bytes, digest: str) -> None:
    """Put a file and read it back. Raises ReadBackError when it reads back otherwise."""
    store.put(key, body)
    _check_back(store, key, digest)


def _check_back(store: Blobs, key: str, digest: str) -> None:
    found = digest_of(store, key) or "nothing"
    if found != digest:
        raise ReadBackError(f"{store.url}/{key} was written with SHA-256 {digest} and reads back with {found}")


def manifest_of(facts: RunFacts, place: Place, files: list[SnapshotFile]) -> SnapshotManifest:
    assert facts.status is not None, "only finished runs have a snapshot"
    return SnapshotManifest(
        backtest_id=facts.backtest_id,
        status=facts.status,
        log_id=place.log_id,
        partition=place.partition,
        first_offset=place.first_offset,
        last_offset=place.last_offset,
        commits=facts.commits,
        events=facts.events,
        first_sequence=facts.first_sequence,
        last_sequence=facts.last_sequence,
        chain_head=facts.chain_head,
        spec_digest=facts.spec_digest,
        data_digest=facts.data_digest,
        files=files,
    )


def winner_of(store: Blobs, facts: RunFacts) -> SnapshotAnnouncement:
    """Check the manifest that came first, and that its files are there; return its announcement."""
    key = manifest_key(facts.backtest_id)
    body = store.get(key)
    manifest = read_run_manifest(body, where=f"{store.url}/{key}")
    check_facts(manifest, facts, where=f"{store.url}/{key}")
    check_files(store, manifest)
    return announcement(manifest, body)


def check_files(store: Blobs, manifest: AnyManifest) -> None:
    """Raise DamagedError where a file that the manifest names is not there, or has another size."""
    moves = Moves(store)
    for file in manifest.files:
        found = store.head(file.key)
        if found is None:
            file = moves.located(manifest.backtest_id, file)
            found = store.head(file.key)
        if found is None or found.bytes != file.bytes:
            holds = "nothing" if found is None else f"{found.bytes} bytes"
            raise DamagedError(f"{store.url}/{file.key}: the manifest says {file.bytes} bytes, the store holds {holds}")
