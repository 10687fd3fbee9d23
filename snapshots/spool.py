"""This module keeps the commits of open runs until they are finished, within bounds of memory and disk.

Above the bound of memory the largest run moves to a temporary file; above the bound of disk the largest one is dropped, and is
read from the log again at its end.
"""

import os
import struct
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_LENGTH = struct.Struct("<I")


class Spool:
    """One run's commits in order. Iterating gives them from the first on, as often as wanted, also in another thread.

    A temporary file has no name and is closed with its spool: however the process dies, nothing is left behind.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._bodies: list[bytes] = []
        self._file: IO[bytes] | None = None
        self.bytes = 0
        self.is_sealed = False  # complete: another thread may be reading, so it stays where it is
        self.is_dropped = False

    @property
    def is_on_disk(self) -> bool:
        return self._file is not None

    def append(self, body: bytes) -> None:
        assert not self.is_sealed, "a finished run gets no more commits"
        self.bytes += len(body)
        if self._file is None:
            self._bodies.append(body)
        else:
            _write(self._file, body)

    def spill(self) -> None:
        """Move what is in memory to a temporary file."""
        assert not self.is_sealed and self._file is None, "what is read by another thread stays where it is"
        file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 (it lives as long as the spool)
        weakref.finalize(self, file.close)
        for body in self._bodies:
            _write(file, body)
        self._file, self._bodies = file, []

    def drop(self) -> None:
        """Forget the commits, before the run is finished."""
        self._bodies, self._file, self.bytes, self.is_dropped = [], None, 0, True

    def __iter__(self) -> Iterator[bytes]:
        if self._file is None:
            yield from self._bodies
            return
        descriptor, offset = os.dup(self._file.fileno()), 0
        try:
            while length := os.pread(descriptor, _LENGTH.size, offset):
                size = _LENGTH.unpack(length)[0]
                yield os.pread(descriptor, size, offset + _LENGTH.size)
                offset += _LENGTH.size + size
        finally:
            os.close(descriptor)


class Spools:
    """The spools of one process, and how much they hold together."""

    def __init__(self, *, memory_bytes: int, disk_bytes: int, folder: Path | None = None) -> None:
        self._memory_bytes = memory_bytes
        self._disk_bytes = disk_bytes
        self._folder = folder
        self._spools: set[Spool] = set()
        self.in_memory = 0
        self.on_disk = 0

    def open(self) -> Spool:
        spool = Spool(self._folder)
        self._spools.add(spool)
        return spool

    def append(self, spool: Spool, body: bytes) -> None:
        """Keep one more commit; this spool or another may move to disk or be dropped."""
        if spool.is_dropped:
            return
        spool.append(body)
        if spool.is_on_disk:
            self.on_disk += len(body)
        else:
            self.in_memory += len(body)
        if self.in_memory > self._memory_bytes:
            self._spill_largest()
        if self.on_disk > self._disk_bytes:
            self._drop_largest()

    def release(self, spool: Spool) -> None:
        """Stop counting a spool. It is not closed here: a thread may still read it, and closes it by forgetting it."""
        if spool in self._spools:
            self._spools.remove(spool)
            self._count(spool, -1)

    def _spill_largest(self) -> None:
        open_ones = [each for each in self._spools if not each.is_sealed and not each.is_on_disk]
        largest = max(open_ones, key=lambda each: each.bytes, default=None)
        if largest is not None:
            self._count(largest, -1)
            largest.spill()
            self._count(largest, +1)

    def _drop_largest(self) -> None:
        open_ones = [each for each in self._spools if not each.is_sealed and each.is_on_disk]
        largest = max(open_ones, key=lambda each: each.bytes, default=None)
        if largest is not None:
            self._count(largest, -1)
            largest.drop()

    def _count(self, spool: Spool, sign: int) -> None:
        if spool.is_on_disk:
            self.on_disk += sign * spool.bytes
        else:
            self.in_memory += sign * spool.bytes


def _write(file: IO[bytes], body: bytes) -> None:
    block = _LENGTH.pack(len(body)) + body
    written = file.write(block)
    assert written == len(block), "a write to a file of this machine is whole, or raises"
