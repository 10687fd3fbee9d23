"""The doctor names what is wrong, and what to do about it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from backtape.stack import docker, doctor, ports


def test_nothing_there_is_named_with_a_remedy(tmp_path: Path) -> None:
    """On an empty state folder the jars are missing and no service runs; every failure says what to do."""
    checks = {check.name: check for check in doctor.examine(tmp_path / "absent")}
    assert checks["python"].ok
    assert not checks["jars of kafka"].ok
    assert not checks["postgres process"].ok
    assert all(check.remedy for check in checks.values() if not check.ok)
    assert not (tmp_path / "absent").exists()


def test_missing_java_is_a_failure_only_without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Java and Maven may be absent where an engine answers."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for engine in (False, True):
        monkeypatch.setattr(docker, "engine_answers", lambda answer=engine: answer)
        java = next(check for check in doctor.examine(tmp_path) if check.name == "java")
        assert not java.ok
        assert java.is_optional is engine


def test_docker_command_that_fails_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an engine's version counts as an answer."""
    command = tmp_path / "docker"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for script, answer in (("exit 1", False), ("true", False), ("echo 29.0.1", True)):
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        assert docker.engine_answers() is answer


def test_picked_port_is_free_and_below_the_ephemeral_range() -> None:
    """A client that retries a port of the ephemeral range can take it from its server."""
    port = ports.pick()
    assert ports.is_free(port)
    assert port < 32_768
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        server.listen()
        assert not ports.is_free(port)
        assert ports.pick(avoid=[port]) != port
