"""This module projects a log from its beginning in one go: each row is written once, in its last state.

What later events may change is held in memory, until it ends or the log does: tables need no keys while they are filled, and
nothing is updated. What was written before a crash can't be gone on from.
"""

from collections.abc import Sequence

from adapters.ports import NO_EFFECTS, Record, RowStore
from consumers.projector.batch import Batch, Counters, EventsProjection, Poison, make_batch
from projections.rows import RowChange, Rows
from projections.tables import BACKTESTS


class CannotDeferError(Exception):
    """The log holds commits to set aside: that needs the state before them, which is not in the tables. Project it row by row."""


class DeferringProjection(EventsProjection):
    """Commits whose rows are held back while they may change. Raises CannotDeferError for a log that is not whole.

    only : the one table that is wanted. Besides its rows come those from which a projector could go on: all of ``backtests``,
        and what is open at the end
    """

    def __init__(self, store: RowStore, *, only: str | None = None) -> None:
        super().__init__(store, max_runs=1 << 62)  # none may be forgotten: their rows are not in the tables
        self._held = Rows()
        self._wanted = {only, BACKTESTS.name} if only is not None else None

    def finish(self) -> Batch:
        """Return the rows that are still held back."""
        return make_batch(self._held.changes(), Counters(), NO_EFFECTS)

    def reset(self) -> None:
        raise CannotDeferError("the database refuses rows of this log")

    def _rows(self) -> Rows:
        return self._held

    def _changes(self, rows: Rows) -> list[RowChange]:
        self._held = rows.hold_back()
        return [change for change in rows.changes() if self._wanted is None or change.table.name in self._wanted]

    def _search(self, records: Sequence[Record], poison: dict[int, str]) -> dict[int, str]:
        raise CannotDeferError("a commit of this log holds a value that no column holds")

    def _refuse(self, poison: Poison) -> None:
        raise CannotDeferError(f"the record at offset {poison.offset} can't be projected: {poison.problem}")
