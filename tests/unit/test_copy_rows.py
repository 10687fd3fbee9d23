"""Tests of the binary form of COPY: every kind of value, at the borders of its forms."""

import struct
from typing import Any

import msgspec
import pytest

from adapters.copy_rows import encode_copy
from adapters.errors import FatalError
from adapters.ports import TableWrite

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
EPOCH_US = 946_684_800_000_000  # 2000-01-01


def _copy(kind: str, *values: Any) -> bytes:
    write = TableWrite("t", "insert", (), (("c", kind),), len(values), (msgspec.msgpack.encode([(value,) for value in values]),))
    return b"".join(encode_copy(write))


def _field(kind: str, value: Any) -> bytes:
    """Return the only field of the only row, without its length; None for NULL."""
    whole = _copy(kind, value)
    assert whole.startswith(HEADER + b"\0\x01")
    assert whole.endswith(b"\xff\xff")
    length = int.from_bytes(whole[21:25], "big", signed=True)
    body = whole[25:-2]
    assert len(body) == max(length, 0)
    return body if length >= 0 else b"NULL"


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_of_any_size_is_eight_bytes(value: int, sign: int) -> None:
    """MessagePack has nine forms of an integer, PostgreSQL has one."""
    assert _field("int8", sign * value) == struct.pack(">q", sign * value)


def test_the_smallest_integer_is_eight_bytes() -> None:
    """The one that has no positive twin."""
    assert _field("int8", -(2**63)) == struct.pack(">q", -(2**63))


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, 1e308, 5e-324, float("inf"), float("nan"), 3, -40_000])
def test_a_number_keeps_its_bits(value: float) -> None:
    """A double as it is; an integer as the double of its value."""
    assert _field("float8", value) == struct.pack(">d", value)


def test_small_kinds() -> None:
    """Integers of four bytes, truth, bytes, and NULL in each column."""
    assert _field("int4", -5) == struct.pack(">i", -5)
    assert (_field("bool", True), _field("bool", False)) == (b"\1", b"\0")
    assert _field("bytea", b"\0\xff") == b"\0\xff"
    for kind in ("int8", "int4", "float8", "bool", "timestamptz", "text", "jsonb", "text[]", "bytea"):
        assert _field(kind, None) == b"NULL"


@pytest.mark.parametrize("time_ns", [0, 999, 1_000, 1_700_000_000_123_456_789])
def test_a_time_is_whole_microseconds_since_2000(time_ns: int) -> None:
    """Downwards, as everywhere."""
    assert _field("timestamptz", time_ns) == struct.pack(">q", time_ns // 1_000 - EPOCH_US)


@pytest.mark.parametrize("text", ["", "buy", "x" * 31, "x" * 32, "ü" * 200, "x" * 70_000, "a\0b", "\0" * 500])
def test_a_text_is_its_utf8_without_nul(text: str) -> None:
    """PostgreSQL refuses the character NUL; a text of them takes three times its room."""
    assert _field("text", text) == text.replace("\0", "\ufffd").encode()


def test_json_stands_behind_its_version() -> None:
    """The binary form of jsonb begins with 1."""
    assert _field("jsonb", '{"a": 1}') == b'\1{"a": 1}'


def test_a_list_of_texts_is_an_array_of_one_dimension() -> None:
    """An empty one has none."""
    assert _field("text[]", []) == struct.pack(">iii", 0, 0, 25)
    wanted = struct.pack(">iiiii", 1, 0, 25, 2, 1) + struct.pack(">i", 2) + b"ab" + struct.pack(">i", 3) + b"\xef\xbf\xbd"
    assert _field("text[]", ["ab", "\0"]) == wanted


def test_a_value_that_is_no_column_is_left_out() -> None:
    """Flags, and what does not change: skipped, whatever it is."""
    for skipped in (True, None, 7, -7, 2**40, 1.5, "text", "x" * 300):
        columns = (("a", "int8"), None, ("b", "text"))
        write = TableWrite("t", "insert", (), columns, 1, (msgspec.msgpack.encode([(1, skipped, "z")]),))
        assert b"".join(encode_copy(write)) == HEADER + struct.pack(">hiqi", 2, 8, 1, 1) + b"z" + b"\xff\xff"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int8", 2**63), ("int4", 2**31), ("int8", "1"), ("int8", 1.5), ("float8", "1"), ("bool", 1), ("text", 5),
        ("text[]", "ab"), ("text[]", [1]), ("timestamptz", "2020"), ("jsonb", True),
    ],
)  # fmt: skip
def test_a_value_that_its_column_cannot_hold_is_named(kind: str, value: object) -> None:
    """Nothing is bent: the error names table, column and row."""
    with pytest.raises(FatalError, match=r"t: \('c', .* of row 3 of 3"):
        _copy(kind, None, None, value)


def test_chunks_of_any_size_make_one_copy() -> None:
    """Parts end between chunks; what is larger than a part, or grows while it is written, is begun anew in a larger one."""
    chunks = [
        [(number, "x" * size)] * count for number, (size, count) in enumerate([(3, 9_000), (400_000, 1), (3, 1), (9, 70_000)])
    ]
    chunks.append([(7, "\0" * 100_000)] * 2)
    columns = (("a", "int8"), ("b", "text"))
    rows = [row for chunk in chunks for row in chunk]
    write = TableWrite("t", "insert", (), columns, len(rows), tuple(msgspec.msgpack.encode(chunk) for chunk in chunks))
    parts = [bytes(part) for part in encode_copy(write)]
    wanted = [text.replace("\0", "\ufffd").encode() for _, text in rows]
    fields = (struct.pack(">hiqi", 2, 8, row[0], len(text)) + text for row, text in zip(rows, wanted, strict=True))
    assert b"".join(parts) == HEADER + b"".join(fields) + b"\xff\xff"
    assert len(parts) > 3


def test_an_array_at_the_end_of_a_part_has_room() -> None:
    """An empty array is larger than a number: whatever the place where the part is full, nothing is written behind it."""
    columns = (("pad", "text"), ("a", "text[]"), ("b", "text[]"), ("c", "int8"))
    for size in range(262_000, 262_144):
        write = TableWrite("t", "insert", (), columns, 1, (msgspec.msgpack.encode([("x" * (size - 60), [], [], 1)]),))
        made = b"".join(encode_copy(write))
        assert made.endswith(2 * struct.pack(">iiii", 12, 0, 0, 25) + struct.pack(">iq", 8, 1) + b"\xff\xff")


def test_the_row_of_a_later_chunk_is_counted_from_the_first() -> None:
    """The error names the row's number within the whole write."""
    chunks = tuple(msgspec.msgpack.encode([(1,), (value,)]) for value in (2, 3, "no"))
    with pytest.raises(FatalError, match="row 6 of 6"):
        list(encode_copy(TableWrite("t", "insert", (), (("c", "int8"),), 6, chunks)))
