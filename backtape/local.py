"""This module runs everything on one machine: the local stack, and Backtape's own processes beside it.

Our processes are services like Kafka and Postgres: a folder, a process, a port, an answer to wait for.
"""

import http.client
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from backtape.stack.endpoints import Endpoints
from backtape.stack.errors import NotRunning
from backtape.stack.local import LocalStack
from backtape.stack.service import Report, Service

STATE = Path(".backtape")
WORKERS = 2
WEB = "web"


class ConsumerProcess(Service):
    """A worker, projector, compactor or web service as a process of its own."""

    port_names = ("http",)
    stop_seconds = 30.0  # a transaction under way may end

    def __init__(self, folder: Path, *, role: str, name: str, environment: Mapping[str, str]) -> None:
        super().__init__(folder)
        self.name = name  # type: ignore[misc]  # several of one role
        self._role = role
        self._environment = dict(environment)

    def prepare(self, *, report: Report) -> None:
        """Nothing is missing: it is this very installation."""

    def command(self) -> list[str]:
        settings = {**self._environment, "BACKTAPE_HTTP_PORT": str(self.port("http"))}
        return [
            "/usr/bin/env",
            *(f"{name}={value}" for name, value in settings.items()),
            sys.executable,
            "-m",
            "backtape",
            self._role,
        ]

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port("http"), timeout=1)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class LocalBacktape:
    """The stack and our processes, in one state folder."""

    def __init__(self, state: Path = STATE, *, workers: int = WORKERS, serves: bool = False, jars: Path | None = None) -> None:
        self.state = state.resolve()
        self._serves = serves  # the web service, too
        self.stack = LocalStack(self.state, jars=jars)
        self._workers = workers

    def environment(self, endpoints: Endpoints) -> dict[str, str]:
        """Return the settings of every process here. Paths are absolute: the processes run in the root folder."""
        files = [str(Path(part).resolve()) for part in os.environ.get("BACKTAPE_STRATEGY_FILES", "").split(":") if part]
        return {
            **endpoints.environment(),
            "BACKTAPE_CACHE_DIR": str(self.state / "cache"),
            **({"BACKTAPE_STRATEGY_FILES": ":".join(files)} if files else {}),
        }

    def processes(self, endpoints: Endpoints) -> list[ConsumerProcess]:
        environment = self.environment(endpoints)
        names = [(f"worker-{number}", "worker") for number in range(1, self._workers + 1)]
        names += [("projector", "projector"), ("compactor", "compactor")]
        if self._serves:
            names.append((WEB, "web"))
        return [ConsumerProcess(self.state / name, role=role, name=name, environment=environment) for name, role in names]

    def start_processes(self, endpoints: Endpoints, *, report: Report, detached: bool) -> list[ConsumerProcess]:
        """Start what is not running, all at once, and return when each is ready."""
        processes = self.processes(endpoints)
        for process in processes:
            process.outlives_parent = detached
        _together(processes, lambda process: process.start(report=report))
        return processes

    def stop(self) -> None:
        """End the processes first, so that none loses its servers while it works."""
        try:
            self.stop_processes()
        finally:
            self.stack.stop()

    def stop_processes(self) -> None:
        folders = [
            path.parent for path in self.state.glob("*/service.json") if path.parent.name not in ("kafka", "postgres", "s3")
        ]
        found = [ConsumerProcess(folder, role="", name=folder.name, environment={}) for folder in folders]
        _together(found, lambda process: process.stop())


def _together(processes: list[ConsumerProcess], action: Callable[[ConsumerProcess], None]) -> None:
    if not processes:
        return
    with ThreadPoolExecutor(max_workers=len(processes)) as pool:
        futures = [pool.submit(action, process) for process in processes]
    for future in futures:
        future.result()


def web_address(state: Path = STATE) -> str | None:
    """Return the address of the web service that runs in this folder; None where there is none."""
    service = ConsumerProcess(state.resolve() / WEB, role="web", name=WEB, environment={})
    return f"http://127.0.0.1:{service.port('http')}" if service.is_running else None


def use_local_stack(state: Path = STATE) -> bool:
    """Let this process's settings be those of the running local stack, where none are given. False when there is none."""
    if "BACKTAPE_KAFKA_BOOTSTRAP" in os.environ:
        return False
    local = LocalBacktape(state)
    try:
        endpoints = local.stack.endpoints()
    except NotRunning:
        return False
    for name, value in local.environment(endpoints).items():
        os.environ.setdefault(name, value)
    return True
