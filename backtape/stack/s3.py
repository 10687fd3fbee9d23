"""This module runs an S3 server (S3Proxy) whose buckets are folders."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
from email.utils import formatdate
from pathlib import Path
from typing import ClassVar

from backtape.stack import jars
from backtape.stack.endpoints import S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY
from backtape.stack.errors import ServiceDied
from backtape.stack.service import Report, Service

JVM = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

LOGBACK = """\
<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{yyyy-MM-dd'T'HH:mm:ss.SSS} %-5level %logger{30} %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="OUT"/></root>
</configuration>
"""

PROPERTIES = """\
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity={identity}
s3proxy.credential={credential}
s3proxy.endpoint=http://127.0.0.1:{port}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={data}
"""


class S3(Service):
    """S3Proxy on a folder; conditional PUTs are honoured (200, then 412)."""

    name: ClassVar[str] = "s3"
    port_names: ClassVar[tuple[str, ...]] = ("http",)

    def __init__(self, folder: Path, *, jar_root: Path) -> None:
        super().__init__(folder)
        self.jar_root = jar_root

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port('http')}"

    def prepare(self, *, report: Report) -> None:
        jars.fetch(self.jar_root, "s3proxy", report=report)
        self.data.mkdir(exist_ok=True)

    def command(self) -> list[str]:
        configuration = self.folder / "configuration"
        configuration.mkdir(exist_ok=True)
        (configuration / "logback.xml").write_text(LOGBACK)
        properties = configuration / "s3proxy.properties"
        data = str(self.data.resolve()).replace("\\", "\\\\")
        properties.write_text(
            PROPERTIES.format(identity=S3_ACCESS_KEY, credential=S3_SECRET_KEY, port=self.port("http"), data=data)
        )
        classes = f"{configuration}:{jars.class_path(self.jar_root, 's3proxy')}"
        return [
            "java",
            *JVM,
            f"-XX:ErrorFile={self.folder}/crash.log",
            "-cp",
            classes,
            "org.gaul.s3proxy.Main",
            "--properties",
            str(properties),
        ]

    def answers(self) -> bool:
        try:
            return bucket_request(self.port("http"), "HEAD") in (200, 404)
        except (OSError, http.client.HTTPException):
            return False

    def after_start(self) -> None:
        if bucket_request(self.port("http"), "HEAD") == 200:
            return
        status = bucket_request(self.port("http"), "PUT")
        if status not in (200, 409):
            raise ServiceDied(f"s3: creating the bucket was answered with {status}; the end of its log:\n{self.log_tail()}")


def bucket_request(port: int, method: str) -> int:
    """Send a signed request for the bucket itself; return the status.

    Signed by hand (AWS signature version 2, five lines), so that the stack needs no S3 client.
    """
    date = formatdate(usegmt=True)
    text = f"{method}\n\n\n{date}\n/{S3_BUCKET}"
    signature = base64.b64encode(hmac.new(S3_SECRET_KEY.encode(), text.encode(), hashlib.sha1).digest()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        headers = {"Date": date, "Authorization": f"AWS {S3_ACCESS_KEY}:{signature}", "Content-Length": "0"}
        connection.request(method, f"/{S3_BUCKET}", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
