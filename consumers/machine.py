"""This module says what machine a run ran on: for record headers and run state, never for the hashed bytes."""

import platform
from importlib.metadata import version

from adapters.ports import Headers
from engine.version import code_digest


def machine_headers() -> Headers:
    """Return headers that name code, interpreter, numpy and processor."""
    return (
        ("code", code_digest().encode()),
        ("backtape", version("backtape").encode()),
        ("python", platform.python_version().encode()),
        ("numpy", version("numpy").encode()),
        ("cpu", _cpu().encode()),
    )


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            for line in info:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
