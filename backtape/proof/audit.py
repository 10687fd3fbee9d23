"""This module audits runs: everything that was published of them must follow from the log, and the log from its re-run."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.errors import AdapterError, ConfigurationError
from adapters.ports import BlobStore, MarketData, RowStore
from adapters.postgres import PostgresRowStore
from adapters.postgres_generations import Generations
from adapters.run_log import RunLogs, StoredCommit
from backtape.proof.imported import RERUN, check_import_chain, check_import_files, imported_event, not_provable
from backtape.proof.inputs import check_books, check_data
from backtape.proof.rerun import Finding, Verdict, check_chain, check_owner, check_rerun
from backtape.read_model import ReadModel
from consumers.settings import Settings
from consumers.simulation.runner import Runner, ZygoteRunner
from consumers.wiring import blob_store, log_reader, market_data
from projections import queries
from projections.compare import differences
from projections.source import Source
from projections.tables import PROJECTION_VERSION, RUN_TABLES
from schemas.events import BacktestImported
from schemas.topics import EVENTS
from snapshots.blobs import manifest_key
from snapshots.verify import verify_snapshot

AT_ONCE = max(2, os.cpu_count() or 2)  # each audit runs a simulation, and waits for servers in between


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found about one run."""

    backtest_id: str
    findings: tuple[Finding, ...]
    is_imported: bool = False  # a result of another system: it can't be proven, and what can be checked of it is

    @property
    def is_intact(self) -> bool:
        """Say whether everything is as it should be: proven, or all that can be checked of an imported result."""
        return all(each.verdict is Verdict.PROVEN or (self.is_imported and each.check == RERUN) for each in self.findings)

    @property
    def verdict(self) -> Verdict:
        """Proven if every check is; a difference outweighs what could not be tried."""
        verdicts = {finding.verdict for finding in self.findings}
        return next(verdict for verdict in (Verdict.DIFFERENT, Verdict.NOT_TRIED, Verdict.PROVEN) if verdict in verdicts)

    @property
    def summary(self) -> str:
        """The verdict, and the first thing that stands against it."""
        reason = next((f" ({each.check}: {each.detail})" for each in self.findings if each.verdict is self.verdict), "")
        return self.verdict + ("" if self.verdict is Verdict.PROVEN else reason)


async def audit_runs(settings: Settings, ids: Sequence[str] | None, *, report: Callable[[str], None]) -> list[Audit]:
    """Audit these runs; None: every finished one of the read model."""
    auditor = Auditor(settings)
    try:
        chosen = list(ids) if ids is not None else await auditor.finished()
        gate, done = asyncio.Semaphore(AT_ONCE), [0]

        async def one(backtest_id: str) -> Audit:
            async with gate:
                audit = await auditor.audit(backtest_id)
                done[0] += 1
                report(f"{done[0]} of {len(chosen)}: {backtest_id}: {audit.summary}")
                return audit

        return list(await asyncio.gather(*(one(backtest_id) for backtest_id in chosen)))
    finally:
        await auditor.close()


