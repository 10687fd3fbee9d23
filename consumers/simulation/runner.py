"""This module runs simulations in processes of their own, through the zygote, and hands their frames to the worker.

The Runner port has a memory twin for tests of the loop (tests' own); this is the real one.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec
import structlog

from adapters.errors import ConfigurationError, RetryableError
from consumers.simulation.frames import LENGTH, MAX_FRAME_BYTES, AnyFrame, Job, decode_frame
from schemas.strategies import Catalogue

log = structlog.get_logger()

PIPE_BYTES = 1024 * 1024  # as much as the kernel lets an ordinary user have
START_SECONDS = 120.0  # importing and, the very first time, compiling


@dataclass(frozen=True, slots=True)
class Ending:
    """How a simulation's process ended."""

    code: int | None
    signal: int | None

    @property
    def is_crash(self) -> bool:
        """True when it was killed, by the machine or by a bug of native code: the run deserves another attempt."""
        return self.signal is not None


class Simulation(Protocol):
    """One simulation under way."""

    async def next(self) -> AnyFrame | None:
        """Return the next frame, or None when the process has ended."""
        ...

    async def ending(self) -> Ending: ...

    def kill(self) -> None: ...


class Runner(Protocol):
    """Starts simulations."""

    async def start(self, job: Job) -> Simulation:
        """Start a simulation. Raises RetryableError when processes can't be had just now."""
        ...

    async def catalogue(self) -> Catalogue: ...

    async def close(self) -> None: ...


class ForkedSimulation:
    """A fork of the zygote, as the worker sees it."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.BaseTransport) -> None:
        self._reader = reader
        self._transport = transport
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._pid: int | None = None
        self._is_killed = False

    async def next(self) -> AnyFrame | None:
        try:
            (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
            return decode_frame(await self._reader.readexactly(length))
        except asyncio.IncompleteReadError:
            return None

    async def ending(self) -> Ending:
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        """End the process now; frames it has not sent are gone."""
        self._is_killed = True
        if self._pid is not None and not self._ended.done():
            # Its whole group, so that processes a strategy started go as well; a fork so young that it has none yet, alone.
            try:
                os.killpg(self._pid, signal.SIGKILL)
            except ProcessLookupError:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
        self._transport.close()

    def on_started(self, pid: int) -> None:
        self._pid = pid
        if self._is_killed:
            self.kill()

    def on_ended(self, ending: Ending) -> None:
        if not self._ended.done():
            self._ended.set_result(ending)


class ZygoteRunner:
    """Runner on forks of one zygote, which is started at the first use and again when it dies."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._starting = asyncio.Lock()
        self._running: dict[int, ForkedSimulation] = {}
        self._last = 0

    async def start(self, job: Job) -> ForkedSimulation:
        return await self._fork({"job": msgspec.to_builtins(job)})

    async def catalogue(self) -> Catalogue:
        """Return the installed strategies. Raises ConfigurationError when one can't be loaded."""
        simulation = await self._fork({"catalogue": True})
        body = await simulation._reader.read(-1)
        ending = await simulation.ending()
        if ending.code != 0:
            raise ConfigurationError("strategies can't be loaded: the error is in the log above")
        return msgspec.json.decode(body, type=Catalogue)

    async def close(self) -> None:
        self._lost()

    async def _fork(self, request: dict[str, object]) -> ForkedSimulation:
        control = await self._started()
        self._last += 1
        number = self._last
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # a smaller pipe is only slower
            fcntl.fcntl(read_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        reader = asyncio.StreamReader(limit=2 * MAX_FRAME_BYTES)
        output = os.fdopen(read_end, "rb", buffering=0)
        try:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), output
            )
        except BaseException:
            output.close()
            os.close(write_end)
            raise
        simulation = ForkedSimulation(reader, transport)
        self._running[number] = simulation
        try:
            socket.send_fds(control, [json.dumps({"id": number, **request}).encode()], [write_end])
        except OSError as error:
            self._running.pop(number, None)
            simulation.kill()
            raise RetryableError(f"the simulations' zygote can't be reached: {error}") from error
        finally:
            os.close(write_end)
        return simulation

    async def _started(self) -> socket.socket:
        async with self._starting:
            if self._control is None:
                self._control = await self._spawn()
            return self._control

    async def _spawn(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for each in (ours, theirs):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_FRAME_BYTES)
        # Started from this thread, which lives as long as the process: the kernel ties a child's death signal to the thread.
        self._process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, "-m", "consumers.simulation.zygote", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            env=self._environment,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            ready = await asyncio.wait_for(loop.sock_recv(ours, 4096), START_SECONDS)
        except TimeoutError as error:
            self._process.kill()
            raise RetryableError(f"the simulations' zygote was not ready after {START_SECONDS:g} s") from error
        if not ready:
            raise ConfigurationError("the simulations' zygote ended at its start: the error is in the log above")
        loop.add_reader(ours.fileno(), self._on_message, ours)
        return ours

    def _on_message(self, control: socket.socket) -> None:
        try:
            message = control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            log.error("zygote_lost", simulations=len(self._running))
            self._lost()
            return
        said = json.loads(message)
        if "started" in said:
            if said["started"] in self._running:
                self._running[said["started"]].on_started(said["pid"])
        else:
            simulation = self._running.pop(said["ended"], None)
            if simulation is not None:
                simulation.on_ended(Ending(code=said["code"], signal=said["signal"]))

    def _lost(self) -> None:
        """Let go of the zygote; its forks are gone with it."""
        if self._control is not None:
            control, self._control = self._control, None
            asyncio.get_running_loop().remove_reader(control.fileno())
            control.close()
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()  # it was killed, or its socket is closed because it is dead: this returns at once
        running, self._running = list(self._running.values()), {}
        for simulation in running:
            simulation.on_ended(Ending(code=None, signal=signal.SIGKILL))
