"""This module is one process of a rebuild: it fills the tables from some partitions of the events and tells how far it is.

    python -m consumers.rebuild.part ORDER

One process is bound by Python; several fill the same tables at once. A line of JSON on stdout tells what was done since the last;
the process ends with its parent.
"""

import asyncio
import ctypes
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

from adapters.copy_rows import warm_up
from adapters.errors import AdapterError
from adapters.ports import TopicPartition
from adapters.postgres import PostgresRowStore
from consumers.projector.batch import Counters
from consumers.rebuild.deferring import CannotDeferError
from consumers.rebuild.filling import Scope, fill
from consumers.settings import Settings, load_settings
from consumers.wiring import log_reader
from schemas.topics import EVENTS

PR_SET_PDEATHSIG = 1
TELL_SECONDS = 0.5
CANNOT_DEFER = 3  # exit code


def encode_order(schema: str, partitions: list[int], scope: Scope) -> str:
    """Return the argument that tells such a process what to do."""
    ends = [[source.topic, source.partition, end] for source, end in scope.ends.items()]
    return json.dumps({"schema": schema, "partitions": partitions, "only": scope.only, "ends": ends})


def decode_order(text: str) -> tuple[str, list[int], Scope]:
    order = json.loads(text)
    ends = {TopicPartition(topic, partition): end for topic, partition, end in order["ends"]}
    return order["schema"], order["partitions"], Scope(order["only"], ends)


async def fill_partitions(
    settings: Settings, schema: str, partitions: list[int], scope: Scope, tell: Callable[[Counters], None]
) -> None:
    """Fill the tables from these partitions, all at once, and tell what was done since the last time."""
    warm_up()
    store = PostgresRowStore(settings.database_url, schema, connections=len(partitions))
    reader = log_reader(settings)
    untold = Counters()
    told = time.monotonic()

    def on_batch(counts: Counters) -> None:
        nonlocal untold, told
        untold.add(counts)
        if time.monotonic() - told > TELL_SECONDS:
            tell(untold)
            untold, told = Counters(), time.monotonic()

    tasks = [
        asyncio.create_task(
            fill(
                TopicPartition(settings.kafka.topic(EVENTS), number), "events", store=store, reader=reader, defers=True,
                scope=scope, on_batch=on_batch,
            )
        )
        for number in partitions
    ]  # fmt: skip
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()  # after an error: who comes next begins these tables anew
        await asyncio.gather(*tasks, return_exceptions=True)
        tell(untold)
        await reader.close()
        await store.close()


def _tell(counts: Counters) -> None:
    print(json.dumps(asdict(counts)), flush=True)


def main() -> int:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    schema, partitions, scope = decode_order(sys.argv[1])
    try:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(fill_partitions(load_settings(), schema, partitions, scope, _tell))
    except CannotDeferError as error:
        print(error, file=sys.stderr)
        return CANNOT_DEFER
    except AdapterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
