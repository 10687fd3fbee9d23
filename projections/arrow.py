"""This module turns rows into typed columns: Arrow record batches, for Postgres and for Parquet.

The types follow from projections/tables.py. Two forms of the same rows:

- ``sql``: timestamps in microseconds, which is what ``timestamptz`` holds; text without NUL, which Postgres refuses;
- ``full``: timestamps in nanoseconds UTC, words dictionary-encoded, without the inner columns. Parquet files and in-process
  results have this form.

Both need only the rows' values; times are int64 nanoseconds there.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ARRAY, BigInteger, Boolean, Column, DateTime, Double, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from projections.forms import Form, Row
from projections.tables import shown

_NUL_REPLACEMENT = "\ufffd"


@cache
def schema_of(table: Table, *, form: Form, names: tuple[str, ...] | None = None) -> pa.Schema:
    """Return the Arrow schema of the columns that a table has in a form, or of the named ones.

    A JSON column is text whose field carries the metadata ``sql = jsonb``.
    """
    if names is None:
        names = tuple(table.columns.keys()) if form == "sql" else shown(table)
    return pa.schema([_field(table.columns[name], form) for name in names])


def to_batch(table: Table, rows: Sequence[Row], *, form: Form, names: tuple[str, ...] | None = None) -> pa.RecordBatch:
    """Return the rows as a record batch.

    rows : tuples in the order of the schema's columns; a StrEnum counts as its text
    Raises pyarrow.ArrowException or OverflowError for a value that its column can't hold.
    """
    # One comprehension for each column: transposing by zip(*rows) takes three times as long.
    places = range(len(schema_of(table, form=form, names=names)))
    return columns_to_batch(table, [[row[place] for row in rows] for place in places], form=form, names=names)


def columns_to_batch(
    table: Table, columns: Sequence[list[Any]], *, form: Form, names: tuple[str, ...] | None = None
) -> pa.RecordBatch:
    """Do what ``to_batch`` does, with one list for each column."""
    schema = schema_of(table, form=form, names=names)
    arrays = [array_of(values, field) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def array_of(values: list[Any], field: pa.Field) -> pa.Array:
    """Return a column's values as they are typed in the field; times are int64 nanoseconds."""
    kind = field.type
    if pa.types.is_timestamp(kind):
        nanoseconds = pa.array(values, pa.int64())
        if kind.unit == "ns":
            return nanoseconds.view(kind)
        return _floor_to_microseconds(nanoseconds).view(kind)
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    if not pa.types.is_string(kind):
        return pa.array(values, kind)
    if _is_one_text(values):
        return pa.repeat(_without_nul(pa.array(values[:1], kind))[0], len(values))
    return _without_nul(pa.array(values, kind))


def _is_one_text(values: list[Any]) -> bool:
    """Say whether one text stands in every row, as a backtest's id often does: that is cheaper to see than to convert."""
    return len(values) > 1 and values[0] is not None and values[0] is values[-1] and values.count(values[0]) == len(values)


def _floor_to_microseconds(nanoseconds: pa.Array) -> pa.Array:
    # Arrow divides towards zero, which is the floor for what we have: times are never before 1970.
    return pc.divide(nanoseconds, 1000)


def _without_nul(array: pa.Array) -> pa.Array:
    # In UTF-8 a zero byte is always a NUL: one look through the whole column's bytes finds any.
    text = array.buffers()[2]
    if text is not None and b"\0" in memoryview(text).tobytes():
        return pc.replace_substring(array, "\0", _NUL_REPLACEMENT)
    return array


def _field(column: Column[Any], form: Form) -> pa.Field:
    kind = column.type
    metadata = {"sql": "jsonb"} if isinstance(kind, JSONB) else None
    arrow = _ARROW_TYPES[type(kind)]
    if isinstance(kind, ARRAY):
        arrow = pa.list_(pa.string())
    elif isinstance(kind, DateTime):
        arrow = pa.timestamp("us" if form == "sql" else "ns", tz="UTC")
    elif column.info.get("word") and form == "full":
        arrow = pa.dictionary(pa.int32(), pa.string())
    return pa.field(column.name, arrow, nullable=bool(column.nullable), metadata=metadata)


_ARROW_TYPES: dict[type[Any], pa.DataType] = {
    Text: pa.string(),
    JSONB: pa.string(),
    BigInteger: pa.int64(),
    Integer: pa.int32(),
    Double: pa.float64(),
    Boolean: pa.bool_(),
    LargeBinary: pa.binary(),
    ARRAY: pa.list_(pa.string()),
    DateTime: pa.timestamp("us", tz="UTC"),
}
