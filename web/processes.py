"""This module runs the command line in processes of their own: for what simulates, imports, renders, or loads user code."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finished:
    """What a process said. Exit codes: 0 done, 1 the answer is no, 2 it could not be tried."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def reason(self) -> str:
        """Why it could not: what it answered a program (``--json``), else the last line that it told a person."""
        try:
            return str(json.loads(self.stdout)["error"])
        except (ValueError, KeyError, TypeError):
            pass
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1].removeprefix("error:").strip() if lines else f"exit code {self.code}"


async def run_cli(arguments: Sequence[str], environment: Mapping[str, str], *, seconds: float) -> Finished:
    """Run ``backtape`` with these arguments, at low priority. Raises TimeoutError after so many seconds; it is killed then."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backtape", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment}, start_new_session=True, preexec_fn=_be_nice,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            stdout, stderr = await process.communicate()
    finally:
        # Its own children too: the session is its group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode is not None, "it has ended"
    return Finished(process.returncode, stdout[:MAX_ANSWER_BYTES], stderr.decode("utf-8", "replace"))


def _be_nice() -> None:
    os.nice(10)
