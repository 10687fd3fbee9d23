"""This module is the stage of the benchmarks: a stack of their own in a temporary folder, its data, and the processes on it."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from adapters.kafka import KafkaLogReader
from adapters.ports import TopicPartition
from backtape.data import generate_dataset
from backtape.data.samples import import_stocks
from backtape.local import ConsumerProcess
from backtape.prepare import prepare
from backtape.stack import LocalStack
from backtape.stack.endpoints import Endpoints
from backtape.stack.service import Service
from consumers.settings import Settings, load_settings
from consumers.wiring import blob_store
from migrations import upgrade_async
from schemas.topics import EVENTS

PARTITIONS = 4
JARS = Path(__file__).resolve().parent.parent / ".backtape" / "jars"
MINUTES, SEED = "minutes", 7

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    engine_bars: int = 1_000_000
    engine_runs: int = 3
    log_bars: int = 500_000  # of each long run; together they make more than a million events
    commands: int = 100
    small_runs: int = 500


QUICK = Sizes(engine_bars=100_000, engine_runs=1, log_bars=30_000, commands=20, small_runs=40)


class Scene:
    """A running stack with topics, tables and data sets; processes are started by the parts that need them."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._folder = Path(tempfile.mkdtemp(prefix="backtape-benchmarks-"))
        self._folder.chmod(0o755)  # Postgres may run as somebody else
        self._stack = LocalStack(self._folder, jars=JARS)
        self._processes: dict[str, ConsumerProcess] = {}

    def __enter__(self) -> "Scene":
        try:
            endpoints = self._stack.start()
            os.environ.update(self._environment(endpoints))
            self.settings: Settings = load_settings()
            prepare(self.settings, report=print)
            store = blob_store(self.settings)
            generate_dataset(store, dataset=MINUTES, bars=self.sizes.log_bars, seed=SEED)
            import_stocks(store)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.stop()
        self._stack.remove()
        shutil.rmtree(self._folder, ignore_errors=True)

    def services(self) -> Iterator[tuple[str, Service]]:
        """Yield every server and process by its role."""
        yield from (("kafka", self._stack.kafka), ("postgres", self._stack.postgres), ("s3", self._stack.s3))
        yield from ((name.partition("-")[0], process) for name, process in list(self._processes.items()))

    def _environment(self, endpoints: Endpoints) -> dict[str, str]:
        return {
            **endpoints.environment(),
            "BACKTAPE_PARTITIONS": str(PARTITIONS),
            "BACKTAPE_CACHE_DIR": str(self._folder / "cache"),
            "BACKTAPE_LOG_LEVEL": "warning",
        }

    # --- processes ----------------------------------------------------------------------------------------------

    def start(self, *roles: str) -> None:
        """Start a process of each role that does not run; return when all are ready."""
        for role in roles:
            process = self._processes.get(role) or ConsumerProcess(
                self._folder / role,
                role=role.partition("-")[0],
                name=role,
                environment=self._environment(self._stack.endpoints()),
            )
            self._processes[role] = process
            process.start()

    def stop(self, *roles: str) -> None:
        for role in roles:
            if role in self._processes:
                self._processes[role].stop()

    @contextmanager
    def projector_on(self, database_url: str) -> Iterator[None]:
        """Run a projector that fills another database."""
        environment = {**self._environment(self._stack.endpoints()), "BACKTAPE_DATABASE_URL": database_url}
        name = f"projector-{len(self._processes)}"
        process = ConsumerProcess(self._folder / name, role="projector", name=name, environment=environment)
        self._processes[name] = process
        try:
            process.start()
            yield
        finally:
            process.stop()

    async def new_database(self, name: str) -> str:
        """Return the URL of a database with empty tables."""
        created = self._stack.postgres.execute(f"CREATE DATABASE {name}", database="postgres")
        assert created.returncode == 0, created.stderr
        url = self.settings.database_url.rpartition("/")[0] + f"/{name}"
        await upgrade_async(url)
        return url

    def postgres_version(self) -> str:
        return "PostgreSQL " + self._stack.postgres.execute("SHOW server_version").stdout.strip()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop, as our processes do."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def until(condition: Callable[[], Coroutine[Any, Any, bool]], *, seconds: float, every: float = 0.02) -> None:
    """Wait until something holds. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition.__qualname__} was not so within {seconds:.0f} s")
        await asyncio.sleep(every)


async def ends_of_events(settings: Settings) -> dict[int, int]:
    """Return where each partition of the events topic ends."""
    reader = KafkaLogReader(settings.kafka)
    try:
        name = settings.kafka.topic(EVENTS)
        return {number: await reader.end(TopicPartition(name, number)) for number in range(PARTITIONS)}
    finally:
        await reader.close()


async def finished(connection: asyncpg.Connection, ids: list[str]) -> int:
    """Return how many of the backtests have ended, by the read model."""
    sql = "SELECT count(*) FROM backtape.backtests WHERE finished_at IS NOT NULL AND backtest_id = ANY($1)"
    return int(await connection.fetchval(sql, ids))
