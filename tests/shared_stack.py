"""This module shares one running stack among the processes of a test run (pytest-xdist's workers, or the only one).

Locks of the kernel do the counting: every user holds a shared lock, which is dropped however the user dies. Whoever finds
nothing running starts the stack and owns it. The servers die with their owner, so the owner waits at its end until it is the
last user.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backtape.stack import LocalStack, NotRunning

CHECKOUT = Path(__file__).resolve().parent.parent
JARS = CHECKOUT / ".backtape" / "jars"
PREFIX = "backtape-tests-"
# pytest-xdist gives all workers of a run the same one.
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)
STALE_SECONDS = 3600.0


@contextmanager
def shared_stack() -> Iterator[LocalStack]:
    """Yield the running stack of this test run; the last user stops and removes it."""
    remove_stale_folders()
    folder = new_folder(f"run-{RUN[:12]}")
    stack = LocalStack(folder, jars=JARS)
    with (folder / "users").open("a") as users, (folder / "starting").open("a") as starting:
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_EX)
        try:
            is_owner = _start_if_needed(stack)
        finally:
            fcntl.flock(starting, fcntl.LOCK_UN)
        try:
            yield stack
        finally:
            if is_owner:
                fcntl.flock(users, fcntl.LOCK_EX)  # waits for every other user
                stack.remove()
                shutil.rmtree(folder, ignore_errors=True)


def new_folder(name: str = "") -> Path:
    """Return a folder that PostgreSQL's unprivileged user can reach (pytest's own temporary folders are closed to others)."""
    folder = Path(tempfile.gettempdir()) / f"{PREFIX}{name or uuid.uuid4().hex[:12]}"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    return folder


def remove_stale_folders() -> None:
    """Remove what test runs left that were killed an hour ago or more; their servers died with them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if time.time() - folder.stat().st_mtime > STALE_SECONDS and not any(s.is_running for s in LocalStack(folder).services):
            shutil.rmtree(folder, ignore_errors=True)


def _start_if_needed(stack: LocalStack) -> bool:
    try:
        stack.endpoints()
    except NotRunning:
        stack.start()
        return True
    return False
