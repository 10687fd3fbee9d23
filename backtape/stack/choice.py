"""This module chooses how the local stack runs: as processes where Java is, in containers where only Docker is."""

from __future__ import annotations

from pathlib import Path

from backtape.stack import docker
from backtape.stack.doctor import OLDEST_JAVA
from backtape.stack.errors import StackError
from backtape.stack.kafka import java_version
from backtape.stack.local import LocalStack


def open_stack(state: Path, *, jars: Path | None = None) -> LocalStack | docker.DockerStack:
    """Return the stack that this machine can run; nothing is started.

    Processes come first although Docker is the more usual way: they are what the tests run, start faster, and can be frozen.
    """
    if (java_version() or 0) >= OLDEST_JAVA:
        return LocalStack(state, jars=jars)
    if docker.engine_answers():
        return docker.DockerStack(state)
    raise StackError(f"neither Java {OLDEST_JAVA} nor a Docker engine is here; `apt-get install openjdk-17-jre-headless maven`")
