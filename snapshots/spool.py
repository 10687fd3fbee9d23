"""This module keeps the commits of one open run until it is finished: in memory, or in a temporary file when told so."""

import struct
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_LENGTH = struct.Struct("<I")


class Spool:
    """Commits in order. Iterating gives them from the first on, as often as wanted, also from another thread.

    The temporary file has no name: however the process dies, nothing is left behind.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._bodies: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._finalizer: weakref.finalize[[], Spool] | None = None
        self.bytes = 0

    @property
    def is_on_disk(self) -> bool:
        return self._file is not None

    def append(self, body: bytes) -> None:
        self.bytes += len(body)
        if self._file is None:
            self._bodies.append(body)
        else:
            self._write(self._file, body)

    def spill(self) -> None:
        """Move what is in memory to a temporary file."""
        if self._file is not None:
            return
        # Unbuffered: another thread reads what was written through the same descriptor.
        file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 (it lives as long as the spool)
        self._finalizer = weakref.finalize(self, file.close)
        for body in self._bodies:
            self._write(file, body)
        self._file, self._bodies = file, []

    def close(self) -> None:
        self._bodies = []
        if self._finalizer is not None:
            self._finalizer()

    def __iter__(self) -> Iterator[bytes]:
        if self._file is None:
            yield from self._bodies
            return
        with open(self._file.fileno(), "rb", closefd=False) as again:
            # The descriptor is shared with append, and iterating begins only when nothing is appended any more.
            again.seek(0)
            while length := again.read(_LENGTH.size):
                yield again.read(_LENGTH.unpack(length)[0])

    @staticmethod
    def _write(file: IO[bytes], body: bytes) -> None:
        block = _LENGTH.pack(len(body)) + body
        written = file.write(block)
        assert written == len(block), "a write to a file of this machine is whole, or raises"
