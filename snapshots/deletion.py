"""This module deletes a run's snapshot, and keeps it deleted.

First a mark, then the manifest, then the files that are the run's alone; its rows in a bundle stay until the bundle is written
anew, and nobody reads them without a manifest. Whoever has put a manifest looks for the mark afterwards and takes the manifest
back: whichever of the two comes second, the manifest is gone.
"""

from schemas.canonical import canonical_json
from snapshots.blobs import PREFIX, Blobs, deleted_key, manifest_key


def delete_snapshot(store: Blobs, backtest_id: str) -> None:
    """Delete a run's snapshot, if there is one, and let none be made again. Safe to repeat."""
    store.put_if_absent(deleted_key(backtest_id), canonical_json({"format": 1, "backtest_id": backtest_id}))
    store.delete(manifest_key(backtest_id))
    for blob in list(store.list(f"{PREFIX}{backtest_id}/")):
        store.delete(blob.key)


def is_deleted(store: Blobs, backtest_id: str) -> bool:
    return store.head(deleted_key(backtest_id)) is not None
