"""This module looks at everything the local stack needs, and says what is wrong and what to do about it. It changes nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backtape.stack import docker, jars, ports
from backtape.stack.kafka import java_version
from backtape.stack.local import LocalStack
from backtape.stack.service import Service

OLDEST_PYTHON = (3, 11)
OLDEST_JAVA = 17
# Kafka, Postgres and S3 with the demo's data stay under 1 GB; the rest is room to work.
NEEDED_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    remedy : what to do when it is not ok; empty when it is
    is_optional : not ok is worth knowing, and no reason to fail
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    is_optional: bool = False


def examine(state: Path, *, jar_root: Path | None = None) -> list[Check]:
    """Return all checks, the prerequisites first."""
    stack = LocalStack(state, jars=jar_root)
    has_engine = docker.engine_answers()
    return [
        _python(),
        _java(is_optional=has_engine),
        _maven(is_optional=has_engine or all(jars.is_complete(jars.folder_of(stack.jars, name)) for name in jars.BUNDLES)),
        _engine(has_engine),
        *(_bundle(stack.jars, name) for name in jars.BUNDLES),
        *(check for service in stack.services for check in _service(service)),
        _disk(stack.state),
    ]


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    ok = sys.version_info >= OLDEST_PYTHON
    return Check("python", ok, version, "" if ok else "install Python 3.11 or newer")


def _java(*, is_optional: bool) -> Check:
    version = java_version()
    if version is None:
        return Check("java", False, "not found", "apt-get install openjdk-17-jre-headless", is_optional)
    ok = version >= OLDEST_JAVA
    return Check("java", ok, f"version {version}", "" if ok else "install Java 17 or newer, first on PATH", is_optional)


def _maven(*, is_optional: bool) -> Check:
    found = shutil.which("mvn")
    if found is None:
        return Check("maven", False, "not found", "apt-get install maven", is_optional)
    try:
        done = subprocess.run([found, "-v"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("maven", False, str(error), f"see why `{found} -v` fails", is_optional)
    ok = done.returncode == 0
    first_line = next(iter((done.stdout or done.stderr).splitlines()), "")
    return Check("maven", ok, first_line, "" if ok else f"see why `{found} -v` fails", is_optional)


def _engine(answers: bool) -> Check:
    if answers:
        return Check("docker engine", True, "answers", is_optional=True)
    detail = "the docker command is there, no engine answers" if shutil.which("docker") else "not found"
    return Check("docker engine", False, detail, "not needed where Java is; else start it", is_optional=True)


def _bundle(root: Path, bundle: str) -> Check:
    folder = jars.folder_of(root, bundle)
    ok = jars.is_complete(folder)
    detail = str(folder) if ok else f"missing or damaged in {folder}"
    return Check(f"jars of {bundle}", ok, detail, "" if ok else "`make setup` fetches them (so does `backtape up`)")


def _service(service: Service) -> Iterator[Check]:
    known = service.remembered_ports
    where = ", ".join(f"{name} on {port}" for name, port in known.items())
    if service.is_running:
        yield Check(f"{service.name} process", True, f"pid {service.pid}, {where}")
        ok = service.answers()
        yield Check(
            f"{service.name} answer",
            ok,
            "answers" if ok else "gives no answer",
            "" if ok else f"see {service.log_path}; `backtape down` and `backtape up` start it anew",
        )
        return
    yield Check(f"{service.name} process", False, "does not run", "`backtape up` starts it", is_optional=True)
    taken = [port for port in known.values() if not ports.is_free(port)]
    if taken:
        yield Check(f"{service.name} ports", False, f"taken by another process: {taken}", "the next start picks others", True)


def _disk(folder: Path) -> Check:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    ok = free >= NEEDED_BYTES
    return Check(
        "disk space",
        ok,
        f"{free / 1e9:.1f} GB free at {existing}",
        "" if ok else f"make room: {NEEDED_BYTES / 1e9:.0f} GB are needed",
    )
