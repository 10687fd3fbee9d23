"""This module keeps bars as local files that processes map into memory, one copy for all of them.

A file is a 64-byte header, then the six columns (eight with quotes) one after another as 8-byte little-endian values. It is
named by the digest of the data-set file it was made from, and appears complete by a rename, so that two processes may make it
at the same time.
Each process checks a file's checksum the first time it opens it (about 0.05 s for a million bars) and its size every time; a
file that fails is left out, and made again by the caller.
"""

import os
import struct
import uuid
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapters.errors import ConfigurationError, RetryableError
from schemas.market_data import Bars, DataFile, FloatArray, TimeArray, columns_of

MAGIC = b"BTBARS01"
HEADER = struct.Struct("<8sqqqI")  # magic, rows, first time, last time, CRC-32 of what follows
HEADER_BYTES = 64  # a multiple of the 8 bytes that the columns are aligned to
COLUMN_BYTES = 8
assert HEADER.size <= HEADER_BYTES and HEADER_BYTES % COLUMN_BYTES == 0

_checked: set[tuple[str, int, int]] = set()  # path, inode, mtime: files whose checksum this process has seen to be right


def load_bars(folder: Path, file: DataFile) -> Bars | None:
    """Return the mapped bars of a data-set file, or None when there is no good copy of it in the folder."""
    path = _path(folder, file)
    try:
        state = path.stat()
        if state.st_size != HEADER_BYTES + len(columns_of(file)) * COLUMN_BYTES * file.rows:
            return None
        mapped = np.memmap(path, dtype=np.uint8, mode="r")
    except OSError:
        return None
    magic, rows, first_ns, last_ns, checksum = HEADER.unpack(mapped[: HEADER.size].tobytes())
    if (magic, rows, first_ns, last_ns) != (MAGIC, file.rows, file.first_ns, file.last_ns):
        return None
    identity = (str(path), state.st_ino, state.st_mtime_ns)
    if identity not in _checked:
        if zlib.crc32(mapped.data[HEADER_BYTES:]) != checksum:
            return None
        _checked.add(identity)
    return _bars_of(np.asarray(mapped[HEADER_BYTES:]), file)


def store_bars(folder: Path, file: DataFile, bars: Bars) -> None:
    """Write the copy of a data-set file. Raises RetryableError or ConfigurationError when the folder can't be written."""
    columns: list[TimeArray | FloatArray] = [bars.time_ns, *(getattr(bars, name) for name in columns_of(file)[1:])]
    checksum = 0
    for column in columns:
        checksum = zlib.crc32(_raw(column), checksum)
    header = HEADER.pack(MAGIC, file.rows, file.first_ns, file.last_ns, checksum).ljust(HEADER_BYTES, b"\0")
    temporary = folder / f"{uuid.uuid4().hex}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as out:
            out.write(header)
            for column in columns:
                out.write(_raw(column))
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, _path(folder, file))
    except PermissionError as error:
        raise ConfigurationError(f"the cache of market data {folder} can't be written: {error}") from error
    except OSError as error:
        raise RetryableError(f"the cache of market data {folder}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _path(folder: Path, file: DataFile) -> Path:
    return folder / f"{file.sha256}.bars"


def _raw(column: TimeArray | FloatArray) -> memoryview:
    assert column.dtype.itemsize == COLUMN_BYTES, "every column has 8-byte values"
    little_endian = np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))
    return little_endian.view(np.uint8).data


def _bars_of(raw: NDArray[np.uint8], file: DataFile) -> Bars:
    times = raw[: COLUMN_BYTES * file.rows].view("<i8")
    names = columns_of(file)[1:]
    values = raw[COLUMN_BYTES * file.rows :].view("<f8").reshape(len(names), file.rows)
    return Bars(symbol=file.symbol, timeframe=file.timeframe, time_ns=times, **dict(zip(names, values, strict=True)))
