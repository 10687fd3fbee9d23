"""Kafka and PostgreSQL are deleted; what is in S3 brings both back, imported results too, and the open run goes on to its end.

A stack and three processes of the test's own. On the way the log is truncated behind its archive, then audited and rebuilt.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backtape.client import Client
from backtape.data import generate_dataset, import_samples
from backtape.prepare import prepare_async
from backtape.proof.audit import audit_runs
from backtape.proof.rerun import Verdict
from backtape.read_model import ReadModel
from backtape.run_records import commits_of
from backtape.stack import LocalStack
from consumers.archive_job import archive_job
from consumers.rebuild.job import Rebuild
from consumers.restore_job import restore_job
from consumers.settings import Settings, load_settings
from consumers.wiring import blob_store
from projections.queries import Query
from schemas.receipts import Outcome, Reason, decode_receipt
from schemas.topics import EVENTS, RECEIPTS
from snapshots.reader import read_snapshots
from tests.legacy_results import legacy
from tests.pipeline import look_again, processes, records_of

pytestmark = pytest.mark.real

ROLES = {"worker": "worker", "projector": "projector", "compactor": "compactor"}
SMALL = tuple(f"small-{number}" for number in range(4))
IMPORTED = ("old-1", "old-2")
PATIENCE_SECONDS = 120.0
VIEWS = {
    "backtests": "backtest_id, status, submitter, accepted_at, started_at, finished_at, last_sequence, chain_head, final_equity",
    "commits": "backtest_id, number, digest, recorded_at",
    "commands": "backtest_id, command_id, outcome, issued_at, recorded_at",
    "fills": "backtest_id, fill_id, time, symbol, side, quantity, price, commission",
    "trades": "backtest_id, sequence, realized_pnl",
    "equity": "backtest_id, time, equity, cash",
}


async def until(reached: Callable[[], Awaitable[Any]], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await reached():
        assert time.monotonic() < deadline, what
        await look_again()


async def rows_of(settings: Settings, ids: tuple[str, ...]) -> list[dict[str, Any]]:
    async with ReadModel(settings.database_url) as model:
        return await model.named(ids)


async def submit(settings: Settings, ids: tuple[str, ...], dataset: str, symbol: str, timeframe: str) -> None:
    spec = {
        "data": {"dataset": dataset, "symbols": [symbol], "timeframe": timeframe},
        "strategy": {"name": "sma_cross", "parameters": {"fast": 10, "slow": 30}},
    }
    async with Client(settings) as client:
        for backtest_id in ids:
            await client.submit(spec, backtest_id=backtest_id)


async def tables_of(settings: Settings, ids: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """What SQL says of backtests, wall clock of the log included; not where the log lies, which a restore changes."""
    found = {}
    async with ReadModel(settings.database_url) as model:
        for view, columns in VIEWS.items():
            sql = f"SELECT {columns} FROM backtape.{view} WHERE backtest_id = ANY($1) ORDER BY {columns}"
            found[view] = await model.ask(Query(sql, (list(ids),)))
    return found


def bring_in(settings: Settings, folder: Path) -> None:
    """Import results of another system, as a person would."""
    folder.mkdir()
    for name in IMPORTED:
        (folder / f"{name}.json").write_text(json.dumps(legacy(int(name.removeprefix("old-")))))
    command = [sys.executable, "-m", "backtape", "import-results", str(folder), "--to", settings.s3_url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def imported_of(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """What SQL and Parquet say of the imported results, each with its manifest's digest."""
    columns = (
        "backtest_id, origin, status, submitter, accepted_at, finished_at, chain_head, import_digest, final_equity, sharpe,"
        " manifest_key"
    )
    sql = f"SELECT {columns} FROM backtape.backtests WHERE backtest_id = ANY($1) ORDER BY 1"
    async with ReadModel(settings.database_url) as model:
        rows = await model.ask(Query(sql, (list(IMPORTED),)))
    results = await asyncio.to_thread(read_snapshots, blob_store(settings), IMPORTED)
    return {"backtests": rows, "trades": results.arrow("trades").to_pylist(), "original": results.arrow("original").to_pylist()}


def stored(settings: Settings, ids: tuple[str, ...]) -> Callable[[], Awaitable[bool]]:
    async def are_stored() -> bool:
        rows = await rows_of(settings, ids)
        return len(rows) == len(ids) and all(row["finished_at"] and row["manifest_key"] for row in rows)

    return are_stored


