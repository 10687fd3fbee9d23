"""This module writes and reads a snapshot's Parquet files. Equal tables give equal bytes with the same pyarrow.

Another pyarrow may write other bytes for the same rows, and with them another key. That harms nothing: a manifest names the
files that were written with it, and an audit compares rows.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.manifest import AnyTable, Table
from snapshots.errors import DamagedError
from snapshots.run_log import RunFacts

FORMAT = "1"  # of the tables' columns; readers of later versions look at it
ROW_GROUP_ROWS = 65_536  # about 5 MB of orders: small enough to prune and to hold, large enough to compress
COMPRESSION_LEVEL = 3


def told_of(facts: RunFacts, name: Table) -> dict[str, str]:
    """Return what the file of one run's table says of it."""
    return {
        "backtape.format": FORMAT,
        "backtape.table": name,
        "backtape.backtest_id": facts.backtest_id,
        "backtape.chain_head": facts.chain_head,
        "backtape.first_sequence": str(facts.first_sequence),
        "backtape.last_sequence": str(facts.last_sequence),
    }


@dataclass(frozen=True, slots=True)
class Part:
    """Where a run's rows lie in a file that several runs share."""

    row_group: int
    first_row: int  # within the row group
    rows: int


def encode_parts(groups: Sequence[pa.Table], *, name: AnyTable, sorted_by: Sequence[str], metadata: Mapping[str, str]) -> bytes:
    """Return a Parquet file with one row group for each of the tables, of rows of several runs."""
    told = {"backtape.format": FORMAT, "backtape.table": name, **metadata}
    sink = io.BytesIO()
    with open_writer(sink, groups[0].schema.with_metadata(told), sorted_by=sorted_by) as writer:
        for group in groups:
            writer.write_table(group.replace_schema_metadata(told), row_group_size=2**31 - 1)
    return sink.getvalue()


def open_writer(sink: IO[bytes], schema: pa.Schema, *, sorted_by: Sequence[str]) -> pq.ParquetWriter:
    """Return a writer of one file. The schema carries what the file says of itself."""
    return pq.ParquetWriter(
        sink,
        schema,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        write_statistics=True,
        sorting_columns=[pq.SortingColumn(schema.get_field_index(column)) for column in sorted_by],
    )


def decode_table(
    body: bytes, *, key: str, row_groups: Sequence[int] | None = None, first_row: int = 0, rows: int | None = None
) -> pa.Table:
    """Return the table of a Parquet file, or some rows of some of its row groups. Raises DamagedError when it is no such file."""
    try:
        file = pq.ParquetFile(io.BytesIO(body))
        if row_groups is None:
            return file.read()
        return file.read_row_groups(list(row_groups)).slice(first_row, rows)
    except (pa.ArrowException, OSError, IndexError) as error:
        raise DamagedError(f"{key} is no readable Parquet file: {error}") from error


def metadata_of(table: pa.Table) -> dict[str, str]:
    """Return what a file says it was made from."""
    metadata = table.schema.metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items() if key.startswith(b"backtape.")}
