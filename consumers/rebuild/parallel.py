"""This module starts the processes of a rebuild and adds up what they tell."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.errors import FatalError
from consumers.projector.batch import Counters
from consumers.rebuild.deferring import CannotDeferError
from consumers.rebuild.filling import Scope
from consumers.rebuild.part import CANNOT_DEFER, encode_order, fill_partitions
from consumers.settings import Settings


@dataclass(slots=True)
class Progress:
    """How far the filling is. ``records_total`` counts offsets, of which some are transaction markers."""

    records_total: int
    began: float = field(default_factory=time.monotonic)
    done: Counters = field(default_factory=Counters)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def share(self) -> float:
        return min(1.0, self.done.records / self.records_total) if self.records_total else 1.0

    def __str__(self) -> str:
        rate = self.done.events / max(self.seconds, 1e-9)
        rest = f", {self.seconds / self.share - self.seconds:,.0f} s to go" if 0 < self.share < 1 else ""
        return f"{self.share:.0%}, {self.done.events:,} events, {rate:,.0f} events/s{rest}"


async def fill_in_processes(
    settings: Settings,
    schema: str,
    partitions: list[int],
    *,
    processes: int,
    scope: Scope,
    progress: Progress,
    report: Callable[[str], None],
) -> None:
    """Fill the tables from all partitions, in so many processes, a single one being this one.

    Raises CannotDeferError, or FatalError with a process's last words.
    """

    def tell(counts: Counters) -> None:
        progress.done.add(counts)
        report(str(progress))

    if processes == 1:
        await fill_partitions(settings, schema, partitions, scope, tell)
        return
    shares = [partitions[number::processes] for number in range(processes)]
    tasks = [asyncio.create_task(_run(settings, schema, share, scope, tell)) for share in shares if share]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(settings: Settings, schema: str, partitions: list[int], scope: Scope, tell: Callable[[Counters], None]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consumers.rebuild.part", encode_order(schema, partitions, scope),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, **settings.environment()},
    )  # fmt: skip
    assert process.stdout is not None, "it was asked for"
    assert process.stderr is not None, "it was asked for"
    words = asyncio.create_task(process.stderr.read())
    try:
        async for line in process.stdout:
            tell(Counters(**json.loads(line)))
        code = await process.wait()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    text = (await words).decode("utf-8", "replace").strip()
    if code == CANNOT_DEFER:
        raise CannotDeferError(text)
    if code != 0:
        raise FatalError(f"a process of the rebuild ended with {code}: {text[-2_000:]}")
