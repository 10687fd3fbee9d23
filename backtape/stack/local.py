"""This module is the local stack: Kafka, PostgreSQL and an S3 server, the real ones, as processes on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from backtape.stack.endpoints import S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY, Endpoints
from backtape.stack.errors import NotRunning
from backtape.stack.kafka import Kafka
from backtape.stack.postgres import Postgres
from backtape.stack.s3 import S3
from backtape.stack.service import Report, Service


def silent(line: str) -> None:
    """Report to nobody."""


class LocalStack:
    """Three services in a state folder.

    state : e.g. `.backtape`; holds one folder a service. Stacks with different folders run side by side.
    jars : where the jars are kept; by default in the state folder. Stacks may share it.
    """

    def __init__(self, state: Path, *, jars: Path | None = None) -> None:
        self.state = Path(state).resolve()
        self.jars = Path(jars).resolve() if jars else self.state / "jars"
        self.kafka = Kafka(self.state / "kafka", jar_root=self.jars)
        self.postgres = Postgres(self.state / "postgres")
        self.s3 = S3(self.state / "s3", jar_root=self.jars)

    @property
    def services(self) -> tuple[Service, ...]:
        return (self.kafka, self.postgres, self.s3)

    def start(self, *, report: Report = silent, detached: bool = False) -> Endpoints:
        """Start what is not running and return when each service really answers.

        detached : the servers outlive this process. Otherwise they die with it, even when it is SIGKILLed.
        """
        for service in self.services:
            service.outlives_parent = detached
        try:
            self._all(lambda service: service.start(report=report))
        except BaseException:
            self.stop()
            raise
        return self.endpoints()

    def stop(self) -> None:
        """End all services in an orderly way; the data stays."""
        self._all(lambda service: service.stop())

    def remove(self) -> None:
        """Stop, and remove the data and logs of this stack (not the jars)."""
        self.stop()
        self.postgres.remove_home()
        for service in self.services:
            shutil.rmtree(service.folder, ignore_errors=True)

    def endpoints(self) -> Endpoints:
        """Return where the running stack is; NotRunning names what does not run."""
        missing = [service.name for service in self.services if not service.is_running]
        if missing:
            raise NotRunning(f"the local stack in {self.state} is not running (missing: {', '.join(missing)}); try `backtape up`")
        return Endpoints(
            kafka_bootstrap=self.kafka.bootstrap,
            database_url=self.postgres.url,
            s3_url=f"s3://{S3_BUCKET}",
            s3_endpoint=self.s3.endpoint,
            s3_access_key=S3_ACCESS_KEY,
            s3_secret_key=S3_SECRET_KEY,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _all(self, action: Callable[[Service], None]) -> None:
        """Do it to all services at once; raise the first error after all of them have ended."""
        with ThreadPoolExecutor(max_workers=len(self.services)) as pool:
            futures = [pool.submit(action, service) for service in self.services]
        for future in futures:
            future.result()
