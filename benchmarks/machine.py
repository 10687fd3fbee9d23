"""This module describes what the figures were measured on: the machine, its load, the versions, the commit."""

import os
import platform
import re
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("aiokafka", "asyncpg", "faststream", "msgspec", "numba", "numpy", "pyarrow", "uvloop")


def described(postgres: str, command: str) -> list[str]:
    """Return lines of Markdown. Taken at the start: the benchmark itself is load."""
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    return [
        f"- date: {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC",
        f"- machine: {_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, {_kernel()}",
        f"- load average at the start (1, 5, 15 minutes): {load}",
        f"- Python {platform.python_version()}, Kafka {_kafka()} (one node), {postgres}, {', '.join(map(_package, PACKAGES))}",
        f"- code: {_commit()}",
        f"- command: `{command}`",
    ]


def _kernel() -> str:
    return f"{platform.system()} {platform.release().partition('-')[0]}"


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _kafka() -> str:
    pom = (ROOT / "backtape/stack/poms/kafka/pom.xml").read_text()
    found = re.search(r"kafka_2\.13</artifactId>\s*<version>([^<]+)", pom)
    return found[1] if found else "?"


def _package(name: str) -> str:
    return f"{name} {version(name)}"


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "*.py", ":!tests")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with uncommitted changes" if changed else "")
