"""This module drives workers on the memory log: it assigns and revokes, delivers records and waits for what shall be true."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adapters.memory_log import MemoryLog, MemoryMembership, MemoryPartition
from adapters.ports import Headers, TopicPartition
from consumers.worker.loop import Worker
from consumers.worker.partition import WorkerRules
from consumers.worker.plan import TopicNames
from engine.lifecycle import IntakeRules
from schemas.commit import Commit, Head, decode_commit, follow
from schemas.events import BacktestAccepted, BacktestImported
from schemas.ids import Digest
from schemas.partitioning import home_partition
from schemas.receipts import Receipt, decode_receipt
from schemas.run_state import INTAKE_KEY, TOPOLOGY_KEY, RunState, decode_run_state
from tests.unit.worker.scripted_runner import CATALOGUE, ScriptedRunner

COMMANDS, EVENTS, RUNS, RECEIPTS, DEAD = "t.commands", "t.events", "t.runs", "t.receipts", "t.dead-letters"
NAMES = TopicNames(events=EVENTS, runs=RUNS, receipts=RECEIPTS, dead_letters=DEAD)
GROUP = "t.worker"
NOW_MS = 1_767_607_200_000  # 2026-01-05T10:00:00Z
LOG_ID = "5f0c5c1e-7a54-4b3f-9f0e-6d6a3f6b2c11"
PATIENCE_SECONDS = 10.0


class TestClock:
    """A clock that stands still until it is told otherwise; a sleep ends at the next turn of the event loop."""

    __test__ = False

    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class System:
    """A memory log, and as many workers as a test wants, each with its own runner."""

    def __init__(self, partitions: int = 2) -> None:
        self.clock = TestClock()
        self.log = MemoryLog(self.clock, partitions)
        self.members: list[Member] = []

    def worker(self, *, slots: int = 4, runner: ScriptedRunner | None = None, **rules: Any) -> "Member":
        member = Member(self, slots=slots, runner=runner or ScriptedRunner(), **rules)
        self.members.append(member)
        return member

    # --- what goes in ---------------------------------------------------------------------------------------------

    def home(self, backtest_id: str) -> int:
        return home_partition(backtest_id.encode(), self.log.partitions)

    def send(self, document: dict[str, Any], *, partition: int | None = None, headers: Headers = ()) -> int:
        """Append a command as a producer does, keyed by its backtest id."""
        key = document["backtest_id"]
        number = self.home(key) if partition is None else partition
        return self.log.append(COMMANDS, number, key.encode(), json.dumps(document).encode(), headers)

    def send_raw(self, key: bytes | None, value: bytes | None, *, partition: int = 0, headers: Headers = ()) -> int:
        return self.log.append(COMMANDS, partition, key, value, headers)

    # --- what came out ------------------------------------------------------------------------------------------

    @property
    def receipts(self) -> list[Receipt]:
        return [decode_receipt(record.value or b"") for record in self.log.of(RECEIPTS)]

    def outcomes(self, backtest_id: str) -> list[str]:
        """Return the receipts of one backtest, each as ``outcome`` or ``outcome: reason``."""
        return [
            each.outcome if each.reason is None else f"{each.outcome}: {each.reason}"
            for each in self.receipts
            if each.backtest_id == backtest_id
        ]

    def bodies(self, backtest_id: str) -> list[bytes]:
        return [record.value or b"" for record in self.log.of(EVENTS) if record.key == backtest_id.encode()]

    def commits(self, backtest_id: str) -> list[Commit]:
        """Return one backtest's log, its chain checked link by link."""
        commits: list[Commit] = []
        head: Head | None = None
        for body in self.bodies(backtest_id):
            commit = decode_commit(body)
            if head is None:
                first = commit.events[0]
                assert isinstance(first, BacktestAccepted | BacktestImported)
                is_run = isinstance(first, BacktestAccepted)
                head = Head.start(Digest(first.spec_digest if is_run else first.manifest_digest))
            head = follow(head, commit, body)
            assert not (commits and commits[-1].is_terminal), "nothing is appended after a terminal event"
            commits.append(commit)
        return commits

    def story(self, backtest_id: str) -> list[str]:
        """Return the types of one backtest's events."""
        return [type(event).__name__ for commit in self.commits(backtest_id) for event in commit.events]

    def is_finished(self, *backtest_ids: str) -> bool:
        return all(self.bodies(each) and decode_commit(self.bodies(each)[-1]).is_terminal for each in backtest_ids)

    def state(self, backtest_id: str) -> RunState | None:
        return self.states().get(backtest_id)

    def states(self) -> dict[str, RunState]:
        """Return what a new owner would restore."""
        newest = {(record.key or b"").decode(): record.value for record in self.log.of(RUNS)}
        return {
            key: decode_run_state(value)
            for key, value in newest.items()
            if value is not None and key not in (INTAKE_KEY, TOPOLOGY_KEY)
        }


