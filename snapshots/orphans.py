"""This module finds files that no manifest names, and deletes those that no manifest will ever name.

A writer that died leaves files; who loses a race does, and a deletion. A manifest that is put later may still name a file that
none names now: only where every run of the file has its manifest, or is deleted, is that ruled out, because a manifest is put
once. All others are left to whoever completes those runs. On top of that a file stays for a grace time, for readers that hold a
manifest which is gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from snapshots.blobs import BUNDLES, PREFIX, Blobs, manifest_key
from snapshots.bundle import runs_of
from snapshots.deletion import is_deleted
from snapshots.errors import DamagedError, SnapshotError
from snapshots.writer import read_manifest

MANIFEST = "/manifest.json"


@dataclass(slots=True)
class Orphans:
    """What was found, and what became of it. ``unreadable`` says what is wrong, file by file."""

    files: int = 0  # that were looked at
    bytes: int = 0
    young: int = 0  # named by no manifest, and younger than the grace time
    unfinished: int = 0  # of runs that have no manifest yet: they may still be completed
    collected: int = 0
    collected_bytes: int = 0
    unreadable: list[str] = field(default_factory=list)


def collect_orphans(store: Blobs, *, now_ms: int, grace_ms: int, deletes: bool = True) -> Orphans:
    """Delete the files that nobody refers to and nobody will; with ``deletes`` false: only count them.

    Files are listed before manifests are read: a file that is put later is not looked at.
    """
    found = Orphans()
    files = [blob for prefix in (PREFIX, BUNDLES) for blob in store.list(prefix) if not blob.key.endswith(MANIFEST)]
    named = set(_named(store))
    for blob in files:
        found.files += 1
        found.bytes += blob.bytes
        if blob.key in named:
            continue
        if blob.modified_ms > now_ms - grace_ms:
            found.young += 1
            continue
        try:
            is_orphan = all(_is_settled(store, backtest_id, blob.key) for backtest_id in _runs(store, blob.key))
        except SnapshotError as error:
            found.unreadable.append(str(error))
            continue
        if not is_orphan:
            found.unfinished += 1
            continue
        if deletes:
            store.delete(blob.key)
        found.collected += 1
        found.collected_bytes += blob.bytes
    return found


def _named(store: Blobs) -> Iterator[str]:
    """Yield every key that a manifest names."""
    for blob in store.list(PREFIX):
        if blob.key.endswith(MANIFEST):
            yield from (file.key for file in read_manifest(store.get(blob.key), where=f"{store.url}/{blob.key}").files)


def _runs(store: Blobs, key: str) -> list[str]:
    """Return the runs that a file is of."""
    if key.startswith(PREFIX):
        return [key.removeprefix(PREFIX).partition("/")[0]]
    if store.head(key) is None:
        raise DamagedError(f"{store.url}/{key} was there a moment ago")
    return runs_of(store.get(key), key=f"{store.url}/{key}")


def _is_settled(store: Blobs, backtest_id: str, key: str) -> bool:
    """Say whether no manifest of the run will ever name the file: it has one, put once, that does not; or it is deleted."""
    place = manifest_key(backtest_id)
    if store.head(place) is None:
        return is_deleted(store, backtest_id)
    manifest = read_manifest(store.get(place), where=f"{store.url}/{place}")
    return all(file.key != key for file in manifest.files)
