"""This module is a rebuild in a process of its own, for tests that kill it: forked from a server that has all imports.

It imports no test: the server would load them all.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from multiprocessing.connection import Connection

from consumers.rebuild.job import Rebuild
from consumers.settings import Settings

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


def rebuild_and_tell(environment: dict[str, str], told: Connection) -> None:
    """Do a whole rebuild, and send each line that it says."""
    os.environ.update(environment)
    asyncio.run(Rebuild(Settings(), report=told.send, processes=1).run())


def killed_at(stage: str) -> list[str]:
    """Start a rebuild, kill it when it says that a stage begins, and return what it said. The settings are in the environment."""
    heard, told = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=rebuild_and_tell, args=(dict(os.environ), told))
    process.start()
    told.close()
    said: list[str] = []
    try:
        while not (said and said[-1].startswith(stage)):
            said.append(heard.recv())
    except EOFError:
        pass  # it ended before that stage: the test says so
    finally:
        process.kill()
        process.join()
    return said
