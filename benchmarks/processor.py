"""This module adds up the processor time of processes, so that a rate can be explained: who worked how long for one run."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable

import psutil

from backtape.stack.service import Service


def processor_seconds(services: Iterable[tuple[str, Service]]) -> dict[str, float]:
    """Return the seconds that each kind of process has used so far, its ended children inside.

    The worker's simulations are forks of its zygote and count with it, as ``simulations``.
    """
    seconds: dict[str, float] = defaultdict(float)
    for role, service in services:
        if service.pid is None:
            continue
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(service.pid)
            seconds[role] += _seconds(process)
            for child in process.children(recursive=True):
                seconds["simulations" if role == "worker" else role] += _seconds(child)
    return dict(seconds)


def _seconds(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0
