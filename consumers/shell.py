"""This module is the thin shell around loops: FastStream keeps the process alive, and serves health and metrics.

A process reads as one group or as several (a projector: one for each generation of the read model that it feeds), and which ones
may change while it runs. How records get to a loop is in feed.py.
"""

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn
from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.errors import KafkaError
from faststream.asgi import AsgiFastStream, AsgiResponse, get
from faststream.kafka import KafkaBroker
from prometheus_client import CollectorRegistry, make_asgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from adapters.errors import ConfigurationError, NotFoundError, RetryableError
from consumers.feed import CONNECT_RETRY_SECONDS, Feed, Reading, WaitingConsumer
from consumers.settings import Settings

log = structlog.get_logger()

STOP_GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of process.

    readings : returns what it reads now, one for each group
    watch_seconds : how often that is asked again; None: never, it does not change
    """

    name: str
    readings: Callable[[], Awaitable[Sequence[Reading]]]
    watch_seconds: float | None = None


class Shell:
    """One consumer process."""

    def __init__(self, settings: Settings, role: Role) -> None:
        self.failure: BaseException | None = None
        self.feeds: dict[str, Feed] = {}  # by group
        self._settings = settings
        self._role = role
        self._server: uvicorn.Server | None = None
        self._watchers: dict[str, asyncio.Task[None]] = {}
        # With types applied, FastStream makes the handler's argument in a thread: each batch waited for two switches of threads.
        self.broker = KafkaBroker(
            settings.kafka_bootstrap, logger=_library_log(), allow_auto_create_topics=False, apply_types=False
        )
        registry = CollectorRegistry()
        registry.register(_LoopMetrics(self))
        self.app = AsgiFastStream(
            self.broker,
            logger=None,
            asgi_routes=[("/livez", self._livez()), ("/readyz", self._readyz()), ("/metrics", make_asgi_app(registry))],
            on_startup=[self._prepare],
            after_startup=[self._keep_watch],
            on_shutdown=[self._close],
        )

    def run(self) -> int:
        """Serve until told to stop, and return the process's exit code."""
        config = uvicorn.Config(
            self.app,
            log_config=None,
            lifespan="on",
            loop="uvloop",
            timeout_graceful_shutdown=STOP_GRACE_SECONDS,
            access_log=False,
        )
        self._server = uvicorn.Server(config)
        listening = socket.create_server((self._settings.http_host, self._settings.http_port))
        log.info("listening", role=self._role.name, host=self._settings.http_host, port=listening.getsockname()[1])
        with contextlib.suppress(KeyboardInterrupt):
            self._server.run(sockets=[listening])
        if self.failure is not None:
            log.error("process_failed", role=self._role.name, error=str(self.failure))
            return 1
        return 0 if self._server.started else 1

    @contextlib.contextmanager
    def failing(self) -> Any:
        """Whatever is raised inside ends the process with an error."""
        try:
            yield
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.fail(error)
            raise

    def fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
            log.exception("fatal", role=self._role.name, error=str(error), exc_info=error)
        if self._server is not None:
            self._server.should_exit = True

    # --- life cycle ---------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        """Wait for Kafka and its topics, then make the loops.

        Without this a broker that is down at the start is never consumed later.
        """
        with self.failing():
            while True:
                try:
                    await self.broker.connect()
                    config = self.broker.config.broker_config
                    config.builder = functools.partial(WaitingConsumer, **config.builder.keywords)  # type: ignore[attr-defined]
                    for reading in await self._role.readings():
                        await self._open(reading)
                    return
                except (KafkaError, RetryableError, NotFoundError) as error:
                    # Topics that are missing are made by `backtape db upgrade`, which may run at this very moment.
                    log.warning("start_waits", bootstrap=self._settings.kafka_bootstrap, error=str(error))
                    await asyncio.sleep(CONNECT_RETRY_SECONDS)

    async def _open(self, reading: Reading) -> Feed:
        if reading.group not in self.feeds:
            self.feeds[reading.group] = Feed(self.broker, reading, self._settings, self.failing)
        feed = self.feeds[reading.group]
        await feed.open()
        fatal = getattr(feed.loop, "fatal", None)
        if fatal is not None:
            self._watchers[reading.group] = asyncio.create_task(self._watch(fatal))
        return feed

    async def _watch(self, fatal: "asyncio.Future[BaseException]") -> None:
        self.fail(await asyncio.shield(fatal))

    async def _keep_watch(self) -> None:
        if self._role.watch_seconds is not None:
            self._watchers["readings"] = asyncio.create_task(self._follow_readings(self._role.watch_seconds))

    async def _follow_readings(self, seconds: float) -> None:
        """Begin what is to be read now, and end what is not, as long as the process runs."""
        with self.failing():
            while True:
                await asyncio.sleep(seconds)
                try:
                    wanted = {reading.group: reading for reading in await self._role.readings()}
                except RetryableError as error:
                    log.warning("readings_unknown", error=str(error))
                    continue
                for group in self.feeds.keys() - wanted.keys():
                    await self._end(group)
                for group in wanted.keys() - self.feeds.keys():
                    await self._begin(wanted[group])

    async def _begin(self, reading: Reading) -> None:
        log.info("reading_begins", group=reading.group)
        try:
            feed = await self._open(reading)
            await feed.subscriber.start()
        except (KafkaError, RetryableError, NotFoundError) as error:
            log.warning("reading_waits", group=reading.group, error=str(error))
            await self._end(reading.group)  # and begin again at the next look

    async def _end(self, group: str) -> None:
        log.info("reading_ends", group=group)
        feed = self.feeds.pop(group)
        watcher = self._watchers.pop(group, None)
        if watcher is not None:
            watcher.cancel()
        await feed.subscriber.stop()
        await feed.close()

    async def _close(self) -> None:
        for watcher in self._watchers.values():
            watcher.cancel()
        for feed in self.feeds.values():
            await feed.close()

    # --- health ---------------------------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        return self.failure is None and bool(self.feeds) and all(feed.is_ready for feed in self.feeds.values())

    def _livez(self) -> Any:
        @get
        async def livez(scope: Any) -> AsgiResponse:
            return AsgiResponse(b"alive", status_code=200)

        return livez

    def _readyz(self) -> Any:
        @get
        async def readyz(scope: Any) -> AsgiResponse:
            return AsgiResponse(b"ready" if self.is_ready else b"not ready", status_code=200 if self.is_ready else 503)

        return readyz

    def lag(self) -> dict[tuple[str, KafkaTopicPartition], int]:
        """Return, per group and partition that is ours, how many offsets the loop is behind the last stable one."""
        return {(group, source): records for group, feed in self.feeds.items() for source, records in feed.lag().items()}


def _library_log() -> logging.Logger:
    """Return where FastStream reports errors of its poll, which would otherwise go unseen; its information is not ours."""
    logger = logging.getLogger("backtape.faststream")
    logger.setLevel(logging.ERROR)
    return logger


class _LoopMetrics(Collector):
    """Exports what the loops measure: ``measures()`` returns numbers by name."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def collect(self) -> Any:
        families: dict[str, GaugeMetricFamily] = {}
        for group, feed in sorted(self._shell.feeds.items()):
            measures: dict[str, float] = getattr(getattr(feed, "loop", None), "measures", dict)()
            for name, value in measures.items():
                family = families.setdefault(
                    name, GaugeMetricFamily(f"backtape_{name}", name.replace("_", " "), labels=("group",))
                )
                family.add_metric((group,), value)
        yield from (families[name] for name in sorted(families))
        lag = GaugeMetricFamily(
            "backtape_lag_records",
            "offsets between the last stable one and what was taken",
            labels=("group", "topic", "partition"),
        )
        for (group, source), records in sorted(self._shell.lag().items()):
            lag.add_metric((group, source.topic, str(source.partition)), records)
        yield lag


def run_role(settings: Settings, role: Role) -> int:
    """Run a consumer process to its end and return its exit code."""
    try:
        return Shell(settings, role).run()
    except ConfigurationError as error:
        log.error("configuration", error=str(error))
        return 2
