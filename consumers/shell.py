"""This module is the thin shell around a loop: FastStream subscribes, keeps the process alive, and serves health and metrics.

Delivery is ours: offsets are committed by the loops and nowhere else, records reach them raw, and a batch that was fetched
before a seek is dropped (its records are read again from where the loop stands).
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn
from aiokafka import ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaTopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.asgi import AsgiFastStream, AsgiResponse, get
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER
from prometheus_client import CollectorRegistry, make_asgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from adapters.errors import ConfigurationError, NotFoundError, RetryableError
from adapters.kafka import to_record, translated
from adapters.ports import Loop, TopicPartition
from consumers.settings import Settings

log = structlog.get_logger()

POLL_MS = 10  # FastStream sleeps as long again after an empty poll: this bounds the latency of a command
REBALANCE_TIMEOUT_MS = 40_000  # must exceed the worker's budget for its last transaction and its producer's stop
CONNECT_RETRY_SECONDS = 0.5
STOP_GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of process: what it reads, as which group, and the loop that it runs."""

    name: str
    group: str
    topics: tuple[str, ...]
    make_loop: "Callable[[KafkaMembership], Awaitable[Loop]]"
    max_records: int = 500


class KafkaMembership:
    """Membership on the subscriber's consumer, and the group's committed positions for those who keep them there."""

    def __init__(self, subscriber: Any) -> None:
        self._subscriber = subscriber

    def pause(self, source: TopicPartition) -> None:
        with contextlib.suppress(IllegalStateError):  # lost meanwhile; a revocation follows
            self._subscriber.consumer.pause(KafkaTopicPartition(source.topic, source.partition))

    def resume(self, source: TopicPartition) -> None:
        with contextlib.suppress(IllegalStateError):
            self._subscriber.consumer.resume(KafkaTopicPartition(source.topic, source.partition))

    def seek(self, source: TopicPartition, offset: int) -> None:
        with contextlib.suppress(IllegalStateError):
            self._subscriber.consumer.seek(KafkaTopicPartition(source.topic, source.partition), offset)

    async def rejoin(self) -> None:
        while True:
            await self._subscriber.stop()
            try:
                await self._subscriber.start()
                return
            except KafkaError as error:  # no broker just now; a member that gave up here would own nothing for ever
                log.warning("rejoin_waits", error=str(error))
                await asyncio.sleep(CONNECT_RETRY_SECONDS)

    async def committed(self, source: TopicPartition) -> int | None:
        async with translated(f"read the committed offset of {source}"):
            offset: int | None = await self._subscriber.consumer.committed(KafkaTopicPartition(source.topic, source.partition))
            return offset

    async def commit(self, source: TopicPartition, offset: int) -> None:
        async with translated(f"commit an offset of {source}"):
            with contextlib.suppress(IllegalStateError):
                await self._subscriber.consumer.commit({KafkaTopicPartition(source.topic, source.partition): offset})


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands rebalances to the loop. aiokafka logs and swallows what these raise, so a failure ends the process."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell

    async def on_partitions_revoked(self, revoked: set[KafkaTopicPartition]) -> None:
        with self._shell.failing():
            await self._shell.loop.on_revoked({TopicPartition(each.topic, each.partition) for each in revoked})

    async def on_partitions_assigned(self, assigned: set[KafkaTopicPartition]) -> None:
        with self._shell.failing():
            # Nothing is read until the loop has found out where to begin.
            self._shell.subscriber.consumer.pause(*assigned)
            await self._shell.loop.on_assigned({TopicPartition(each.topic, each.partition) for each in assigned})
            self._shell.has_joined = True


