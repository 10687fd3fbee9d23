"""This module starts the whole pipeline once for the tests of the web service, with a few backtests in it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adapters.blob_store import open_blob_store
from adapters.control.keys import Keys
from adapters.control.pool import ControlPool
from backtape.data import generate_dataset
from backtape.prepare import prepare
from backtape.stack import LocalStack
from consumers.settings import Settings
from tests.pipeline import processes
from tests.shared_stack import new_folder

SECONDS = 150.0
ROLES = {"worker": "worker", "projector": "projector", "compactor": "compactor", "web": "web"}
SPEC: dict[str, Any] = {
    "data": {"dataset": "sim", "symbols": ["SIM"], "timeframe": "1m"},
    "strategy": {"name": "sma_cross", "parameters": {"fast": 3, "slow": 9}},
    "tags": ["sample"],
}
ENDLESS = {**SPEC, "data": {**SPEC["data"], "dataset": "long"}}  # it runs until it is cancelled, as far as a test can tell


@dataclass(frozen=True)
class Service:
    """The running service, and keys of it by name."""

    address: str
    settings: Settings
    environment: dict[str, str]
    keys: dict[str, str]
    key_ids: dict[str, str]

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


def until(look: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    """Look until it is so; fail with what was last seen."""
    ends = time.monotonic() + SECONDS
    while True:
        seen = look()
        if is_so(seen):
            return seen
        assert time.monotonic() < ends, seen
        time.sleep(0.05)


@pytest.fixture(scope="session")
def service(stack: LocalStack) -> Iterator[Service]:
    """Worker, projector, compactor and web on the shared servers, in a corner of their own."""
    name = uuid.uuid4().hex[:12]
    created = stack.postgres.execute(f"CREATE DATABASE web_{name}", database="postgres")
    assert created.returncode == 0, created.stderr
    there = stack.endpoints()
    url = stack.postgres.url.rpartition("/")[0] + f"/web_{name}"
    mine = dataclasses.replace(there, database_url=url, s3_url=f"{there.s3_url}/web-{name}")
    folder = new_folder(f"web-{name}")
    environment = {
        **mine.environment(),
        "BACKTAPE_TOPIC_PREFIX": f"web-{name}",
        "BACKTAPE_PARTITIONS": "2",
        "BACKTAPE_CACHE_DIR": str(folder / "cache"),
        "BACKTAPE_WEB_REQUESTS_PER_SECOND": "100000",
        "BACKTAPE_WEB_UPLOAD_MB": "1",
        "NUMBA_DISABLE_JIT": "1",  # nothing here is large
    }
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        settings = Settings()
        prepare(settings, report=lambda line: None)
        store = open_blob_store(settings.s3_url, endpoint=settings.s3_endpoint)
        generate_dataset(store, dataset="sim", bars=400, seed=1)
        generate_dataset(store, dataset="long", bars=200_000, seed=2)
        made = asyncio.run(_keys(url))
        with processes(folder, environment, ROLES) as running:
            address = f"http://127.0.0.1:{running['web'].port('http')}"
            yield Service(
                address, settings, environment, {name: text for name, (_, text) in made.items()},
                {name: key_id for name, (key_id, _) in made.items()},
            )  # fmt: skip
    finally:
        os.environ.clear()
        os.environ.update(before)
        stack.postgres.execute(f"DROP DATABASE web_{name} WITH (FORCE)", database="postgres")
        shutil.rmtree(folder, ignore_errors=True)


async def _keys(url: str) -> dict[str, tuple[str, str]]:
    pool = ControlPool(url)
    keys = Keys(pool)
    scopes = {
        "admin": ["admin"], "reader": ["read"], "ann": ["submit", "cancel"], "bob": ["submit", "cancel"], "nobody": [],
    }  # fmt: skip
    made = {name: await keys.create_key(name, given, None) for name, given in scopes.items()}
    await pool.close()
    return {name: (key.key_id, text) for name, (key, text) in made.items()}


@pytest.fixture(scope="session")
def finished(service: Service) -> str:
    """A completed backtest of the submitter ann, with its snapshot."""
    backtest_id = service.submit(key="ann", backtest_id="finished")
    assert service.wait(backtest_id)["status"] == "completed"
    with service.client() as client:
        until(lambda: client.get(f"/api/backtests/{backtest_id}/snapshot").status_code, lambda code: code == 200)
    return backtest_id


@pytest_asyncio.fixture
async def keys(service: Service) -> AsyncIterator[Keys]:
    """The service's keys."""
    pool = ControlPool(service.settings.database_url)
    yield Keys(pool)
    await pool.close()