async def test_a_lost_kafka_and_a_lost_database_come_back_from_s3_alone(
    make_stack: Callable[[], LocalStack], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stack = make_stack()
    endpoints = await asyncio.to_thread(stack.start)
    environment = {**endpoints.environment(), "BACKTAPE_CACHE_DIR": str(tmp_path / "cache"), "BACKTAPE_PARTITIONS": "2"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    await prepare_async(settings, report=lambda line: None)
    import_samples(blob_store(settings))
    generate_dataset(blob_store(settings), dataset="minutes", bars=200_000, seed=3)

    with processes(stack.state, environment, ROLES) as running:
        await submit(settings, SMALL, "stocks-daily", "AAPL", "1d")
        await until(stored(settings, SMALL), "small runs have no snapshot: " + running["compactor"].log_tail())
        await asyncio.to_thread(bring_in, settings, tmp_path / "legacy")
        await until(stored(settings, IMPORTED), "imported results have no manifest: " + running["compactor"].log_tail())
        await submit(settings, ("long",), "minutes", "SIM", "1m")

        async def has_begun() -> bool:
            rows = await rows_of(settings, ("long",))
            return bool(rows) and rows[0]["last_number"] > 4

        await until(has_begun, "the long run does not begin: " + running["worker"].log_tail())
        running["worker"].kill()
        before = {name: [each.body for each in await commits_of(settings, name)] for name in SMALL}

        async def is_truncated() -> bool:
            done = await archive_job(settings, truncates=True, grace_days=0.0)
            return sum(each.deleted for each in done.truncations) > 0

        await until(is_truncated, "nothing is truncated")
        assert {name: [each.body for each in await commits_of(settings, name)] for name in SMALL} == before
        for audit in await audit_runs(settings, SMALL, report=lambda line: None):
            assert audit.verdict is Verdict.PROVEN, audit
        rebuilt = await Rebuild(settings, report=lambda line: None, processes=1).run(swaps=False)
        assert rebuilt.verified is not None and rebuilt.verified.is_same, rebuilt.verified
        archived = await archive_job(settings, truncates=False, grace_days=0.0)
        recorded = [(each.body, each.record.timestamp_ms) for each in await commits_of(settings, "long")]
        shown = await tables_of(settings, SMALL)
        assert all(shown.values()), shown.keys()
        imported = await imported_of(settings)
        assert [row["origin"] for row in imported["backtests"]] == ["imported"] * len(IMPORTED) and len(imported["trades"]) == 6

    await asyncio.to_thread(lose, stack)
    await prepare_async(settings, report=lambda line: None)
    report = await restore_job(settings, report=lambda line: None)
    assert [name for each in report.partitions for name in each.open_runs] == ["long"]
    assert all(each.log_id != each.archived_log for each in report.partitions)
    ends = {each.partition: each.next_offset for each in archived.reaches if each.topic == EVENTS.name}
    assert {each.partition: each.archived_to for each in report.partitions} == ends, "the archive's end is said"
    assert report.snapshots == len(SMALL) + len(IMPORTED)

    with processes(stack.state, environment, ROLES):
        await until(stored(settings, SMALL), "the small runs do not come back")
        assert await tables_of(settings, SMALL) == shown, "SQL is what it was, times included"
        await until(stored(settings, IMPORTED), "the imported results do not come back")
        assert await imported_of(settings) == imported, "in SQL and in Parquet"
        await submit(settings, SMALL[:1], "stocks-daily", "AAPL", "1d")
        await until(stored(settings, (*SMALL, "long")), "not everything comes back")
        audits = await audit_runs(settings, (*SMALL, "long"), report=lambda line: None)
    for audit in audits:
        assert audit.verdict is Verdict.PROVEN, audit
    again = [(each.body, each.record.timestamp_ms) for each in await commits_of(settings, "long")]
    assert again[: len(recorded)] == recorded and len(again) > len(recorded)
    receipts = [decode_receipt(record.value or b"") for record in await records_of(settings, RECEIPTS)]
    repeated = [each for each in receipts if each.backtest_id == SMALL[0]]
    assert [each.outcome for each in repeated] == [Outcome.ACCEPTED, Outcome.DUPLICATE]
    assert repeated[1].reason is Reason.ALREADY_FINISHED
    ids = [header for record in await records_of(settings, EVENTS) for header in record.headers if header[0] == "log_id"]
    assert {value.decode() for _, value in ids} == {each.log_id for each in report.partitions}


def lose(stack: LocalStack) -> None:
    """Delete what Kafka and PostgreSQL have on disk, as two broken disks would, and start both empty."""
    for service in (stack.kafka, stack.postgres):
        service.kill()
        shutil.rmtree(service.data)
        (service.folder / "formatted").unlink(missing_ok=True)
        service.start()