class Auditor:
    """Has at hand what audits need."""

    def __init__(self, settings: Settings) -> None:
        self._logs = RunLogs(log_reader(settings), settings.kafka.topic(EVENTS))
        self._model = ReadModel(settings.database_url)
        self._settings = settings
        self._generations = Generations(settings.database_url)
        self._rows: RowStore | None = None  # of the live generation, once it is known
        self._opening = asyncio.Lock()  # several audits are at work
        self._runner: Runner = ZygoteRunner({**os.environ, **settings.environment()})
        self._store: BlobStore = blob_store(settings)
        self._market: MarketData = market_data(settings)

    async def finished(self) -> list[str]:
        return [row["backtest_id"] for row in await self._model.ask(queries.finished_ids())]

    async def audit(self, backtest_id: str) -> Audit:
        """Audit one run. What is out of reach makes a finding of its own; nothing is raised."""
        try:
            row = await self._model.backtest(backtest_id)
            commits = await self._logs.read(backtest_id, start=None if row is None else row["first_offset"])
        except AdapterError as error:
            return Audit(backtest_id, (Finding("log", Verdict.NOT_TRIED, str(error)),))
        event = imported_event(commits)
        if event is not None:
            return await self._audit_import(backtest_id, commits, row, event)
        chain = check_chain(backtest_id, commits)
        if chain.verdict is not Verdict.PROVEN:
            return Audit(backtest_id, (chain,))
        if not commits[-1].commit.is_terminal:
            return Audit(backtest_id, (chain, Finding("end", Verdict.NOT_TRIED, "the run has not ended yet")))
        checks = [
            self._tried("books", asyncio.to_thread(check_books, commits)),
            self._tried("data", asyncio.to_thread(check_data, self._market, self._store, commits)),
            self._tried("re-run", check_rerun(self._runner, commits)),
            self._tried("SQL", self._check_sql(backtest_id, commits, row)),
            self._tried("Parquet", self._check_parquet(backtest_id, commits, row)),
        ]
        return Audit(backtest_id, (chain, check_owner(commits), *[await check for check in checks]))

    async def _audit_import(
        self, backtest_id: str, commits: Sequence[StoredCommit], row: dict[str, Any] | None, event: BacktestImported
    ) -> Audit:
        chain = check_import_chain(backtest_id, commits, event)
        is_announced = row is not None and row["manifest_key"] is not None
        files = asyncio.to_thread(check_import_files, self._store, backtest_id, event, is_announced=is_announced)
        checks = [
            await self._tried("SQL", self._check_sql(backtest_id, commits, row)),
            await self._tried("Parquet", files),
        ]
        return Audit(backtest_id, (chain, *checks, not_provable(event)), is_imported=True)

    async def _tried(self, check: str, coroutine: Any) -> Finding:
        try:
            finding: Finding = await coroutine
            return finding
        except AdapterError as error:
            return Finding(check, Verdict.NOT_TRIED, str(error))

    async def _check_sql(self, backtest_id: str, commits: Sequence[StoredCommit], row: dict[str, Any] | None) -> Finding:
        if row is None or row["last_sequence"] < commits[-1].commit.last_sequence:
            behind = "has no row of it" if row is None else f"is at sequence {row['last_sequence']}"
            reason = f": {row['quarantine_reason']}" if row is not None and row["quarantine_reason"] else ""
            verdict = Verdict.DIFFERENT if reason else Verdict.NOT_TRIED
            return Finding("SQL", verdict, f"the read model {behind}, the log at {commits[-1].commit.last_sequence}{reason}")
        store = await self._live_rows()
        read = {
            table.name: await store.read(table.name, list(table.columns.keys()), where="backtest_id", values=[backtest_id])
            for table in RUN_TABLES
        }
        found = await asyncio.to_thread(differences, [each.body for each in commits], [_source(each) for each in commits], read)
        if found is not None:
            return Finding("SQL", Verdict.DIFFERENT, str(found))
        rows = sum(len(rows) for rows in read.values())
        return Finding("SQL", Verdict.PROVEN, f"{rows} rows in {len(read)} tables follow from the log")

    async def _live_rows(self) -> RowStore:
        """Return the tables of the live generation. Raises ConfigurationError where they are another version's."""
        async with self._opening:
            if self._rows is None:
                live = await self._generations.live()
                if live.version != PROJECTION_VERSION:
                    raise ConfigurationError(f"generation {live} of the read model is live, this is version {PROJECTION_VERSION}")
                self._rows = PostgresRowStore(self._settings.database_url, live.schema)
            return self._rows

    async def _check_parquet(self, backtest_id: str, commits: Sequence[StoredCommit], row: dict[str, Any] | None) -> Finding:
        is_announced = row is not None and row["manifest_key"] is not None
        bodies = [each.body for each in commits]
        return await asyncio.to_thread(check_snapshot, self._store, backtest_id, bodies, is_announced=is_announced)

    async def close(self) -> None:
        await self._logs.close()
        await self._model.__aexit__()
        if self._rows is not None:
            await self._rows.close()
        await self._runner.close()


def check_snapshot(store: BlobStore, backtest_id: str, bodies: Sequence[bytes], *, is_announced: bool) -> Finding:
    """Compare a run's snapshot with its log. One that nobody has announced may be on its way; one that was must be there."""
    if not is_announced and store.head(manifest_key(backtest_id)) is None:
        return Finding("Parquet", Verdict.NOT_TRIED, "it has no snapshot yet: the compactor makes it, or `backtape snapshot`")
    found = verify_snapshot(store, backtest_id, bodies)
    if found is not None:
        return Finding("Parquet", Verdict.DIFFERENT, found)
    return Finding("Parquet", Verdict.PROVEN, "every file has its digest and holds what the log gives")


def _source(stored: StoredCommit) -> Source:
    record = stored.record
    return Source(
        log_id=stored.header("log_id"),
        partition=record.partition,
        offset=record.offset,
        recorded_ns=record.timestamp_ms * 1_000_000,
    )
