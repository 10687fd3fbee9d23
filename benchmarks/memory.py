"""This module watches the memory of processes while the benchmarks run.

A process counts with the highest resident set that the kernel has seen (VmHWM). Simulations come and go: the largest one that a
look every quarter of a second found. Postgres is a family that shares its buffers: the sum of its proportional set sizes.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from backtape.stack.service import Service

LOOK_SECONDS = 0.25
FAMILY_EVERY = 4  # looks; the sum walks through page tables
MIB = 2**20


class MemoryWatch:
    """Peaks in bytes by what a process is, taken by a thread of its own. Use as a context manager."""

    def __init__(self, services: Callable[[], Iterable[tuple[str, Service]]]) -> None:
        self.peaks: dict[str, int] = {}
        self._services = services
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        looks = 0
        while not self._is_over.wait(LOOK_SECONDS):
            looks += 1
            for role, service in list(self._services()):
                pid = service.pid
                if pid is None:
                    continue
                with contextlib.suppress(psutil.Error, OSError):
                    if role == "postgres":
                        if looks % FAMILY_EVERY == 0:
                            self._note(role, _family_bytes(pid))
                    else:
                        self._note(role, _peak_bytes(pid))
                    if role == "worker":
                        self._look_at_children(pid)

    def _look_at_children(self, pid: int) -> None:
        """The worker's child is the zygote, whose children are the simulations."""
        for zygote in psutil.Process(pid).children():
            self._note("zygote", _peak_bytes(zygote.pid))
            for simulation in zygote.children():
                with contextlib.suppress(psutil.Error, OSError):
                    self._note("simulation", _peak_bytes(simulation.pid))

    def _note(self, role: str, found: int) -> None:
        self.peaks[role] = max(found, self.peaks.get(role, 0))


def _peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _family_bytes(pid: int) -> int:
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    total = 0
    for member in family:
        with contextlib.suppress(psutil.Error):
            total += member.memory_full_info().pss
    return total
