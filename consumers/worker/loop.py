"""This module is the worker: it owns partitions, and shares its simulation slots among them.

A plain class over ports. The shell calls on_assigned, on_revoked and on_records; the handlers only enqueue.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from adapters.errors import FencedError
from adapters.ports import Clock, Membership, Partition, Record, TopicPartition
from consumers.simulation.runner import Runner
from consumers.worker.partition import OwnedPartition, Totals, WorkerRules
from consumers.worker.positions import Group, PositionNotes

log = structlog.get_logger()

STOP_BUDGET_SECONDS = 25.0  # a transaction under way may take its own budget; then the fence decides


class Worker:
    """Loop of the worker process.

    ``fatal`` holds the error that should end the process: rebalance callbacks swallow what they raise.
    """

    def __init__(
        self,
        *,
        open_partition: Callable[[int], Partition],
        membership: Membership,
        group: Group,
        rules: WorkerRules,
        runner: Runner,
        clock: Clock,
        commands_topic: str,
        slots: int,
        new_log_id: Callable[[], str],
    ) -> None:
        self.fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.owned: dict[int, OwnedPartition] = {}
        self._parked: dict[int, OwnedPartition] = {}  # given up in a rebalance that is not over: their simulations go on
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._rejoining: asyncio.Task[None] | None = None
        self.totals = Totals()
        self._open_partition = open_partition
        self._membership = membership
        self._rules = rules
        self._runner = runner
        self._clock = clock
        self._commands_topic = commands_topic
        self._slots = slots
        self._new_log_id = new_log_id
        self._notes = PositionNotes(self.owned, topic=commands_topic, group=group, clock=clock)
        self._telling: asyncio.Task[None] | None = None

    # --- the Loop port ------------------------------------------------------------------------------------------

    async def on_assigned(self, sources: set[TopicPartition]) -> None:
        numbers = {source.partition for source in sources}
        for number in [each for each in self._parked if each not in numbers]:
            self._parked.pop(number).discard()
        for number in sorted(numbers - set(self.owned)):
            owned = self._parked.pop(number, None) or self._new_partition(number)
            self.owned[number] = owned
            self._tasks[number] = asyncio.create_task(self._own(owned), name=f"partition {number}")
        if self._telling is None:
            self._telling = asyncio.create_task(self._notes.run(), name="positions for the group")
        log.info("partitions_assigned", partitions=sorted(numbers))

    async def on_revoked(self, sources: set[TopicPartition]) -> None:
        numbers = [source.partition for source in sources if source.partition in self.owned]
        await asyncio.gather(*(self._park(number) for number in numbers))
        log.info("partitions_revoked", partitions=sorted(numbers))

    async def on_records(self, source: TopicPartition, records: Sequence[Record]) -> None:
        owned = self.owned.get(source.partition)
        if owned is not None:
            await owned.deliver(records)

    async def close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        await asyncio.gather(*(self._park(number) for number in list(self.owned)))
        for owned in self._parked.values():
            owned.discard()
        self._parked.clear()
        await self._runner.close()

    def measures(self) -> dict[str, float]:
        """Return what the shell exports."""
        owned = list(self.owned.values())
        return {
            "worker_partitions": len(owned),
            "worker_runs_active": sum(each.slots_used for each in owned),
            "worker_runs_queued": sum(each.waiting_runs for each in owned),
            "worker_commands_waiting": sum(each.waiting_commands for each in owned),
            "worker_commits": self.totals.commits,
            "worker_commit_bytes": self.totals.bytes,
            "worker_commands": self.totals.commands,
            "worker_transactions": self.totals.transactions,
            "worker_reopened_partitions": self.totals.reopened,
        }

    # --- ownership ----------------------------------------------------------------------------------------------

    def _new_partition(self, number: int) -> OwnedPartition:
        return OwnedPartition(
            self._open_partition(number),
            self._rules,
            runner=self._runner,
            clock=self._clock,
            new_log_id=self._new_log_id,
            on_change=self._fill_slots,
            is_slot_idle=self._is_slot_idle,
            totals=self.totals,
        )

    async def _own(self, owned: OwnedPartition) -> None:
        """Run a partition; what ends it otherwise than by ``stop`` is either the fence, or the end of this process."""
        source = TopicPartition(self._commands_topic, owned.number)

        def position(offset: int) -> None:
            self._membership.seek(source, offset)
            self._membership.resume(source)

        try:
            await owned.run(position)
        except FencedError as error:
            log.warning("partition_fenced", partition=owned.number, error=str(error))
            if self._rejoining is None or self._rejoining.done():
                self._rejoining = asyncio.create_task(self._rejoin())
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            log.exception("partition_failed", partition=owned.number, error=str(error))
            if not self.fatal.done():
                self.fatal.set_result(error)

    async def _rejoin(self) -> None:
        """Another owner took a partition over, or the broker timed a transaction out: ask the group who owns what."""
        await asyncio.gather(*(self._park(number) for number in list(self.owned)))
        await self._membership.rejoin()

    async def _park(self, number: int) -> None:
        owned = self.owned.pop(number, None)
        if owned is None:
            return
        self._parked[number] = owned
        await owned.stop()
        task = self._tasks.pop(number)
        _, pending = await asyncio.wait([task], timeout=STOP_BUDGET_SECONDS)
        if pending:
            task.cancel()
        await owned.close()

    # --- slots --------------------------------------------------------------------------------------------------

    def _fill_slots(self) -> None:
        """Start waiting runs while slots are free: the first of all owned partitions' queues each time."""
        free = self._free_slots()
        while free > 0:
            waiting = [(first, owned) for owned in self.owned.values() if (first := owned.first_waiting()) is not None]
            if not waiting:
                return
            min(waiting, key=lambda pair: pair[0])[1].start_first()
            free -= 1

    def _is_slot_idle(self) -> bool:
        """Say whether a slot is free and no run of any partition waits for it."""
        return self._free_slots() > 0 and all(owned.first_waiting() is None for owned in self.owned.values())

    def _free_slots(self) -> int:
        return self._slots - sum(owned.slots_used for owned in [*self.owned.values(), *self._parked.values()])
