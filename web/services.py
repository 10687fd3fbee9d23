"""This module holds what the routes work with, and makes it: the one place where the web service meets its adapters."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import structlog
from fastapi import Depends, Request

from adapters.archived_log import ArchivedLogReader
from adapters.blob_store import open_blob_store
from adapters.command_publisher import CommandPublisher
from adapters.control.audits import AuditBook
from adapters.control.keys import Keys
from adapters.control.pool import ControlPool
from adapters.control.submissions import Submissions
from adapters.errors import AdapterError
from adapters.kafka import KafkaLogReader
from adapters.kafka_watch import KafkaWatch
from adapters.market_data import StoredMarketData
from adapters.ports import BlobStore, Changes, LogReader
from adapters.postgres_changes import PostgresChanges
from adapters.postgres_generations import Generations, GenerationState
from adapters.postgres_reader import PostgresReader
from projections import queries, run_queries
from projections.queries import Query
from projections.roles import WEB_ROLE
from schemas.topics import EVENTS
from web.audits import Audits
from web.config import WebConfig
from web.data_sets import DataSets
from web.group_lag import groups_of
from web.kept import Counts, Kept
from web.lag import KEPT_SECONDS, LagWatch
from web.limits import RateLimits
from web.metrics import Metrics
from web.provenance import Provenance
from web.reports import Reports
from web.strategies import Strategies
from web.stream.hub import Hub
from web.throughput import Throughput

if TYPE_CHECKING:
    from web.access import Principal

log = structlog.get_logger()

CONNECTIONS = 12  # of the read model: as many queries of this process run at a time
IMPORTS = 2  # uploads that are checked at a time
SUMS_SECONDS = 10.0  # how old sums over all backtests may be
FORGET_SECONDS = 3_600.0
LISTEN_SECONDS = 30.0
LISTEN_RETRY_SECONDS = 2.0


@dataclass(slots=True)
class Services:
    """What the routes work with. ``start`` begins what runs beside them, ``close`` ends it."""

    config: WebConfig
    model: PostgresReader
    control: ControlPool
    keys: Keys
    submissions: Submissions
    commands: CommandPublisher
    log: LogReader
    watch: KafkaWatch
    changes: Changes
    blobs: BlobStore
    market: StoredMarketData
    hub: Hub
    lag: LagWatch
    audits: Audits
    reports: Reports
    strategies: Strategies
    data_sets: DataSets
    provenance: Provenance
    counts: Counts
    totals: Kept[dict[str, Any]]
    outcomes: Kept[list[dict[str, Any]]]
    snapshots: Kept[dict[str, Any]]
    generations: Kept[list[GenerationState]]
    groups: Kept[list[dict[str, Any]]]
    archive: Kept[list[dict[str, Any]]]
    limits: RateLimits
    metrics: Metrics
    events: Throughput = field(default_factory=Throughput)
    finished: Throughput = field(default_factory=Throughput)
    imports: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IMPORTS))
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def ask(self, query: Query) -> list[dict[str, Any]]:
        """Return the rows of a query of the read model."""
        return await self.model.fetch(query.sql, query.arguments)

    def record(self, principal: "Principal", action: str, **facts: object) -> None:
        """Write the audit line of a write: who did what."""
        self.log_write(action, name=principal.name, key_id=principal.key_id, **facts)

    @staticmethod
    def log_write(action: str, **facts: object) -> None:
        log.info("web_write", action=action, **facts)

    def start(self) -> None:
        """Begin to listen, to look at the lag, to run audits, and to forget what has ended."""
        runs = (self.hub.run(), self._listen(), self.lag.run(lambda: self.hub.streams > 0), self.audits.run(), self._forget())
        self._tasks = [asyncio.create_task(each) for each in runs]
        for task in self._tasks:
            task.add_done_callback(_tell_of_failure)

    async def _listen(self) -> None:
        """Tell the hub what the projector announces. The hub looks by itself, too: this only hastens it."""
        while True:
            try:
                self.hub.notice(await self.changes.wait(LISTEN_SECONDS))
            except AdapterError as error:
                log.warning("listening_waits", error=str(error))
                await asyncio.sleep(LISTEN_RETRY_SECONDS)

    async def _forget(self) -> None:
        while True:
            try:
                await self.keys.forget_old()
                await self.submissions.forget_old()
            except AdapterError as error:
                log.warning("forgetting_waits", error=str(error))
            await asyncio.sleep(FORGET_SECONDS)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.commands.close()
        await self.log.close()
        await self.watch.close()
        await self.changes.close()
        await self.control.close()
        await self.model.close()


def make_services(config: WebConfig) -> Services:
    """Wire the service. Nothing is connected yet: that happens when it is first needed."""
    model = PostgresReader(config.database_url, connections=CONNECTIONS, role=WEB_ROLE)

    async def ask(query: Query) -> list[dict[str, Any]]:
        return await model.fetch(query.sql, query.arguments)

    async def totals() -> dict[str, Any]:
        (row,) = await ask(queries.totals())
        return row

    async def outcomes() -> list[dict[str, Any]]:
        return await ask(queries.receipt_counts())

    async def snapshots() -> dict[str, Any]:
        (row,) = await ask(run_queries.snapshot_counts())
        return row

    async def archive() -> list[dict[str, Any]]:
        return await ask(queries.archived())

    blobs = open_blob_store(config.s3_url, options=config.s3)
    reader, watch, control, hub = (
        KafkaLogReader(config.kafka),
        KafkaWatch(config.kafka),
        ControlPool(config.database_url),
        Hub(ask),
    )
    lag, metrics = LagWatch(ask, watch, reader), Metrics()
    metrics.watch("http_streams", "event streams that are open", lambda: hub.streams)
    metrics.watch("read_model_lag_seconds", "age of the oldest record that is not projected", lambda: lag.last_seconds)
    return Services(
        config=config,
        model=model,
        control=control,
        keys=Keys(control),
        submissions=Submissions(control),
        commands=CommandPublisher(config.kafka, partitions=config.partitions),
        log=ArchivedLogReader(KafkaLogReader(config.kafka), lambda: blobs, config.kafka.prefix),
        watch=watch,
        changes=PostgresChanges(config.database_url),
        blobs=blobs,
        market=StoredMarketData(blobs, config.cache_dir / "bars"),
        hub=hub,
        lag=lag,
        audits=Audits(config, AuditBook(control)),
        reports=Reports(config),
        strategies=Strategies(config),
        data_sets=DataSets(blobs),
        provenance=Provenance(reader, config.kafka.topic(EVENTS)),
        counts=Counts(ask),
        totals=Kept(totals, SUMS_SECONDS),
        outcomes=Kept(outcomes, SUMS_SECONDS),
        snapshots=Kept(snapshots, SUMS_SECONDS),
        generations=Kept(Generations(config.database_url).all, SUMS_SECONDS),
        groups=Kept(lambda: groups_of(config, watch, lag), KEPT_SECONDS),
        archive=Kept(archive, SUMS_SECONDS),
        limits=RateLimits(config.requests_per_second),
        metrics=metrics,
    )


def _tell_of_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("web_task_failed", error=repr(task.exception()), exc_info=task.exception())


async def services_of(request: Request) -> Services:  # async: FastAPI runs a plain function in a thread, for each request
    found: Services = request.app.state.services
    return found


Wired = Annotated[Services, Depends(services_of)]
