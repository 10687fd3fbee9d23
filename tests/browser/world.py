"""This module is what the browser tests look at: the whole system on the shared servers, in a corner of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backtape.data import generate_dataset, import_samples
from backtape.local import ConsumerProcess
from backtape.prepare import prepare
from backtape.stack import LocalStack
from consumers.settings import Settings
from consumers.wiring import blob_store
from tests.pipeline import processes

STRATEGIES = Path(__file__).parent / "strategies" / "unhurried.py"
MINUTES = 60_000  # bars of the slow data set
ROLES = {"worker": "worker", "projector": "projector", "compactor": "compactor", "web": "web"}


@dataclass(slots=True)
class World:
    """The running system."""

    processes: dict[str, ConsumerProcess]
    environment: dict[str, str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.processes['web'].port('http')}"

    def login_link(self, name: str, *scopes: str) -> str:
        """Return a link that logs one browser in, once, under a new key with these scopes."""
        options = [part for scope in scopes for part in ("--scope", scope)]
        key = json.loads(self.backtape("keys", "create", name, *options, "--json"))
        link = json.loads(self.backtape("keys", "login", key["key_id"], "--address", self.address, "--json"))
        return str(link["link"])

    def backtape(self, *arguments: str) -> str:
        """Run a command of the command line and return what it printed."""
        command = [sys.executable, "-m", "backtape", *arguments]
        done = subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{process.log_tail()}" for name, process in self.processes.items())


@contextmanager
def running_world(stack: LocalStack, folder: Path) -> Iterator[World]:
    """Run one process of each role in a database, topics and keys of its own."""
    name = f"browser_{uuid.uuid4().hex[:12]}"
    created = stack.postgres.execute(f"CREATE DATABASE {name}", database="postgres")
    assert created.returncode == 0, created.stderr
    endpoints = stack.endpoints().environment()
    environment = {
        **endpoints,
        "BACKTAPE_DATABASE_URL": stack.postgres.url.rpartition("/")[0] + f"/{name}",
        "BACKTAPE_S3_URL": f"{endpoints['BACKTAPE_S3_URL']}/{name}",
        "BACKTAPE_TOPIC_PREFIX": name.replace("_", "-"),
        "BACKTAPE_PARTITIONS": "2",
        "BACKTAPE_CACHE_DIR": str(folder / "cache"),
        "BACKTAPE_STRATEGY_FILES": str(STRATEGIES),
        "BACKTAPE_SESSION_TIMEOUT_MS": "6000",
    }
    os.environ.update(environment)
    try:
        settings = Settings()
        prepare(settings, report=lambda line: None)
        import_samples(blob_store(settings))
        generate_dataset(blob_store(settings), dataset="minutes", bars=MINUTES, seed=3)
        with processes(folder, environment, ROLES) as running:
            yield World(running, environment)
    finally:
        for variable in environment:
            os.environ.pop(variable, None)
        stack.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)", database="postgres")
