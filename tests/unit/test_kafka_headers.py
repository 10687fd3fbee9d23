"""Header names that are not UTF-8 are read, wherever in a batch they stand; everything else is read as before."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

from adapters.kafka_headers import read_any_header_name

read_any_header_name()

READ_COMMITTED = fetcher.READ_COMMITTED
COMPRESSIONS = {"none": 0, "gzip": 1, "lz4": 3, "zstd": 4}


class Name(str):
    """A header's name with bytes of its own."""

    wire: bytes

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self.wire


def name(wire: bytes) -> Name:
    made = Name("x" * len(wire))
    made.wire = wire
    return made


def batch(first: int, names: Sequence[bytes], *, compression: str = "none", producer_id: int = -1) -> bytes:
    """Return a batch of records, one for each header name, at the offsets from ``first`` on."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=COMPRESSIONS[compression],
        is_transactional=producer_id >= 0,
        producer_id=producer_id,
        producer_epoch=0 if producer_id >= 0 else -1,
        base_sequence=0 if producer_id >= 0 else -1,
        batch_size=1 << 20,
    )
    for place, each in enumerate(names):
        builder.append(place, 1_000, b"key", b"value %d" % place, [(name(each), b"\xff")])
    body = builder.build()
    return first.to_bytes(8, "big") + bytes(body[8:])  # the base offset is outside the checksum


def read(data: bytes, *, start: int = 0, aborted: Sequence[tuple[int, int]] = ()) -> list[Any]:
    records = fetcher.PartitionRecords(
        TopicPartition("t", 0), fetcher.MemoryRecords(data), list(aborted), start, None, None, True, READ_COMMITTED
    )
    return list(records)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("odd", range(3))
def test_every_record_is_read_once_wherever_the_odd_name_stands(compression: str, odd: int) -> None:
    """Those before it are not handed out again, those behind it are not lost; other batches lie around."""
    names = [b"a", "é".encode(), b"c"]
    names[odd] = b"\xff\xfe"
    data = batch(0, [b"first"]) + batch(1, names, compression=compression) + batch(4, [b"last"])
    found = read(data)
    assert [record.offset for record in found] == [0, 1, 2, 3, 4]
    shown = [each.decode("utf-8", "backslashreplace") for each in (b"first", *names, b"last")]
    assert [record.headers for record in found] == [((each, b"\xff"),) for each in shown]
    assert shown[1 + odd] == "\\xff\\xfe"
    assert [record.value for record in found] == [b"value 0", b"value 0", b"value 1", b"value 2", b"value 0"]


def test_a_position_within_the_batch_is_kept() -> None:
    """What lies before it was read earlier."""
    assert [record.offset for record in read(batch(5, [b"a", b"b", b"\xff"]), start=6)] == [6, 7]


def test_what_was_aborted_stays_hidden_and_what_was_committed_is_seen() -> None:
    """The second look neither forgets nor repeats what is known of transactions."""
    aborted, committed = batch(0, [b"a"], producer_id=7), batch(2, [b"b"], producer_id=7)
    data = aborted + marker(1, producer_id=7) + committed + batch(3, [b"\xff", b"d"]) + batch(5, [b"e"], producer_id=8)
    assert [record.offset for record in read(data, aborted=[(7, 0), (8, 5)])] == [2, 3, 4]


def marker(offset: int, *, producer_id: int) -> bytes:
    """Return the batch that ends a transaction by an abort."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=0,
        is_transactional=True,
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    builder.append(0, 1_000, b"\0\0\0\0", b"", [])  # version 0, type 0: abort
    body = bytearray(builder.build())
    body[22] |= 0x20  # a control batch
    body[17:21] = calc_crc32c(bytes(body[21:])).to_bytes(4, "big")
    return offset.to_bytes(8, "big") + bytes(body[8:])


def test_a_batch_that_is_broken_otherwise_is_still_an_error() -> None:
    """Damage is not a strange name."""
    data = bytearray(batch(0, [b"a"]))
    data[-1] ^= 1
    with pytest.raises(CorruptRecordException):
        read(bytes(data))
