"""This module starts, recognises, signals and ends server processes.

A process is known by its pid and its start time, so that a recycled pid is never mistaken for ours. Processes that must die
with us get the kernel's parent-death signal. That signal belongs to the parent *thread*: all spawning therefore happens in one
thread that lives as long as this process, whoever asks.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from backtape.stack.errors import StackError

LAUNCHER = Path(__file__).with_name("launcher.py")
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for ever: a pid comes back, a pid with its start time does not.

    started : clock ticks since boot on Linux, elsewhere milliseconds since the epoch
    """

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class User:
    """An operating-system user to run a process as."""

    uid: int
    gid: int


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    user: User | None = None,
    outlive_parent: bool = False,
) -> Identity:
    """Start a command in a session of its own, in folder "/", output appended to `log`, and return who it is."""
    return _spawner().submit(_spawn, command, log, user, outlive_parent).result()


def is_alive(process: Identity) -> bool:
    """Say whether the process still runs; a child of ours that has ended is reaped."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return start_time(process.pid) == process.started


def end(process: Identity, *, signal_number: int = signal.SIGTERM, grace_seconds: float = 10.0) -> None:
    """Ask a process to end; after the grace, SIGKILL it and its descendants. Return when all of them are gone."""
    family = family_of(process)
    if is_alive(process):
        send(process, signal.SIGCONT)  # a stopped process would not hear the polite signal
        send(process, signal_number)
        wait_gone([process], grace_seconds)
    kill(family)


def kill(family: Sequence[Identity]) -> None:
    """SIGKILL these processes, and return when they are gone."""
    for member in family:
        send(member, signal.SIGKILL)
    if not wait_gone(family, 10.0):
        raise StackError(f"processes survive SIGKILL: {[member.pid for member in family if is_alive(member)]}")


def family_of(process: Identity) -> list[Identity]:
    """Return a process and all its descendants, the ancestor first. (Each backend of Postgres leads a group of its own.)"""
    if not is_alive(process):
        return []
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        return [process]
    started = {child.pid: start_time(child.pid) for child in children}
    return [process, *(Identity(pid, ticks) for pid, ticks in started.items() if ticks is not None)]


def send(process: Identity, signal_number: int) -> None:
    """Send a signal to exactly this process, or to nobody."""
    if is_alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal_number)


def wait_gone(processes: Sequence[Identity], seconds: float) -> bool:
    """Wait until none of them is alive; False when the time is up first."""
    deadline = time.monotonic() + seconds
    while any(is_alive(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def start_time(pid: int) -> int | None:
    """Return when a process started, in a form that identifies it; None if there is none, or only a zombie."""
    if sys.platform == "linux":
        return _start_ticks(pid)
    try:
        found = psutil.Process(pid)
        return None if found.status() == psutil.STATUS_ZOMBIE else int(found.create_time() * 1000)
    except psutil.Error:
        return None


def _start_ticks(pid: int) -> int | None:
    # Not psutil's create_time: that moves when the wall clock is set.
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    state, threads, started = fields[0], int(fields[17]), int(fields[19])
    # A killed JVM shows its first thread as a zombie while others still hold its sockets.
    return None if state in (b"Z", b"X") and threads <= 1 else started


@cache
def _spawner() -> ThreadPoolExecutor:
    # Never shut down: the thread's end would be the children's end.
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="backtape-spawner")


def _spawn(command: Sequence[str], log: Path, user: User | None, outlive_parent: bool) -> Identity:
    parent = 0 if outlive_parent else os.getpid()
    uid, gid = (user.uid, user.gid) if user else (-1, -1)
    argv = [sys.executable, "-I", "-S", str(LAUNCHER), str(parent), str(uid), str(gid), *command]
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        pid = os.posix_spawn(
            sys.executable,
            argv,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(output)
    return Identity(pid, start_time(pid) or 0)
