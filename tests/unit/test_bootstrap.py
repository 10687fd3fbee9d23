"""Set-up looks at the prerequisites before it does anything else. The system's tools are played by small scripts here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
TOOLS = ("sh", "sed", "head", "cat", "tr", "dirname")


class Machine:
    """A checkout with nothing but the script, and a PATH with nothing but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "check out"
        self.tools = folder / "tools"
        self.calls = folder / "calls"
        (self.checkout / "deploy").mkdir(parents=True)
        self.tools.mkdir()
        shutil.copy(CHECKOUT / "deploy" / "bootstrap.sh", self.checkout / "deploy")
        for tool in TOOLS:
            (self.tools / tool).symlink_to(str(shutil.which(tool)))

    def has(self, tool: str, script: str) -> None:
        path = self.tools / tool
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def set_up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.checkout / "deploy" / "bootstrap.sh"), *arguments]
        return subprocess.run(command, env={"PATH": str(self.tools)}, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Debian machine without Python, Java, Maven and Docker, and a user who is not root."""
    bare = Machine(tmp_path)
    bare.has("id", "echo 1000")
    bare.has("apt-cache", "true")
    bare.has("apt-get", f'echo "$@" >> {bare.calls}')
    return bare


def test_command_is_printed_and_nothing_else_happens(machine: Machine) -> None:
    """Who may not install packages gets the exact command and a failure; the checkout stays as it is."""
    done = machine.set_up()
    assert done.returncode == 1
    assert "sudo apt-get update && sudo apt-get install -y --no-install-recommends python3 " in done.stderr
    assert "openjdk-17-jre-headless maven" in done.stderr
    assert sorted(path.name for path in machine.checkout.iterdir()) == ["deploy"]
    assert not machine.calls.exists()


def test_only_what_is_missing_is_named(machine: Machine) -> None:
    """A Java that is there is not installed again; one that is too old is."""
    machine.has("mvn", "true")
    machine.has("java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    machine.has("python3", "exit 0")
    done = machine.set_up()
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].startswith("Missing: java (")


def test_docker_command_without_an_engine_is_no_engine(machine: Machine) -> None:
    """The docker command alone replaces neither Java nor Maven; an engine that answers does."""
    machine.has("python3", "exit 0")
    machine.has("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    assert machine.set_up().stderr.startswith("Missing: java maven (")
    machine.has("docker", "echo 29.0.1")
    assert "Missing:" not in machine.set_up().stderr


def test_root_installs_what_is_missing(machine: Machine) -> None:
    """As root on Debian apt is called for the missing packages; if they are still missing then, the command is printed."""
    machine.has("id", "echo 0")
    machine.has("python3", "exit 0")
    done = machine.set_up()
    install = "install -y --no-install-recommends openjdk-17-jre-headless maven"
    assert machine.calls.read_text().splitlines() == ["update", install]
    assert done.returncode == 1
    assert done.stderr.count("Missing: java maven") == 1
    assert sorted(path.name for path in machine.checkout.iterdir()) == ["deploy"]


def test_a_browser_is_never_a_must(machine: Machine) -> None:
    """Who may not install packages gets none, and no failure: the tests of the dashboard skip."""
    done = machine.set_up("browser")
    assert done.returncode == 0, done.stderr
    assert not machine.calls.exists()


def test_a_browser_that_is_there_is_not_installed(machine: Machine) -> None:
    """Root installs it on Debian where it is missing, and a failure to do so is told and forgiven."""
    machine.has("id", "echo 0")
    machine.has("apt-get", f'echo "$@" >> {machine.calls}; false')
    assert machine.set_up("browser").returncode == 0
    is_debian = "ID=debian" in Path("/etc/os-release").read_text("utf-8").splitlines()
    assert machine.calls.exists() == is_debian
    machine.calls.unlink(missing_ok=True)
    machine.has("chromium", "true")
    assert machine.set_up("browser").returncode == 0
    assert not machine.calls.exists()
