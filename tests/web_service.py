"""This module runs the whole system once for the tests of the web service and of the dashboard: processes of every role on the
shared servers, in a corner of their own, with keys and data sets.

What one test does to a process (kill, stop) it mends again: all others go on with it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from adapters.command_publisher import CommandPublisher
from adapters.control.keys import Keys
from adapters.control.pool import ControlPool
from backtape.data import generate_dataset, import_samples
from backtape.local import ConsumerProcess
from backtape.prepare import prepare_async
from backtape.stack import LocalStack
from consumers.settings import Settings
from consumers.wiring import blob_store
from tests.pipeline import processes
from tests.shared_stack import new_folder

T = TypeVar("T")

SECONDS = 150.0
ROLES = {"worker": "worker", "projector": "projector", "compactor": "compactor", "web": "web"}
STRATEGIES = Path(__file__).parent / "browser" / "strategies" / "unhurried.py"
MINUTES = 60_000  # bars of the data set for runs that take their time
MILLION = 1_000_000
SPEC: dict[str, Any] = {
    "data": {"dataset": "sim", "symbols": ["SIM"], "timeframe": "1m"},
    "strategy": {"name": "sma_cross", "parameters": {"fast": 3, "slow": 9}},
    "tags": ["sample"],
}
# It runs until it is cancelled, as far as a test can tell.
ENDLESS = {
    **SPEC,
    "data": {**SPEC["data"], "dataset": "minutes"},
    "strategy": {"name": "unhurried", "parameters": {"milliseconds": 3.0, "trades_every": 3}},
}
SCOPES: dict[str, list[str]] = {
    "admin": ["admin"], "reader": ["read"], "ann": ["submit", "cancel"], "bob": ["submit", "cancel"], "nobody": [],
}  # fmt: skip


@dataclass(frozen=True)
class Service:
    """The running system, and keys of it by name."""

    processes: dict[str, ConsumerProcess]
    settings: Settings
    environment: dict[str, str]
    keys: dict[str, str]
    key_ids: dict[str, str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.processes['web'].port('http')}"

    def client(self, key: str | None = "admin", **options: Any) -> httpx.Client:
        """Return a client with this key; None: without any."""
        headers = {} if key is None else {"Authorization": f"Bearer {self.keys[key]}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=SECONDS, **options)

    def submit(self, spec: dict[str, Any] = SPEC, *, key: str = "admin", backtest_id: str | None = None) -> str:
        """Run a backtest and return its id."""
        body = {"spec": spec} if backtest_id is None else {"spec": spec, "backtest_id": backtest_id}
        with self.client(key) as client:
            answer = client.post("/api/backtests/run-async", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["backtest_id"])

    def wait(self, backtest_id: str, *statuses: str, key: str = "admin") -> dict[str, Any]:
        """Return the status once it is one of these; finished without any."""
        wanted = statuses or ("completed", "cancelled", "failed", "rejected")
        with self.client(key) as client:
            told: dict[str, Any] = until(
                lambda: client.get(f"/api/backtests/status/{backtest_id}").json(), lambda told: told.get("status") in wanted
            )
        return told

    def publish(self, key: bytes, body: bytes) -> None:
        """Put bytes on the commands topic, as any other program may."""

        async def send() -> None:
            publisher = CommandPublisher(self.settings.kafka, partitions=self.settings.partitions)
            await publisher.send_bytes(key, body)
            await publisher.close()

        apart(send())

    def with_keys(self, use: Callable[[Keys], Coroutine[Any, Any, T]]) -> T:
        """Return what somebody with the control tables does."""

        async def run() -> T:
            pool = ControlPool(self.settings.database_url)
            try:
                return await use(Keys(pool))
            finally:
                await pool.close()

        return apart(run())

    def login_link(self, name: str, *scopes: str) -> str:
        """Return a link that logs one browser in, once, under a new key with these scopes."""

        async def make(keys: Keys) -> str:
            key, _ = await keys.create_key(name, list(scopes), None)
            return await keys.create_login_link(key.key_id)

        return f"{self.address}/login?token={self.with_keys(make)}"

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{process.log_tail()}" for name, process in self.processes.items())


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a thread's own event loop: Playwright keeps one in the test's."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work).result()


def until(look: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    """Look until it is so; fail with what was last seen."""
    ends = time.monotonic() + SECONDS
    while True:
        seen = look()
        if is_so(seen):
            return seen
        assert time.monotonic() < ends, seen
        time.sleep(0.05)


@contextmanager
def running_service(stack: LocalStack) -> Iterator[Service]:
    """Run one process of each role in a database, topics and keys of its own."""
    name = f"web_{uuid.uuid4().hex[:12]}"
    created = stack.postgres.execute(f"CREATE DATABASE {name}", database="postgres")
    assert created.returncode == 0, created.stderr
    folder = new_folder(name)
    endpoints = stack.endpoints().environment()
    environment = {
        **endpoints,
        "BACKTAPE_DATABASE_URL": stack.postgres.url.rpartition("/")[0] + f"/{name}",
        "BACKTAPE_S3_URL": f"{endpoints['BACKTAPE_S3_URL']}/{name}",
        "BACKTAPE_TOPIC_PREFIX": name.replace("_", "-"),
        "BACKTAPE_PARTITIONS": "2",
        "BACKTAPE_CACHE_DIR": str(folder / "cache"),
        "BACKTAPE_STRATEGY_FILES": str(STRATEGIES),
        "BACKTAPE_SESSION_TIMEOUT_MS": "6000",  # a killed worker is missed soon
        "BACKTAPE_WEB_REQUESTS_PER_SECOND": "100000",
        "BACKTAPE_WEB_UPLOAD_MB": "1",
        "BACKTAPE_LOG_FORMAT": "json",
    }
    try:
        with _surroundings(environment):
            settings = Settings()
            made = apart(_prepare(settings))
        with processes(folder, environment, ROLES) as running:
            yield Service(
                running, settings, environment, {each: text for each, (_, text) in made.items()},
                {each: key_id for each, (key_id, _) in made.items()},
            )  # fmt: skip
    finally:
        stack.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)", database="postgres")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _surroundings(environment: dict[str, str]) -> Iterator[None]:
    """Let this process have an environment for a while; other tests' processes must not inherit it."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def _prepare(settings: Settings) -> dict[str, tuple[str, str]]:
    """Make tables, topics, data sets and keys; return id and text of each key by its name."""
    await prepare_async(settings, report=lambda line: None)
    store = blob_store(settings)
    import_samples(store)
    generate_dataset(store, dataset="sim", bars=400, seed=1)
    generate_dataset(store, dataset="minutes", bars=MINUTES, seed=3)
    generate_dataset(store, dataset="million", bars=MILLION, seed=4)
    pool = ControlPool(settings.database_url)
    keys = Keys(pool)
    made = {name: await keys.create_key(name, given, None) for name, given in SCOPES.items()}
    await pool.close()
    return {name: (key.key_id, text) for name, (key, text) in made.items()}
