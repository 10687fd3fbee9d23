"""This module finds a run's rows in a shared file that was written anew since the run's manifest was put.

A manifest never changes, so it goes on naming the old file. A move, put before the new file, says where the rows of each run
are there; the old file goes only when the new one was read back. A new file may be replaced in its turn: moves are followed to
the last file that is there (docs/decisions/0012).
"""

from pydantic import ValidationError

from schemas.manifest import BundleMove, SnapshotFile
from snapshots.blobs import Blobs, fetch, moves_of
from snapshots.errors import DamagedError


def read_move(body: bytes, *, where: str) -> BundleMove:
    """Return the move. Raises DamagedError when the bytes are none."""
    try:
        return BundleMove.model_validate_json(body)
    except ValidationError as error:
        raise DamagedError(f"{where} does not say where a file moved: {error}") from error


def moved_to(file: SnapshotFile, move: BundleMove, backtest_id: str) -> SnapshotFile | None:
    """Return where a run's rows are after a move; None when it does not hold them."""
    place = move.places.get(backtest_id)
    if place is None:
        return None
    row_group, first_row, rows = place
    return file.model_copy(
        update={
            "key": move.key, "sha256": move.sha256, "bytes": move.bytes, "rows": rows, "row_groups": [row_group],
            "first_row": first_row, "file_rows": move.file_rows, "file_runs": len(move.places),
        }
    )  # fmt: skip


class Moves:
    """The moves of a store, looked up as they are needed and kept: for one reading, not for a process."""

    def __init__(self, store: Blobs) -> None:
        self._store = store
        self._known: dict[str, list[BundleMove]] = {}
        self._there: dict[str, bool] = {}

    def located(self, backtest_id: str, file: SnapshotFile) -> SnapshotFile:
        """Return the newest file that holds the rows and is there; the one that the manifest names when there is no newer one."""
        if file.row_groups is None:
            return file
        for move in self._of(file.key):
            next_one = moved_to(file, move, backtest_id)
            if next_one is None:
                continue
            found = self.located(backtest_id, next_one)
            if found is not next_one or self._is_there(next_one.key):
                return found
        return file

    def _of(self, source: str) -> list[BundleMove]:
        if source not in self._known:
            moves = []
            for blob in list(self._store.list(moves_of(source))):
                body = fetch(self._store, blob.key)
                if body is not None:
                    moves.append(read_move(body, where=f"{self._store.url}/{blob.key}"))
            self._known[source] = moves
        return self._known[source]

    def _is_there(self, key: str) -> bool:
        if key not in self._there:
            self._there[key] = self._store.head(key) is not None
        return self._there[key]
