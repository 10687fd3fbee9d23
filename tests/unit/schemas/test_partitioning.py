"""A key's home partition is where Kafka's Java client and aiokafka send it."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from schemas.partitioning import home_partition, murmur2

# From the Java client's own tests (UtilsTest.testMurmur2): signed 32-bit integers.
JAVA = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]
# From librdkafka's tests, which took them from the Java client: every length of the tail, and nothing.
LIBRDKAFKA = [
    (b"kafka", 0xD067CF64),
    (b"giberish123456789", 0x8F552B0C),
    (b"1234", 0x9FC97B14),
    (b"234", 0xE7C009CA),
    (b"34", 0x873930DA),
    (b"4", 0x5A4B5CA1),
    (b"PreAmbleWillBeRemoved,ThePrePartThatIs", 0x78424F1C),
    (b"", 0x106E08D9),
]


@pytest.mark.parametrize(("key", "signed"), JAVA)
def test_murmur2_is_that_of_the_java_client(key: bytes, signed: int) -> None:
    """Java shows it as a signed integer."""
    assert murmur2(key) == signed % 2**32


@pytest.mark.parametrize(("key", "value"), LIBRDKAFKA)
def test_murmur2_is_that_of_librdkafka(key: bytes, value: int) -> None:
    """With its setting partitioner = murmur2_random."""
    assert murmur2(key) == value


@given(st.binary(max_size=64))
def test_murmur2_is_that_of_aiokafka(key: bytes) -> None:
    """For any bytes, also those that are not text."""
    assert murmur2(key) == aiokafka_murmur2(key) % 2**32


@given(st.binary(min_size=1, max_size=32), st.integers(1, 64))
def test_the_home_is_where_aiokafka_sends_the_key(key: bytes, partitions: int) -> None:
    """Its default partitioner, with all partitions at hand."""
    numbers = list(range(partitions))
    assert home_partition(key, partitions) == DefaultPartitioner()(key, numbers, numbers)
