"""This module holds what the compactor knows of its partitions and open runs."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from adapters.ports import TopicPartition
from snapshots.run_log import Chain
from snapshots.spool import Spool

MIB = 1024 * 1024
MAX_NAMED = 100  # refused runs that are named; the rest are counted


@dataclass(frozen=True, slots=True)
class CompactorRules:
    """How much the compactor takes on."""

    archive_topic: str
    receipts_topic: str | None = None  # where deletions are read; None: they are not
    small_bytes: int = MIB  # of a run's commits: up to here it is written in a bundle with others; 0: none is
    bundle_bytes: int = 64 * MIB  # of tables in memory, at which a bundle is written
    bundle_runs: int = 2_000  # runs at which it is
    bundle_seconds: float = 10.0  # how long the first run of a bundle waits for others
    slots: int = 2  # runs folded at a time: each holds its tables in memory
    max_waiting: int = 64  # finished runs not yet announced and in no open bundle, above which nothing more is read
    memory_bytes: int = 64 * MIB  # of spooled commits in memory; above, the largest run goes to disk
    disk_bytes: int = 8 * 1024 * MIB  # of spooled commits on disk; above, the largest run is read from the log again at its end
    folder: Path | None = None  # of the temporary files; None: the system's
    retry_seconds: float = 900.0  # how long the outside may fail before the process gives up
    commit_seconds: float = 1.0  # between two commits of a position


@dataclass(slots=True)
class Run:
    """One run whose snapshot is not announced yet."""

    backtest_id: str
    first_offset: int
    log_id: str
    spool: Spool
    chain: Chain = field(default_factory=Chain)
    last_offset: int = -1
    finished_ms: int | None = None


@dataclass(slots=True)
class Source:
    """One partition of the events topic that is ours."""

    source: TopicPartition
    next_offset: int
    committed: int | None
    end: int = 0  # of the log when it was assigned: runs that end before it may have their snapshot already
    runs: dict[str, Run] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)  # broken ones: what follows of them is passed over
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)  # one for each finished run that waits
    committing: "asyncio.Task[None] | None" = None

    @property
    def position(self) -> int:
        """Everything before it is done with."""
        return min((run.first_offset for run in self.runs.values()), default=self.next_offset)


@dataclass(slots=True)
class Counts:
    """What the compactor has done."""

    snapshots: int = 0
    deleted: int = 0
    bytes: int = 0
    retries: int = 0
    refused: int = 0
    refusals: list[str] = field(default_factory=list)  # "backtest: what is wrong", the first hundred

    def refuse(self, backtest_id: str, why: str) -> None:
        self.refused += 1
        if len(self.refusals) < MAX_NAMED:
            self.refusals.append(f"{backtest_id}: {why}")
