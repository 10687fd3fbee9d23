"""This module gathers small finished runs so that they are written together, when they are many or one has waited enough."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from adapters.ports import Clock
from schemas.manifest import SnapshotAnnouncement
from snapshots.bundle import Answer, Member
from snapshots.errors import SnapshotError

Write = Callable[[list[Member]], Awaitable[list[Answer]]]


@dataclass(slots=True)
class _Waiting:
    member: Member
    done: "asyncio.Future[SnapshotAnnouncement]"


class Bundler:
    """Bundles that are open, and at most one that is being written; ``add`` waits while both are full.

    write : writes a bundle, however often it takes; its answers are in the order of the members
    full_bytes : of tables in memory, at which a bundle is written; full_runs : so many runs do as well
    seconds : how long the first run of a bundle waits at most for others
    """

    def __init__(self, write: Write, *, clock: Clock, full_bytes: int, full_runs: int, seconds: float) -> None:
        self._write = write
        self._clock = clock
        self._full_bytes = full_bytes
        self._full_runs = full_runs
        self._seconds = seconds
        self._open: list[_Waiting] = []
        self._bytes = 0
        self._number = 0  # of the open bundle: a timer that comes late flushes no other
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.bundles = 0

    @property
    def waiting(self) -> int:
        """Runs in the open bundle."""
        return len(self._open)

    @property
    def bytes(self) -> int:
        return self._bytes

    async def add(self, member: Member) -> SnapshotAnnouncement:
        """Return what to announce once the run's bundle is written. Raises SnapshotError."""
        while self._is_full:  # and the one before is still being written
            async with self._writing:
                pass
            await asyncio.sleep(0)
        waiting = _Waiting(member, asyncio.get_running_loop().create_future())
        self._open.append(waiting)
        self._bytes += member.bytes
        if self._is_full:
            self.flush()
        elif len(self._open) == 1:
            self._do(self._flush_later(self._number))
        return await waiting.done

    def flush(self) -> None:
        """Write the open bundle now, or as soon as the one before is written."""
        if self._open:
            self._do(self._flush(self._number))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def _is_full(self) -> bool:
        return self._bytes >= self._full_bytes or len(self._open) >= self._full_runs

    async def _flush_later(self, number: int) -> None:
        await self._clock.sleep(self._seconds)
        await self._flush(number)

    async def _flush(self, number: int) -> None:
        async with self._writing:
            if number != self._number:
                return
            batch = [each for each in self._open if not each.done.done()]  # the others' partitions were revoked
            self._open, self._bytes, self._number = [], 0, self._number + 1
            if not batch:
                return
            try:
                answers = await self._write([each.member for each in batch])
            except BaseException as error:
                for each in batch:
                    _settle(each, error)
                if isinstance(error, asyncio.CancelledError):
                    raise
                return
            self.bundles += 1
            for each, answer in zip(batch, answers, strict=True):
                _settle(each, answer)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _settle(waiting: _Waiting, answer: Answer | BaseException) -> None:
    if waiting.done.done():
        return
    if isinstance(answer, SnapshotError | BaseException):
        waiting.done.set_exception(answer)
    else:
        waiting.done.set_result(answer)
