"""This module makes a snapshot's tables from a run's commits: the rows of the one fold, and the events themselves.

Rows and types are those of projections/: SQL, Parquet and in-process results can't drift apart. ``events`` holds each event's
recorded JSON beside the commit that it came in, so that the log can be read without Kafka.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, get_args

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from projections.arrow import schema_of as arrow_schema
from projections.errors import FoldError
from projections.fold import IN_PROCESS, RunFold
from projections.positions import trade_row
from projections.rows import NEW_ORDER, NEW_POSITION, RowChange, Rows
from projections.tables import RUN_TABLES, TRADES
from schemas.commit import ChainError, decode_commit
from schemas.manifest import AnyTable, Table
from snapshots.errors import LogError
from snapshots.run_log import EventHead, raw_events

TABLES: tuple[Table, ...] = get_args(Table)
_SOURCES = {table.name: table for table in (*RUN_TABLES, TRADES)}
_UNFOLDABLE = (FoldError, ChainError, msgspec.DecodeError, pa.ArrowException, OverflowError)

SORTED_BY: dict[AnyTable, tuple[str, ...]] = {
    "orders": ("backtest_id", "order_id"),
    "fills": ("backtest_id", "fill_id"),
    "positions": ("backtest_id", "position_id"),
    "trades": ("backtest_id", "sequence"),
    "equity": ("backtest_id", "mark"),
    "events": ("backtest_id", "sequence"),
    "original": ("backtest_id",),
}

PORTION_EVENTS = 4_096  # turned into columns at a time

EVENTS_SCHEMA = pa.schema(
    [
        pa.field("backtest_id", pa.string(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("ns", tz="UTC"), nullable=False),  # market time
        pa.field("type", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("commit", pa.int64(), nullable=False),  # number of the commit that it came in
        pa.field("author", pa.dictionary(pa.int32(), pa.string()), nullable=False),  # of that commit
        pa.field("payload", pa.string(), nullable=False),  # the event's JSON as it was recorded
    ]
)


ORIGINAL_SCHEMA = pa.schema(
    [
        pa.field("backtest_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),  # name of its file, with its line
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("content", pa.binary(), nullable=False),  # the document of an imported result, byte for byte
    ]
)


def schema_of(name: AnyTable) -> pa.Schema:
    """Return the columns of a table, as runs have them."""
    match name:
        case "events":
            return EVENTS_SCHEMA
        case "original":
            return ORIGINAL_SCHEMA
        case _:
            return arrow_schema(_SOURCES[name], form="full")


def imported_schema_of(name: AnyTable) -> pa.Schema:
    """Return the columns of a table as imported results have them: what the other system did not say is null."""
    if name == "original":
        return ORIGINAL_SCHEMA
    return pa.schema([field if field.name == "backtest_id" else field.with_nullable(True) for field in schema_of(name)])


def words_of(name: AnyTable) -> list[str]:
    """Return the columns of a table that hold words: they are read dictionary-encoded."""
    return [field.name for field in schema_of(name) if pa.types.is_dictionary(field.type)]


class TableBuilder:
    """Makes a run's tables from its commits, a portion at a time: what can't change any more is turned into columns at once.

    So a long run costs the memory of its columns and of its open orders, not of an object for each event; where somebody takes
    the columns over, that of its open orders.

    take : called with a table's name and its next rows, in place of keeping them for ``finish``
    """

    def __init__(self, backtest_id: str, *, take: Callable[[Table, pa.RecordBatch], None] | None = None) -> None:
        self._backtest_id = backtest_id
        self._fold = RunFold(backtest_id)
        self._rows = Rows()
        self._events: list[tuple[int, str, EventHead, bytes]] = []
        self._parts: dict[Table, list[pa.RecordBatch]] = {name: [] for name in TABLES}
        self._take = take or (lambda name, batch: self._parts[name].append(batch))

    def add(self, body: bytes) -> None:
        """Fold one more commit in. Raises LogError when it does not follow."""
        try:
            self._fold.apply(decode_commit(body), body, IN_PROCESS, self._rows)
            self._events += raw_events(body)
            if len(self._events) >= PORTION_EVENTS:
                self._settle()
        except _UNFOLDABLE as error:
            raise LogError(f"the log of {self._backtest_id} can't be folded: {error}") from error

    def close(self) -> None:
        """Turn the rest into columns: no commit follows."""
        try:
            self._settle(is_last=True)
        except _UNFOLDABLE as error:
            raise LogError(f"the log of {self._backtest_id} can't be folded: {error}") from error

    def finish(self) -> dict[Table, pa.Table]:
        """Close, and return every table, its rows in the order of its key."""
        self.close()
        tables: dict[Table, pa.Table] = {}
        for name in TABLES:
            table = pa.Table.from_batches(self._parts.pop(name), schema=schema_of(name)).unify_dictionaries()
            tables[name] = _sorted(table, SORTED_BY[name][1])
        return tables

    def _settle(self, *, is_last: bool = False) -> None:
        rows = self._rows
        self._add_rows("fills", rows.fills)
        self._add_rows("equity", rows.equity)
        rows.orders = self._settle_states("orders", rows.orders, NEW_ORDER, is_last=is_last)
        closed = sorted((state for state in rows.positions if not state.is_open), key=attrgetter("last_sequence"))
        self._add_rows("trades", [trade_row(state) for state in closed])
        rows.positions = self._settle_states("positions", rows.positions, NEW_POSITION, is_last=is_last)
        self._take("events", _events_batch(self._backtest_id, self._events))
        self._events = []
        for unused in (rows.commits, rows.position_changes, rows.account_events, rows.statistics):
            unused.clear()

    def _settle_states(self, name: Table, states: list[Any], places: tuple[str | None, ...], *, is_last: bool) -> list[Any]:
        """Keep the states that may change."""
        settled = [state for state in states if is_last or not state.is_open]
        self._add_rows(name, settled, places)
        return [state for state in states if state.is_open]

    def _add_rows(self, name: Table, values: list[Any], places: tuple[str | None, ...] | None = None) -> None:
        if values:
            self._take(name, RowChange(_SOURCES[name], "insert", values, places).batch("full"))
        if places is None:
            values.clear()


def snapshot_tables(backtest_id: str, bodies: Iterable[bytes]) -> dict[Table, pa.Table]:
    """Return every table of a snapshot, by name, with its rows in the order of its key. Raises LogError."""
    builder = TableBuilder(backtest_id)
    for body in bodies:
        builder.add(body)
    return builder.finish()


def _events_batch(backtest_id: str, events: list[tuple[int, str, EventHead, bytes]]) -> pa.RecordBatch:
    arrays = [
        pa.repeat(pa.scalar(backtest_id, pa.string()), len(events)),
        pa.array([head.sequence for _, _, head, _ in events], pa.int64()),
        pa.array([head.time_ns for _, _, head, _ in events], pa.int64()).view(pa.timestamp("ns", tz="UTC")),
        pa.array([head.type for _, _, head, _ in events], pa.string()).dictionary_encode(),
        pa.array([number for number, _, _, _ in events], pa.int64()),
        pa.array([author for _, author, _, _ in events], pa.string()).dictionary_encode(),
        pa.array([raw for _, _, _, raw in events], pa.binary()).cast(pa.string()),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=EVENTS_SCHEMA)


def _sorted(table: pa.Table, key: str) -> pa.Table:
    order = pc.sort_indices(table, sort_keys=[(key, "ascending")])
    is_sorted = order.equals(pa.array(np.arange(len(table), dtype=np.uint64)))
    return table if is_sorted else table.take(order)