class Shell:
    """One consumer process."""

    def __init__(self, settings: Settings, role: Role) -> None:
        self.loop: Loop
        self.failure: BaseException | None = None
        self.has_joined = False  # the group has told once which partitions are ours; they may be none
        self._next_offsets: dict[KafkaTopicPartition, int] = {}
        self._settings = settings
        self._role = role
        self._server: uvicorn.Server | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.broker = KafkaBroker(settings.kafka_bootstrap, logger=_library_log(), allow_auto_create_topics=False)
        self.subscriber = self._subscribe()
        registry = CollectorRegistry()
        registry.register(_LoopMetrics(self))
        self.app = AsgiFastStream(
            self.broker,
            logger=None,
            asgi_routes=[("/livez", self._livez()), ("/readyz", self._readyz()), ("/metrics", make_asgi_app(registry))],
            on_startup=[self._prepare],
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
        """Wait for Kafka and its topics, then make the loop.

        Without this a broker that is down at the start is never consumed later.
        """
        with self.failing():
            while True:
                try:
                    await self.broker.connect()
                    self.loop = await self._role.make_loop(KafkaMembership(self.subscriber))
                    break
                except (KafkaError, RetryableError, NotFoundError) as error:
                    # Topics that are missing are made by `backtape db upgrade`, which may run at this very moment.
                    log.warning("start_waits", bootstrap=self._settings.kafka_bootstrap, error=str(error))
                    await asyncio.sleep(CONNECT_RETRY_SECONDS)
            fatal = getattr(self.loop, "fatal", None)
            if fatal is not None:
                self._watcher = asyncio.create_task(self._watch(fatal))

    async def _watch(self, fatal: "asyncio.Future[BaseException]") -> None:
        self.fail(await asyncio.shield(fatal))

    async def _close(self) -> None:
        # The rebalance listener is not called when the consumer stops: the loop gives its partitions up here.
        if self._watcher is not None:
            self._watcher.cancel()
        if hasattr(self, "loop"):
            await self.loop.close()

    # --- records ------------------------------------------------------------------------------------------------

    def _subscribe(self) -> Any:
        subscriber = self.broker.subscriber(
            *self._role.topics,
            batch=True,
            group_id=self._role.group,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            listener=Listener(self),
            parser=_raw_batch,
            decoder=_raw_records,
            max_records=self._role.max_records,
            batch_timeout_ms=POLL_MS,
            session_timeout_ms=self._settings.session_timeout_ms,
            heartbeat_interval_ms=max(300, self._settings.session_timeout_ms // 6),
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
        )

        @subscriber
        async def handle(message: KafkaMessage) -> None:
            with self.failing():
                await self._deliver(message.raw_message)

        return subscriber

    async def _deliver(self, messages: Sequence[Any]) -> None:
        by_source: dict[KafkaTopicPartition, list[Any]] = {}
        for message in messages:
            by_source.setdefault(KafkaTopicPartition(message.topic, message.partition), []).append(message)
        for source, batch in by_source.items():
            try:
                position = await self.subscriber.consumer.position(source)
            except IllegalStateError:
                continue  # revoked since the fetch
            if position <= batch[-1].offset:
                continue  # fetched before a seek: taken as it is, it would hide the records between
            self._next_offsets[source] = batch[-1].offset + 1
            await self.loop.on_records(TopicPartition(source.topic, source.partition), [to_record(each) for each in batch])

    def lag(self) -> dict[KafkaTopicPartition, int]:
        """Return, per partition that is ours, how many offsets the last stable one is ahead of what the loop was given."""
        consumer = self.subscriber.consumer
        if consumer is None:
            return {}
        ends = {source: consumer.last_stable_offset(source) for source in consumer.assignment()}
        return {
            source: max(0, end - self._next_offsets[source])
            for source, end in ends.items()
            if end is not None and source in self._next_offsets
        }

    # --- health ---------------------------------------------------------------------------------------------------

    def _livez(self) -> Any:
        @get
        async def livez(scope: Any) -> AsgiResponse:
            return AsgiResponse(b"alive", status_code=200)

        return livez

    def _readyz(self) -> Any:
        @get
        async def readyz(scope: Any) -> AsgiResponse:
            is_ready = self.subscriber.running and self.has_joined and self.failure is None
            return AsgiResponse(b"ready" if is_ready else b"not ready", status_code=200 if is_ready else 503)

        return readyz


async def _raw_batch(messages: Any) -> Any:
    """Keep records as they are: a header that is not UTF-8 must not make a record unreadable."""
    return KafkaMessage(
        body=[message.value or b"" for message in messages],
        headers={},
        raw_message=messages,
        consumer=FAKE_CONSUMER,
        batch_headers=[],
        message_id=f"{messages[0].offset}",
        correlation_id="",
    )


async def _raw_records(message: KafkaMessage) -> Any:
    return message.body


def _library_log() -> logging.Logger:
    """Return where FastStream reports errors of its poll, which would otherwise go unseen; its information is not ours."""
    logger = logging.getLogger("backtape.faststream")
    logger.setLevel(logging.ERROR)
    return logger


class _LoopMetrics(Collector):
    """Exports what a loop measures: ``measures()`` returns numbers by name."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def collect(self) -> Any:
        measures: dict[str, float] = getattr(getattr(self._shell, "loop", None), "measures", dict)()
        for name, value in sorted(measures.items()):
            yield GaugeMetricFamily(f"backtape_{name}", name.replace("_", " "), value=value)
        lag = GaugeMetricFamily(
            "backtape_lag_records", "offsets between the last stable one and what was taken", labels=("topic", "partition")
        )
        for source, records in sorted(self._shell.lag().items()):
            lag.add_metric((source.topic, str(source.partition)), records)
        yield lag


def run_role(settings: Settings, role: Role) -> int:
    """Run a consumer process to its end and return its exit code."""
    try:
        return Shell(settings, role).run()
    except ConfigurationError as error:
        log.error("configuration", error=str(error))
        return 2
