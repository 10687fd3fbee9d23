"""This module is the zygote: a process that has everything imported and compiled, and forks once per simulation.

A fork costs milliseconds where a fresh interpreter costs a second; and it isolates: whatever a strategy breaks is gone with
its process. The zygote itself runs no user code. It dies with the worker, its forks die with it.

Protocol, over one SOCK_SEQPACKET socket, JSON: the worker sends ``{"id": n, "job": {...}}`` (or ``"catalogue": true``)
together with the write end of a pipe; the zygote answers ``{"started": n, "pid": …}``, and ``{"ended": n, "code": exit code,
"signal": signal or null}`` when that fork is gone.

Usage (by the worker): python -m consumers.simulation.zygote SOCKET_FD PARENT_PID
"""

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec

from consumers.settings import Settings, load_settings
from consumers.simulation.child import Surroundings, run_job
from consumers.simulation.frames import AnyFrame, Failed, Job, encode_frame
from schemas.events import FailureReason

MAX_MESSAGE = 1024 * 1024
PR_SET_PDEATHSIG = 1
AUTOGROUP = Path("/proc/self/autogroup")


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    die_with_parent(int(sys.argv[2]))
    for number in (signal.SIGINT, signal.SIGTERM):  # they are the worker's to handle: it ends us
        signal.signal(number, signal.SIG_IGN)
    settings = load_settings()
    surroundings = _prepare(settings)
    _give_way(settings.simulation_nice)
    control.send(b'{"ready": true}')
    serve(control, surroundings)


def _prepare(settings: Settings) -> Surroundings:
    """Import and compile what simulations need, once; forks share it."""
    from adapters.strategies import installed
    from consumers.wiring import simulation_surroundings
    from engine.version import code_digest
    from engine.warm import warm

    surroundings = simulation_surroundings(settings)
    warm()
    code_digest()
    installed()
    gc.collect()
    gc.freeze()  # forks do not copy pages only because the collector walks them
    return surroundings


def _give_way(nice: int) -> None:
    """Let whoever has something to answer come first: forks inherit it."""
    if nice == 0:
        return
    os.nice(nice)
    # Where Linux weighs sessions against each other (autogroup), a priority counts within its session only: ours is the worker's.
    os.setsid()
    with contextlib.suppress(OSError):
        AUTOGROUP.write_text(str(nice))


def serve(control: socket.socket, surroundings: Surroundings) -> None:
    """Fork for each message until the worker is gone."""
    running: dict[int, int] = {}
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        readable, _, _ = select.select([control.fileno(), wake_read], [], [])
        if wake_read in readable:
            os.read(wake_read, 4096)
            _reap(control, running)
        if control.fileno() in readable:
            message, descriptors, _, _ = socket.recv_fds(control, MAX_MESSAGE, 1)
            if not message:
                os._exit(0)
            request = json.loads(message)
            pid = _fork(request, descriptors[0], control, surroundings)
            os.close(descriptors[0])
            running[pid] = request["id"]
            control.send(json.dumps({"started": request["id"], "pid": pid}).encode())


def _reap(control: socket.socket, running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what the strategy started must neither live on nor keep the pipe open
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        control.send(json.dumps({"ended": running.pop(pid), "code": code, "signal": killed}).encode())


def _fork(request: dict[str, Any], descriptor: int, control: socket.socket, surroundings: Surroundings) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 70  # what an error of ours in the fork exits with
    try:
        die_with_parent(parent)
        control.close()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.setpgid(0, 0)  # the worker kills the group: processes a strategy started go as well
        _serve_one(request, descriptor, surroundings)
        code = 0
    except BrokenPipeError:
        code = 0  # nobody listens any more: cancelled
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _serve_one(request: dict[str, Any], descriptor: int, surroundings: Surroundings) -> None:
    with os.fdopen(descriptor, "wb", buffering=0) as output:

        def send(frame: AnyFrame) -> None:
            _write_all(output.fileno(), encode_frame(frame))

        if request.get("catalogue"):
            _write_all(descriptor, _catalogue(surroundings))
            return
        try:
            run_job(msgspec.convert(request["job"], Job), surroundings, send)
        except SystemExit as exit_:
            send(Failed(reason=FailureReason.STRATEGY_EXITED, detail=f"the strategy raised SystemExit({exit_.code!r})"))


def _catalogue(surroundings: Surroundings) -> bytes:
    from adapters.strategies import load_all
    from engine.registry import card

    cards = {name: card(strategy, name) for name, strategy in load_all(surroundings.strategy_files).items()}
    return msgspec.json.encode(cards)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    main()
