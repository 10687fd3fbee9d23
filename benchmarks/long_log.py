"""This module makes the log that is measured: long real runs by a real worker, spread evenly over the partitions."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from adapters.kafka import KafkaLogReader, read_all
from adapters.ports import Record, TopicPartition
from backtape.client import Client
from benchmarks.scene import MINUTES, PARTITIONS
from consumers.settings import Settings
from schemas.commit import decode_commit
from schemas.partitioning import home_partition
from schemas.topics import EVENTS

# Orders of one kind, of several, stops that are moved bar by bar: what projections cost depends on the mix.
STRATEGIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("sma_cross", {"fast": 3, "slow": 10}),
    ("sma_cross", {"fast": 5, "slow": 15}),
    ("sma_cross", {"fast": 8, "slow": 21}),
    ("sma_cross", {"fast": 4, "slow": 12}),
    ("sma_cross", {"fast": 10, "slow": 40}),
    ("rsi_reversion", {"length": 5}),
    ("donchian_breakout", {"entry": 20, "exit": 10}),
    ("sma_cross", {"fast": 3, "slow": 8}),
)


def spec(dataset: str, symbol: str, timeframe: str, strategy: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "data": {"dataset": dataset, "symbols": [symbol], "timeframe": timeframe},
        "strategy": {"name": strategy, "parameters": parameters},
        **more,
    }


def spread_ids(prefix: str, count: int) -> list[str]:
    """Return ids whose home partitions are taken in turn."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        candidate = f"{prefix}-{number}"
        number += 1
        if home_partition(candidate.encode(), PARTITIONS) == len(found) % PARTITIONS:
            found.append(candidate)
    return found


async def submit_long_runs(settings: Settings, prefix: str = "long") -> list[str]:
    ids = spread_ids(prefix, len(STRATEGIES))
    async with Client(settings) as client:
        for backtest_id, (strategy, parameters) in zip(ids, STRATEGIES, strict=True):
            await client.submit(spec(MINUTES, "SIM", "1m", strategy, parameters), backtest_id=backtest_id)
    return ids


@dataclass(slots=True)
class Written:
    """What lies on the events topic."""

    records: list[Record] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    events_before: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # partition: (offset, events up to it)

    @property
    def events(self) -> int:
        return sum(self.kinds.values())

    @property
    def bytes(self) -> int:
        return sum(len(record.value or b"") for record in self.records)

    def events_up_to(self, partition: int, next_offset: int) -> int:
        """Return how many events the partition holds before an offset."""
        passed = [total for offset, total in self.events_before.get(partition, []) if offset < next_offset]
        return passed[-1] if passed else 0

    def mix(self) -> str:
        shares = (f"{kind} {count / self.events:.1%}" for kind, count in self.kinds.most_common() if count / self.events >= 0.001)
        return ", ".join(shares)


async def read_log(settings: Settings) -> Written:
    """Read the events topic whole and count what it holds."""
    written = Written()
    reader = KafkaLogReader(settings.kafka)
    try:
        for number in range(PARTITIONS):
            total = 0
            steps = written.events_before.setdefault(number, [])
            async for record in read_all(reader, TopicPartition(settings.kafka.topic(EVENTS), number), 0):
                events = decode_commit(record.value or b"").events
                written.kinds.update(type(event).__name__ for event in events)
                written.records.append(record)
                total += len(events)
                steps.append((record.offset, total))
                await asyncio.sleep(0)
    finally:
        await reader.close()
    return written
