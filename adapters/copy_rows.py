"""This module turns packed rows (MessagePack) into the binary form of PostgreSQL's COPY, in one compiled pass.

Both forms are lists of rows of typed values, and floats are big-endian in both: the pass reads a value's tag, checks it against
its column, and writes length and bytes. A row of twelve columns takes 0.1 microseconds; the same by way of Python lists and
Arrow took ten times as long (docs/performance.md).

Sources: the MessagePack specification; PostgreSQL's documentation, COPY, "Binary Format"; the server's send and receive
functions of each type (timestamptz as microseconds since 2000, jsonb after a version byte, arrays of one dimension).
"""

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np

from adapters.errors import FatalError
from adapters.ports import TableWrite

_SKIPPED, _INT8, _INT4, _FLOAT8, _BOOL, _MOMENT, _TEXT, _JSONB, _TEXTS, _BYTES = range(10)
_CODES = {
    "int8": _INT8, "int4": _INT4, "float8": _FLOAT8, "bool": _BOOL, "timestamptz": _MOMENT, "text": _TEXT, "jsonb": _JSONB,
    "text[]": _TEXTS, "bytea": _BYTES,
}  # fmt: skip

_HEADER = np.frombuffer(b"PGCOPY\n\xff\r\n\0" + bytes(8), dtype=np.uint8)
_TRAILER = np.frombuffer(b"\xff\xff", dtype=np.uint8)
_GROWTH = 3  # times; more than most chunks grow by: one that does not fit is begun anew
_NUMBER_BYTES = 12  # length and value, of the largest number
_ARRAY_BYTES = 24  # of an array's own header
_FULL, _UNFIT = -1, -2
_PART_BYTES = 256 * 1024  # made at a time: it is in the processor's cache when it goes into the socket

_EPOCH_US = 946_684_800_000_000  # 2000-01-01, from which PostgreSQL counts
_TEXT_OID = 25
_JSONB_VERSION = 1

_NIL, _FALSE, _TRUE, _FLOAT64 = 0xC0, 0xC2, 0xC3, 0xCB


def encode_copy(write: TableWrite) -> Iterator[memoryview]:
    """Yield the rows in the binary format of COPY, part by part. A part holds until the next is asked for.

    Times become whole microseconds, downwards; a NUL in a text becomes U+FFFD, because PostgreSQL holds none.
    Raises FatalError, naming column and row, for a value that its column can't hold.
    """
    kinds = np.array([_SKIPPED if column is None else _CODES[column[1]] for column in write.columns], dtype=np.uint8)
    failure = np.zeros(2, dtype=np.int64)
    out = np.empty(_PART_BYTES, dtype=np.uint8)
    out[: len(_HEADER)] = _HEADER
    filled, rows = len(_HEADER), 0
    for chunk in write.packed:
        if filled and filled + _GROWTH * len(chunk) > len(out):
            yield out[:filled].data
            filled = 0
        data = np.frombuffer(chunk, dtype=np.uint8)
        end = _transcode(data, kinds, out[: -len(_TRAILER)], filled, failure)
        while end == _FULL:
            if filled:
                yield out[:filled].data
                filled = 0
            else:
                out = np.empty(2 * len(out), dtype=np.uint8)
            end = _transcode(data, kinds, out[: -len(_TRAILER)], filled, failure)
        if end == _UNFIT:
            column = write.columns[failure[1]]
            raise FatalError(f"{write.table}: {column} of row {rows + failure[0] + 1} of {write.count} can't hold the value")
        filled = end
        rows += _array_head(data, 0)[1]
    out[filled : filled + len(_TRAILER)] = _TRAILER
    yield out[: filled + len(_TRAILER)].data


def warm_up() -> None:
    """Compile what ``encode_copy`` needs, or load it from numba's cache: at a process's start, not in its first batch."""
    for _ in encode_copy(TableWrite("none", "insert", (), (("text", "text"),), count=1, packed=(b"\x91\x91\xa0",))):
        pass


def _compiled(function: Any) -> Any:
    return numba.njit(cache=True, nogil=True)(function)


