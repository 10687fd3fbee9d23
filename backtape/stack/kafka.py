"""This module runs one Kafka node (broker and controller in one, KRaft) on a folder.

One node means replication factor 1: what is acknowledged survives the death of the process, not the loss of the disk.
"""

from __future__ import annotations

import base64
import contextlib
import re
import shutil
import socket
import struct
import subprocess
import uuid
from pathlib import Path
from typing import ClassVar

from backtape.stack import jars
from backtape.stack.errors import ServiceDied
from backtape.stack.service import Report, Service

# C1 only: on 2 shared cores (JDK 17, 4 partitions, 4 rounds of 0.8 GB) it took 114 to 129 MB/s and 177 transactions/s, with C2
# 118 to 145 MB/s and 162/s; it needs 254 MB instead of 301 after that. The serial collector has no threads of its own.
JVM = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)

# The two session settings: after SIGKILL the controller waits for the dead broker's registration to expire (9 s by default)
# before it lets the new one serve. The static voter: the address is then not recorded in the data, so ports may change.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dir={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=16777216
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
"""


class Kafka(Service):
    """Apache Kafka, one node."""

    name: ClassVar[str] = "kafka"
    port_names: ClassVar[tuple[str, ...]] = ("broker", "controller")
    stop_seconds: ClassVar[float] = 15.0

    def __init__(self, folder: Path, *, jar_root: Path) -> None:
        super().__init__(folder)
        self.jar_root = jar_root

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port('broker')}"

    def prepare(self, *, report: Report) -> None:
        jars.fetch(self.jar_root, "kafka", report=report)

    def command(self) -> list[str]:
        properties = self._write_properties()
        if not (self.folder / "formatted").exists():
            self._format(properties)
        return [*self._java(), f"-XX:ErrorFile={self.folder}/crash.log", *LOGGING, "kafka.Kafka", str(properties)]

    def answers(self) -> bool:
        with contextlib.suppress(OSError, struct.error, IndexError):
            return broker_count(self.port("broker")) > 0
        return False

    def _java(self) -> list[str]:
        return ["java", *JVM, "-cp", jars.class_path(self.jar_root, "kafka")]

    def _write_properties(self) -> Path:
        path = self.folder / "server.properties"
        # In a properties file a backslash escapes; nothing else in a path needs care.
        data = str(self.data.resolve()).replace("\\", "\\\\")
        path.write_text(PROPERTIES.format(**self.remembered_ports, data=data))
        return path

    def _format(self, properties: Path) -> None:
        if self.data.exists():  # a format that was killed half-way
            shutil.rmtree(self.data)
        command = [*self._java(), *LOGGING, "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(properties)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise ServiceDied(f"kafka: formatting {self.data} failed:\n{done.stdout}{done.stderr}")
        (self.folder / "formatted").touch()


def broker_count(port: int) -> int:
    """Ask a broker for the cluster's metadata and return how many brokers serve.

    Spoken by hand (Metadata, version 1, no topics), so that the stack needs no Kafka client. An open port is not enough: a broker
    listens long before the controller has unfenced it.
    """
    client = b"backtape"
    request = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
    with socket.create_connection(("127.0.0.1", port), timeout=2.0) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answer:
            size = struct.unpack(">i", answer.read(4))[0]
            body = answer.read(size)
    # correlation id, then the array of brokers
    return int(struct.unpack(">i", body[4:8])[0])


def java_version(java: str = "java") -> int | None:
    """Return the major version of the Java that would run, or None."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20)
        if match := re.search(r'version "(\d+)', done.stderr + done.stdout):
            return int(match[1])
    return None


def _cluster_id() -> str:
    # Kafka's own form of a UUID; a leading dash would read as an option.
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text
