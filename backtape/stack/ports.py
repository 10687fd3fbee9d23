"""This module picks free TCP ports that stay free while a server is down.

Ports are taken from below the kernel's ephemeral range. A port inside that range can be lost while its server restarts:
to any outgoing connection, or to a client that retries the very port and connects to itself.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterable
from pathlib import Path

LOWEST = 15_000
HIGHEST = 32_000
POLL_SECONDS = 0.02
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int) -> bool:
    """Say whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: a connection of the last server that lingers in TIME_WAIT does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


def becomes_free(port: int, *, within_seconds: float = 1.0) -> bool:
    """Say whether the port is free now or soon: who was killed just now may still be closing it."""
    deadline = time.monotonic() + within_seconds
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def pick(*, avoid: Iterable[int] = ()) -> int:
    """Return a free port. It is not held: another process could still take it before its server starts."""
    taken = set(avoid)
    below = min(HIGHEST, _ephemeral_start() - 1)
    choices = random.SystemRandom()
    for _ in range(1000):
        port = choices.randint(min(LOWEST, below - 1000), below)
        if port not in taken and is_free(port):
            return port
    raise OSError("no free port below the ephemeral range")


def _ephemeral_start() -> int:
    try:
        return max(2048, int(EPHEMERAL_RANGE.read_text().split()[0]))
    except (OSError, ValueError, IndexError):
        return HIGHEST + 1