class Member:
    """One worker of the group, with the handles that a test turns."""

    def __init__(
        self,
        system: System,
        *,
        slots: int,
        runner: ScriptedRunner,
        dedup_days: float = 30.0,
        max_queued: int = 100,
        accept_lost_commands: bool = False,
        partitions: int | None = None,
    ) -> None:
        self.system = system
        self.runner = runner
        self.membership = MemoryMembership(system.log)
        self.partitions: dict[int, MemoryPartition] = {}
        self.worker = Worker(
            open_partition=self._open,
            membership=self.membership,
            group=self.membership,
            rules=WorkerRules(
                names=NAMES,
                intake=IntakeRules(catalogue=CATALOGUE, dedup_days=dedup_days, max_queued=max_queued),
                partitions=partitions or system.log.partitions,
                machine=(("code", b"c" * 64),),
                accept_lost_commands=accept_lost_commands,
            ),
            runner=runner,
            clock=system.clock,
            commands_topic=COMMANDS,
            slots=slots,
            new_log_id=lambda: LOG_ID,
        )
        self._assigned: set[int] = set()

    def _open(self, number: int) -> MemoryPartition:
        partition = MemoryPartition(self.system.log, number, group=GROUP, commands=COMMANDS, events=EVENTS, runs=RUNS)
        self.partitions[number] = partition
        return partition

    async def assign(self, *numbers: int) -> None:
        """Give the worker these partitions, paused, as the group does."""
        self._assigned = set(numbers)
        sources = {TopicPartition(COMMANDS, number) for number in numbers}
        for source in sources:
            self.membership.pause(source)
        await self.worker.on_assigned(sources)

    async def revoke(self) -> None:
        """Take all partitions away, as every rebalance of this client does."""
        sources = {TopicPartition(COMMANDS, number) for number in self._assigned}
        self._assigned = set()
        await self.worker.on_revoked(sources)

    async def until(self, reached: Callable[[], object], *, what: str = "") -> None:
        """Deliver records and let the loop work until ``reached`` is true."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not reached():
                    if self.worker.fatal.done():
                        raise self.worker.fatal.result()
                    await self.turn()
        except TimeoutError:
            raise AssertionError(f"not reached in {PATIENCE_SECONDS:g} s: {what}; receipts {self.system.receipts}") from None

    async def turn(self) -> None:
        for number in sorted(self._assigned):
            source = TopicPartition(COMMANDS, number)
            records = self.membership.fetch(source)
            if records:
                await self.worker.on_records(source, records)
        await asyncio.sleep(0)

    async def turns(self, count: int = 200) -> None:
        """Let everything happen that is going to happen."""
        for _ in range(count):
            await self.turn()

    async def close(self) -> None:
        self._assigned = set()
        await self.worker.close()


@dataclass(frozen=True, slots=True)
class Given:
    """Documents of commands with good defaults."""

    issued_at: str = "2026-01-05T09:59:00Z"

    def submit(self, backtest_id: str, *, fast: int = 10, **changes: Any) -> dict[str, Any]:
        return {
            "type": "SubmitBacktest",
            "command_id": f"submit-{backtest_id}",
            "backtest_id": backtest_id,
            "issued_at": self.issued_at,
            "spec": {
                "data": {"dataset": "stocks", "symbols": ["AAPL"], "timeframe": "1d"},
                "strategy": {"name": "sma_cross", "parameters": {"fast": fast}},
            },
            **changes,
        }

    def cancel(self, backtest_id: str, **changes: Any) -> dict[str, Any]:
        return {
            "type": "CancelBacktest",
            "command_id": f"cancel-{backtest_id}",
            "backtest_id": backtest_id,
            "issued_at": self.issued_at,
            "reason": "no longer needed",
            **changes,
        }

    def delete(self, backtest_id: str, **changes: Any) -> dict[str, Any]:
        return {
            "type": "DeleteBacktest",
            "command_id": f"delete-{backtest_id}",
            "backtest_id": backtest_id,
            "issued_at": self.issued_at,
            "reason": "older than we keep",
            **changes,
        }


GIVEN = Given()
submit = GIVEN.submit
cancel = GIVEN.cancel
delete = GIVEN.delete