@_compiled
def _transcode(data, kinds, out, to, failure):  # type: ignore[no-untyped-def]
    """Write all rows to ``out`` from ``to`` on; return where they end, _FULL, or _UNFIT with row and column in ``failure``."""
    fields = 0
    for kind in kinds:
        fields += kind != _SKIPPED
    place, rows = _array_head(data, 0)
    for row in range(rows):
        place, width = _array_head(data, place)
        if to + 2 + _NUMBER_BYTES * fields > len(out):
            return _FULL
        failure[0] = row
        if width != len(kinds):
            return _UNFIT
        out[to] = fields >> 8
        out[to + 1] = fields & 255
        to += 2
        for column in range(width):
            failure[1] = column
            kind = kinds[column]
            tag = np.int64(data[place])
            if tag == _NIL:
                place += 1
                if kind != _SKIPPED:
                    to = _write_int(out, to, -1, 4)
            elif kind == _FLOAT8:
                to = _write_int(out, to, 8, 4)
                if tag == _FLOAT64:
                    for offset in range(8):
                        out[to + offset] = data[place + 1 + offset]
                    to += 8
                    place += 9
                else:
                    place, value, is_fit = _integer(data, place)
                    if not is_fit:
                        return _UNFIT
                    bits = np.array([np.float64(value)]).view(np.int64)[0]
                    to = _write_int(out, to, bits, 8)
            elif kind in (_INT8, _MOMENT, _INT4):
                place, value, is_fit = _integer(data, place)
                if not is_fit:
                    return _UNFIT
                if kind == _INT4:
                    if value < -0x80000000 or value > 0x7FFFFFFF:
                        return _UNFIT
                    to = _write_int(out, to, 4, 4)
                    to = _write_int(out, to, value, 4)
                else:
                    if kind == _MOMENT:
                        value = value // 1000 - _EPOCH_US
                    to = _write_int(out, to, 8, 4)
                    to = _write_int(out, to, value, 8)
            elif kind == _BOOL:
                if tag != _TRUE and tag != _FALSE:
                    return _UNFIT
                to = _write_int(out, to, 1, 4)
                out[to] = tag == _TRUE
                to += 1
                place += 1
            elif kind == _TEXTS:
                place, elements = _array_head(data, place)
                if elements < 0:
                    return _UNFIT
                start = to
                if to + _ARRAY_BYTES + _NUMBER_BYTES * fields > len(out):
                    return _FULL
                to = _write_int(out, to + 4, elements > 0, 4)
                to = _write_int(out, to, 0, 4)
                to = _write_int(out, to, _TEXT_OID, 4)
                if elements:
                    to = _write_int(out, to, elements, 4)
                    to = _write_int(out, to, 1, 4)
                for _ in range(elements):
                    place, length = _text_head(data, place)
                    if length < 0:
                        return _UNFIT
                    if not _has_room(out, to, length, fields):
                        return _FULL
                    to = _write_text(data, place, length, out, to, 0)
                    place += length
                _write_int(out, start, to - start - 4, 4)
            elif kind == _SKIPPED and tag in (_TRUE, _FALSE):
                place += 1
            elif kind == _SKIPPED and tag == _FLOAT64:
                place += 9
            else:
                after, length = _text_head(data, place)
                if length >= 0:
                    if kind != _SKIPPED:
                        if not _has_room(out, to, length, fields):
                            return _FULL
                        to = _write_text(data, after, length, out, to, kind)
                    place = after + length
                elif kind == _SKIPPED:
                    place, _, is_fit = _integer(data, place)
                    if not is_fit:
                        return _UNFIT
                else:
                    return _UNFIT
    return to


@_compiled
def _has_room(out, to, length, fields):  # type: ignore[no-untyped-def]
    """Say whether a text fits, each of its bytes replaced by three, and the numbers of its row after it."""
    return to + 5 + 3 * length + _NUMBER_BYTES * fields <= len(out)


@_compiled
def _write_int(out, to, value, size):  # type: ignore[no-untyped-def]
    """Write an integer, big-endian, and return the place after it."""
    for offset in range(size):
        out[to + offset] = (value >> (8 * (size - 1 - offset))) & 255
    return to + size


@_compiled
def _write_text(data, place, length, out, to, kind):  # type: ignore[no-untyped-def]
    """Write length and bytes; in UTF-8 a zero byte is always a NUL, which becomes U+FFFD."""
    start = to
    to += 4
    if kind == _JSONB:
        out[to] = _JSONB_VERSION
        to += 1
    for offset in range(place, place + length):
        byte = data[offset]
        if byte == 0 and kind != _BYTES:
            out[to] = 0xEF
            out[to + 1] = 0xBF
            out[to + 2] = 0xBD
            to += 3
        else:
            out[to] = byte
            to += 1
    _write_int(out, start, to - start - 4, 4)
    return to


@_compiled
def _unsigned(data, place, size):  # type: ignore[no-untyped-def]
    value = np.int64(0)
    for offset in range(place, place + size):
        value = (value << 8) | np.int64(data[offset])
    return value


@_compiled
def _integer(data, place):  # type: ignore[no-untyped-def]
    """Return the place after an integer, the integer, and whether it is one of 64 bits with a sign."""
    tag = np.int64(data[place])
    if tag < 0x80:
        return place + 1, tag, True
    if tag >= 0xE0:
        return place + 1, tag - 256, True
    if 0xCC <= tag <= 0xCF:
        size = 1 << (tag - 0xCC)
        value = _unsigned(data, place + 1, size)
        return place + 1 + size, value, value >= 0
    if 0xD0 <= tag <= 0xD3:
        size = 1 << (tag - 0xD0)
        value = _unsigned(data, place + 1, size)
        if size < 8 and value >= (np.int64(1) << (8 * size - 1)):
            value -= np.int64(1) << (8 * size)
        return place + 1 + size, value, True
    return place, np.int64(0), False


@_compiled
def _array_head(data, place):  # type: ignore[no-untyped-def]
    """Return the place of an array's first element and its length; -1 for what is no array."""
    tag = np.int64(data[place])
    if 0x90 <= tag <= 0x9F:
        return place + 1, tag - 0x90
    if tag == 0xDC:
        return place + 3, _unsigned(data, place + 1, 2)
    if tag == 0xDD:
        return place + 5, _unsigned(data, place + 1, 4)
    return place, np.int64(-1)


@_compiled
def _text_head(data, place):  # type: ignore[no-untyped-def]
    """Return the place of the first byte of a text (or of bytes) and its length; -1 for what is neither."""
    tag = np.int64(data[place])
    if 0xA0 <= tag <= 0xBF:
        return place + 1, tag - 0xA0
    if 0xD9 <= tag <= 0xDB:
        size = 1 << (tag - 0xD9)
        return place + 1 + size, _unsigned(data, place + 1, size)
    if 0xC4 <= tag <= 0xC6:
        size = 1 << (tag - 0xC4)
        return place + 1 + size, _unsigned(data, place + 1, size)
    return place, np.int64(-1)
