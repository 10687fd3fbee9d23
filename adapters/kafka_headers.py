"""This module lets records pass whose header names are not UTF-8, where aiokafka would stop for good.

Kafka's protocol calls header names text, but brokers do not check, and clients written in C send any bytes. aiokafka decodes the
names strictly while it unpacks a batch, and unpacks the same batch again after the error: one such record from one producer
stops its partition for ever, without a word (tried on Kafka 4.3.1). Here a batch that can't be unpacked is unpacked again
by aiokafka's own Python implementation, with the bytes in question shown as backslash escapes. Other batches take the fast way.
"""

from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


def read_any_header_name() -> None:
    """Let all consumers of this process read such records. Safe to repeat."""
    fetcher.MemoryRecords = _KeptRecords
    fetcher.PartitionRecords = _TolerantPartitionRecords


class _KeptRecords(MemoryRecords):  # type: ignore[misc]
    """Records that keep the bytes they were made of."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class _TolerantPartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """What was fetched of one partition; after an error it looks again, leniently, at what was not handed out yet."""

    _records: Any
    _is_lenient = False

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except (UnicodeDecodeError, CorruptRecordException):
            if self._is_lenient:
                raise  # it is broken in another way
            # What is known of aborted transactions stays: it is as of the batch at hand, where the second look begins.
            self._is_lenient = True
            self._records = _LenientRecords(self._records.data, self.next_fetch_offset)
            self._records_iterator = self._unpack_records()
            return super().__next__()


class _LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches from an offset on, whose header names are decoded without strictness."""

    def __init__(self, data: bytes, start: int) -> None:
        super().__init__(data)
        while self._next_slice is not None and self._batch(self._next_slice).next_offset <= start:
            self._cache_next()

    def next_batch(self, *_: Any) -> Any:
        part = self._next_slice
        if part is None:
            return None
        self._cache_next()
        return self._batch(part)

    def _batch(self, part: memoryview) -> Any:
        magic = part[self.MAGIC_OFFSET]
        return _LenientBatch(part) if magic >= 2 else LegacyRecordBatch(part, magic)


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, _LenientBytes):
            self._buffer = _LenientBytes(self._buffer)


class _LenientBytes(bytearray):
    """Bytes whose parts decode to text whatever they hold."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _LenientBytes(found) if isinstance(place, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self).decode(encoding, "backslashreplace")
