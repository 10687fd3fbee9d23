"""This module runs the same three servers in containers, for machines with a Docker engine and no Java.

Not run by this project's tests so far: no Docker engine was at hand. It is kept small for that reason, and `open_stack` prefers
the processes of `local.py` wherever Java is there. Containers are published on fixed ports of 127.0.0.1, so that a killed
one comes back where it was. testcontainers' reaper removes them when this process dies; `detached` is therefore refused.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backtape.stack import ports
from backtape.stack.endpoints import DATABASE, S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY, Endpoints
from backtape.stack.errors import NotRunning, StackError
from backtape.stack.kafka import broker_count
from backtape.stack.s3 import bucket_request
from backtape.stack.service import Report, wait_until

KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_IMAGE = "postgres:18"
S3_IMAGE = "andrewgaul/s3proxy:s3proxy-4.1.0"
PASSWORD = "backtape-local-secret"


def engine_answers() -> bool:
    """Say whether a Docker engine answers. The command line tool alone proves nothing, so the engine's version is asked for."""
    try:
        command = ["docker", "version", "--format", "{{.Server.Version}}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


@dataclass(slots=True)
class ContainerService:
    """One server in a container, with the verbs of `service.Service`."""

    name: str
    image: str
    inner_port: int
    port: int
    environment: dict[str, str]
    answers: Callable[[], bool]
    log_path: Path
    container: Any = field(default=None, init=False)

    @property
    def is_running(self) -> bool:
        if self.container is None:
            return False
        wrapped = self.container.get_wrapped_container()
        wrapped.reload()
        return wrapped.status in ("running", "paused")

    @property
    def pid(self) -> int | None:
        return int(self.container.get_wrapped_container().attrs["State"]["Pid"]) if self.is_running else None

    def start(self, *, report: Report = lambda line: None) -> None:
        """Start the container, or start it again after kill(): same port, same data."""
        if self.container is None:
            from testcontainers.core.container import DockerContainer

            self.container = DockerContainer(self.image).with_bind_ports(self.inner_port, self.port)
            for name, value in self.environment.items():
                self.container.with_env(name, value)
            self.container.start()
        elif not self.is_running:
            self.container.get_wrapped_container().start()
        wait_until(self.answers, seconds=120.0, what=f"{self.name} in a container answers")
        report(f"{self.name}: answers")

    def stop(self) -> None:
        if self.container is not None:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            self.log_path.write_bytes(self.container.get_wrapped_container().logs())
            self.container.stop()
            self.container = None

    def kill(self) -> None:
        self._wrapped().kill()

    def freeze(self) -> None:
        self._wrapped().pause()

    def thaw(self) -> None:
        self._wrapped().unpause()

    def _wrapped(self) -> Any:
        if self.container is None:
            raise NotRunning(f"{self.name} is not running")
        return self.container.get_wrapped_container()


class DockerStack:
    """The three services in containers, with the verbs of `local.LocalStack`."""

    def __init__(self, state: Path) -> None:
        self.state = Path(state).resolve()
        kafka, sql, s3 = _three_ports()
        self.kafka = ContainerService(
            "kafka",
            KAFKA_IMAGE,
            9092,
            kafka,
            _kafka_environment(kafka),
            lambda: _answers(lambda: broker_count(kafka) > 0),
            self.state / "kafka.log",
        )
        self.postgres = ContainerService(
            "postgres",
            POSTGRES_IMAGE,
            5432,
            sql,
            {"POSTGRES_USER": "backtape", "POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": DATABASE},
            self._postgres_answers,
            self.state / "postgres.log",
        )
        self.s3 = ContainerService(
            "s3",
            S3_IMAGE,
            80,
            s3,
            _s3_environment(),
            lambda: _answers(lambda: bucket_request(s3, "HEAD") in (200, 404)),
            self.state / "s3.log",
        )

    @property
    def services(self) -> tuple[ContainerService, ...]:
        return (self.kafka, self.postgres, self.s3)

    def start(self, *, report: Report = lambda line: None, detached: bool = False) -> Endpoints:
        if detached:
            raise StackError("containers of this stack die with their parent; to keep servers running use docker-compose.yml")
        with ThreadPoolExecutor(max_workers=3) as pool:
            for future in [pool.submit(service.start, report=report) for service in self.services]:
                future.result()
        bucket_request(self.s3.port, "PUT")
        return self.endpoints()

    def stop(self) -> None:
        for service in self.services:
            service.stop()

    def endpoints(self) -> Endpoints:
        if not all(service.is_running for service in self.services):
            raise NotRunning("the stack of containers is not running")
        return Endpoints(
            kafka_bootstrap=f"127.0.0.1:{self.kafka.port}",
            database_url=f"postgresql://backtape:{PASSWORD}@127.0.0.1:{self.postgres.port}/{DATABASE}",
            s3_url=f"s3://{S3_BUCKET}",
            s3_endpoint=f"http://127.0.0.1:{self.s3.port}",
            s3_access_key=S3_ACCESS_KEY,
            s3_secret_key=S3_SECRET_KEY,
        )

    def _postgres_answers(self) -> bool:
        # By TCP: the image's first start runs a temporary server that listens on its Unix socket only.
        command = ["psql", "-h", "127.0.0.1", "-U", "backtape", "-d", DATABASE, "-c", "SELECT 1"]
        code, _ = self.postgres._wrapped().exec_run(command, environment={"PGPASSWORD": PASSWORD})
        return bool(code == 0)


def _answers(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except Exception:  # whatever a half-started server does to a socket: it does not answer yet
        return False


def _three_ports() -> tuple[int, int, int]:
    first = ports.pick()
    second = ports.pick(avoid=[first])
    return first, second, ports.pick(avoid=[first, second])


def _kafka_environment(port: int) -> dict[str, str]:
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }


def _s3_environment() -> dict[str, str]:
    return {
        "S3PROXY_AUTHORIZATION": "aws-v2-or-v4",
        "S3PROXY_IDENTITY": S3_ACCESS_KEY,
        "S3PROXY_CREDENTIAL": S3_SECRET_KEY,
        "S3PROXY_ENDPOINT": "http://0.0.0.0:80",
        "JCLOUDS_PROVIDER": "filesystem-nio2",
        "JCLOUDS_FILESYSTEM_BASEDIR": "/data",
    }
