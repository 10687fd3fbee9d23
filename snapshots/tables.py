"""This module makes a snapshot's tables from a run's commits: the rows of the one fold, and the events themselves.

Rows and types are those of projections/: SQL, Parquet and in-process results can't drift apart. ``events`` holds each event's
recorded JSON beside the commit that it came in, so that the log can be read without Kafka.
"""

from collections.abc import Iterable, Iterator
from typing import get_args

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from projections.errors import FoldError
from projections.fold import RunTables, fold_run
from schemas.commit import ChainError
from schemas.manifest import Table
from snapshots.errors import LogError
from snapshots.run_log import raw_events

TABLES: tuple[Table, ...] = get_args(Table)

SORTED_BY: dict[Table, tuple[str, ...]] = {
    "orders": ("backtest_id", "order_id"),
    "fills": ("backtest_id", "fill_id"),
    "positions": ("backtest_id", "position_id"),
    "trades": ("backtest_id", "sequence"),
    "equity": ("backtest_id", "mark"),
    "events": ("backtest_id", "sequence"),
}

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


def schema_of(name: Table) -> pa.Schema:
    """Return the columns of a table."""
    return EVENTS_SCHEMA if name == "events" else fold_run([]).table(name).schema


def snapshot_tables(backtest_id: str, bodies: Iterable[bytes]) -> Iterator[tuple[Table, pa.Table]]:
    """Yield every table of a snapshot, by name, with its rows in the order of its key. Raises LogError."""
    try:
        run = fold_run(bodies)
        for name in TABLES:
            yield name, events_table(backtest_id, bodies) if name == "events" else _folded(run, name)
    except (FoldError, ChainError, msgspec.DecodeError, pa.ArrowException, OverflowError) as error:
        raise LogError(f"the log of {backtest_id} can't be folded: {error}") from error


def events_table(backtest_id: str, bodies: Iterable[bytes]) -> pa.Table:
    """Return the events of a run's commits."""
    columns: list[list[object]] = [[] for _ in EVENTS_SCHEMA]
    _, sequences, times, types, numbers, authors, payloads = columns
    for body in bodies:
        for number, author, head, raw in raw_events(body):
            sequences.append(head.sequence)
            times.append(head.time_ns)
            types.append(head.type)
            numbers.append(number)
            authors.append(author)
            payloads.append(raw)
    arrays = [
        pa.repeat(pa.scalar(backtest_id, pa.string()), len(sequences)),
        pa.array(sequences, pa.int64()),
        pa.array(times, pa.int64()).view(pa.timestamp("ns", tz="UTC")),
        _words(types),
        pa.array(numbers, pa.int64()),
        _words(authors),
        pa.array(payloads, pa.binary()).cast(pa.string()),
    ]
    return pa.Table.from_arrays(arrays, schema=EVENTS_SCHEMA)


def _words(values: list[object]) -> pa.Array:
    return pa.array(values, pa.string()).dictionary_encode()


def _folded(run: RunTables, name: Table) -> pa.Table:
    table = run.table(name)
    key = SORTED_BY[name][1]
    order = pc.sort_indices(table, sort_keys=[(key, "ascending")])
    return table.take(order) if not order.equals(pa.array(range(len(table)), pa.uint64())) else table
