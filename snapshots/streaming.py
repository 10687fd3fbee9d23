"""This module writes a long run's tables as local Parquet files while its commits are read, in memory that stays the same.

Rows that come in the order of their key go into the file a row group at a time. Orders and positions come when they close; they
wait in a file of their own and are put in order at the end, a row group at a time: what grows with the run is their key, 16 bytes
a row.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from schemas.ids import Digest
from schemas.manifest import Table
from snapshots.parquet import ROW_GROUP_ROWS, open_writer, told_of
from snapshots.run_log import RunFacts
from snapshots.tables import SORTED_BY, TABLES, TableBuilder, schema_of

PIECE_BYTES = 1024 * 1024
SORTED_TOGETHER = 16_384  # rows; each is held three times meanwhile, its words as text


@dataclass(frozen=True, slots=True)
class TableFile:
    """One table of a run in an unnamed file: however the process dies, nothing is left behind."""

    name: Table
    file: IO[bytes]
    rows: int
    bytes: int
    sha256: Digest


def table_files(
    bodies: Iterable[bytes], facts: RunFacts, *, folder: Path | None = None, group_rows: int = ROW_GROUP_ROWS
) -> Iterator[TableFile]:
    """Yield the run's tables, each file open until the next one is asked for. Raises LogError.

    folder : where the files are; None: the system's temporary folder
    """
    with ExitStack() as stack:
        outputs = {name: _Output(name, facts, folder, group_rows, stack) for name in TABLES}
        builder = TableBuilder(facts.backtest_id, take=lambda name, batch: outputs[name].add(batch))
        for body in bodies:
            builder.add(body)
        builder.close()
        for output in outputs.values():
            yield output.finish()


class _Output:
    """One table on its way into its file."""

    def __init__(self, name: Table, facts: RunFacts, folder: Path | None, group_rows: int, stack: ExitStack) -> None:
        self._name = name
        self._group_rows = group_rows
        self._key = SORTED_BY[name][1]
        self._metadata = told_of(facts, name)
        self._waiting = _Unordered(name, _unnamed(folder, stack)) if name in _AT_CLOSE else None
        self._file = _unnamed(folder, stack)
        schema = schema_of(name).with_metadata(self._metadata)
        self._writer = stack.enter_context(open_writer(self._file, schema, sorted_by=SORTED_BY[name]))
        self._batches: list[pa.RecordBatch] = []
        self._held = 0  # rows in them
        self._rows = 0
        self._last: int | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        if self._waiting is not None:
            self._waiting.add(batch)
        elif batch.num_rows:
            self._append(batch)

    def finish(self) -> TableFile:
        if self._waiting is not None:
            for group in self._waiting.in_order(min(self._group_rows, SORTED_TOGETHER)):
                self._append(group)
        if self._held or not self._rows:
            self._write(self._held)
        self._writer.close()
        size = self._file.tell()
        return TableFile(self._name, self._file, self._rows, size, _digest(self._file))

    def _append(self, batch: pa.RecordBatch) -> None:
        keys = batch.column(self._key).to_numpy()
        assert self._last is None or self._last <= keys[0], f"{self._name} come in the order of {self._key}"
        assert bool((keys[1:] >= keys[:-1]).all()), f"{self._name} come in the order of {self._key}"
        self._last = int(keys[-1])
        self._batches.append(batch)
        self._held += batch.num_rows
        while self._held >= self._group_rows:
            self._write(self._group_rows)

    def _write(self, rows: int) -> None:
        """Write the first rows of those that are held as one row group, which knows only its own words."""
        held = pa.Table.from_batches(self._batches, schema=schema_of(self._name))
        group, rest = held.slice(0, rows), held.slice(rows)
        self._batches, self._held = rest.to_batches(), rest.num_rows
        self._rows += group.num_rows
        group = group.unify_dictionaries().combine_chunks().replace_schema_metadata(self._metadata)
        self._writer.write_table(group, row_group_size=max(1, rows))


# Rows that are complete when their order or position is.
_AT_CLOSE: frozenset[Table] = frozenset({"orders", "positions"})


class _Unordered:
    """Rows in a file, as they came, with their words as text: a file of Arrow has one dictionary for a column at most."""

    def __init__(self, name: Table, file: IO[bytes]) -> None:
        self._schema = schema_of(name)
        self._key = SORTED_BY[name][1]
        self._plain = pa.schema(
            [each.with_type(each.type.value_type) if pa.types.is_dictionary(each.type) else each for each in self._schema]
        )
        self._file = file
        self._writer = pa.ipc.new_file(file, self._plain)
        self._keys: list[np.ndarray] = []

    def add(self, batch: pa.RecordBatch) -> None:
        self._keys.append(batch.column(self._key).to_numpy())
        self._writer.write_batch(batch.cast(self._plain))

    def in_order(self, group_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield all rows in the order of their key, so many at a time, reading only the batches that hold some of them."""
        self._writer.close()
        if not self._keys:
            return
        starts = np.cumsum([0, *(len(keys) for keys in self._keys)])
        order = np.argsort(np.concatenate(self._keys), kind="stable")
        self._keys = []
        self._file.seek(0)
        reader = pa.ipc.open_file(pa.PythonFile(self._file, mode="r"))
        for first in range(0, len(order), group_rows):
            wanted = order[first : first + group_rows]
            numbers = np.searchsorted(starts, wanted, side="right") - 1
            by_batch = np.argsort(numbers, kind="stable")
            taken = [
                reader.get_batch(int(number)).take(pa.array(wanted[by_batch][numbers[by_batch] == number] - starts[number]))
                for number in np.unique(numbers)
            ]
            places = np.empty_like(by_batch)
            places[by_batch] = np.arange(len(by_batch))
            yield from pa.Table.from_batches(taken).combine_chunks().take(pa.array(places)).cast(self._schema).to_batches()


def _unnamed(folder: Path | None, stack: ExitStack) -> IO[bytes]:
    return stack.enter_context(tempfile.TemporaryFile(dir=folder))


def _digest(file: IO[bytes]) -> Digest:
    file.seek(0)
    found = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        found.update(piece)
    return Digest(found.hexdigest())
