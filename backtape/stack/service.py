"""This module is what the three services have in common: a folder, remembered ports, a process, and an answer to wait for."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from backtape.stack import ports, processes
from backtape.stack.errors import NotRunning, ServiceDied, ServiceSilent
from backtape.stack.processes import Identity, User

Report = Callable[[str], None]

LOG_LINES_IN_ERRORS = 15
# Kafka's recovery after SIGKILL on a slow, busy machine is the longest wait; a healthy start takes three seconds.
ANSWER_SECONDS = 60.0
POLL_SECONDS = 0.05


class Service(ABC):
    """One server process with its folder: `data/`, `log`, and `service.json`, which says where it listens and who it is."""

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    stop_signal: ClassVar[int] = signal.SIGTERM
    stop_seconds: ClassVar[float] = 10.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outlives_parent = False

    @abstractmethod
    def prepare(self, *, report: Report) -> None:
        """Bring what is missing: binaries, jars, a formatted data folder."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line of the server, with its configuration written."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether the server does its work now (not only: listens). Never raises."""

    def after_start(self) -> None:  # noqa: B027 -- most services have nothing to add
        """Create, once the server answers, what its users expect to find."""

    def user(self) -> User | None:
        """Return whom to run as; None means as ourselves."""
        return None

    @property
    def log_path(self) -> Path:
        return self.folder / "log"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def process(self) -> Identity | None:
        """The process if it is alive."""
        known = self._read_state().get("process")
        process = Identity(**known) if known else None
        return process if process and processes.is_alive(process) else None

    @property
    def pid(self) -> int | None:
        process = self.process
        return process.pid if process else None

    @property
    def is_running(self) -> bool:
        return self.process is not None

    @property
    def remembered_ports(self) -> dict[str, int]:
        return dict(self._read_state().get("ports", {}))

    def port(self, name: str) -> int:
        """Return a port that was chosen at a start."""
        try:
            return self.remembered_ports[name]
        except KeyError:
            raise NotRunning(f"{self.name} was never started in {self.folder}") from None

    def start(self, *, report: Report = lambda line: None) -> None:
        """Start the server if it does not run, and wait until it answers. After kill(): same ports, same data."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._only_one():
            if not self.is_running:
                self.prepare(report=report)
                self._choose_ports()
                self._launch()
            began = time.monotonic()
            self._wait_for_answer()
            self.after_start()
        report(f"{self.name}: answers after {time.monotonic() - began:.1f} s")

    def stop(self) -> None:
        """End the server in an orderly way, and by force when that takes too long."""
        if process := self.process:
            for member in processes.family_of(process):
                processes.send(member, signal.SIGCONT)
            processes.end(process, signal_number=self.stop_signal, grace_seconds=self.stop_seconds)

    def kill(self) -> None:
        """SIGKILL the server and its children at once, as a power cut of the process would."""
        if process := self.process:
            processes.kill(processes.family_of(process))

    def freeze(self) -> None:
        """SIGSTOP the server and its children: it holds its connections and says nothing."""
        for member in self._family():
            processes.send(member, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT what was frozen."""
        for member in self._family():
            processes.send(member, signal.SIGCONT)

    def log_tail(self) -> str:
        """Return the last lines of the log, for errors."""
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-LOG_LINES_IN_ERRORS:])
        except OSError:
            return "(no log)"

    def _family(self) -> list[Identity]:
        process = self.process
        if process is None:
            raise NotRunning(f"{self.name} is not running")
        return processes.family_of(process)

    def _launch(self) -> None:
        process = processes.spawn(self.command(), log=self.log_path, user=self.user(), outlive_parent=self.outlives_parent)
        self._write_state(process={"pid": process.pid, "started": process.started})

    def _wait_for_answer(self) -> None:
        try:
            wait_until(self._answers_or_died, seconds=ANSWER_SECONDS, what=f"{self.name} answers")
        except ServiceSilent as silence:
            raise ServiceSilent(f"{silence}; the end of {self.log_path}:\n{self.log_tail()}") from None

    def _answers_or_died(self) -> bool:
        if self.answers():
            return True
        if not self.is_running:
            raise ServiceDied(f"{self.name} ended while it started; the end of {self.log_path}:\n{self.log_tail()}")
        return False

    def _choose_ports(self) -> None:
        chosen: dict[str, int] = {}
        for name in self.port_names:
            port = self.remembered_ports.get(name)
            chosen[name] = port if port and ports.becomes_free(port) else ports.pick(avoid=chosen.values())
        self._write_state(ports=chosen)

    def _read_state(self) -> dict[str, Any]:
        try:
            state = json.loads((self.folder / "service.json").read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _write_state(self, **changes: Any) -> None:
        path = self.folder / "service.json"
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({**self._read_state(), **changes}, indent=1))
        draft.replace(path)

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait for a condition that must come true; ServiceSilent names it when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ServiceSilent(f"not so within {seconds:.0f} s: {what}")
        time.sleep(POLL_SECONDS)
