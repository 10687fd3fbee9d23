"""This module tells a backtest's home partition: murmur2 of its id, as Kafka's Java client hashes keys.

Clients differ: librdkafka's default is CRC32, so only one in N of its records arrives at home. Intake forwards the rest.
"""


def murmur2(data: bytes) -> int:
    """Return the 32-bit murmur2 hash with Kafka's seed, as an unsigned integer."""
    length = len(data)
    mask = 0xFFFFFFFF
    multiplier = 0x5BD1E995
    value = (0x9747B28C ^ length) & mask
    for start in range(0, length - length % 4, 4):
        block = int.from_bytes(data[start : start + 4], "little")
        block = (block * multiplier) & mask
        block ^= block >> 24
        block = (block * multiplier) & mask
        value = ((value * multiplier) & mask) ^ block
    rest = data[length - length % 4 :]
    if rest:
        value ^= int.from_bytes(rest, "little")
        value = (value * multiplier) & mask
    value ^= value >> 13
    value = (value * multiplier) & mask
    value ^= value >> 15
    return value


def home_partition(key: bytes, partitions: int) -> int:
    """Return the partition where a key belongs. Agrees with the Java client and aiokafka."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
