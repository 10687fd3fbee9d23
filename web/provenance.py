"""This module tells what ran a backtest, from the headers of its first record: they are beside the log, not inside it."""

import asyncio
import time
from typing import Any

from adapters.errors import AdapterError, NotFoundError
from adapters.ports import LogReader, TopicPartition

NAMES = ("code", "backtape", "python", "numpy", "cpu")
KEPT = 1_000
PATIENCE_SECONDS = 3.0  # a result is shown without it where Kafka is slow or gone,
PAUSE_SECONDS = 10.0  # and Kafka is not asked again for so long


class Provenance:
    """Headers of first records; they never change."""

    def __init__(self, log: LogReader, events_topic: str) -> None:
        self._log = log
        self._topic = events_topic
        self._kept: dict[str, dict[str, str]] = {}
        self._not_before = 0.0

    async def of(self, row: dict[str, Any]) -> dict[str, str]:
        """Return code digest, versions and processor of a backtest's run; empty where the log does not tell.

        row : of the view backtests
        """
        backtest_id = row["backtest_id"]
        if backtest_id not in self._kept:
            if time.monotonic() < self._not_before:
                return {}
            source = TopicPartition(self._topic, row["partition"])
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    records = await self._log.read(source, row["first_offset"], max_records=1)
            except NotFoundError:
                records = []  # truncated behind the archive
            except (AdapterError, TimeoutError):
                self._not_before = time.monotonic() + PAUSE_SECONDS
                return {}
            told = {name: value for record in records for name, value in record.headers}
            found = {name: told[name].decode("utf-8", "replace") for name in NAMES if name in told}
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[backtest_id] = found
        return self._kept[backtest_id]
