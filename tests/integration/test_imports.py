"""Ten thousand results of another system, good and damaged, on real servers: brought in, killed, resumed, rebuilt, deleted."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.blob_store import open_blob_store
from adapters.clock import SystemClock
from adapters.documents import open_documents
from adapters.postgres_reader import PostgresReader
from backtape.client import Client
from backtape.prepare import prepare_async
from backtape.proof.audit import audit_runs
from backtape.proof.rerun import Verdict
from backtape.stack import Endpoints
from backtape.stored_results import read_results
from consumers.importer.job import Destination, ImportJob
from consumers.importer.registry import InstalledRegistry
from consumers.rebuild.job import Rebuild
from consumers.settings import Settings, load_settings
from consumers.wiring import blob_store
from snapshots.blobs import IMPORTS, PREFIX, manifest_key
from tests.legacy_results import BROKEN, DAMAGES, damaged, legacy
from tests.pipeline import look_again, processes

pytestmark = pytest.mark.real

FILES = 10_000
GOOD_OF_TEN = 2  # the rest is damaged, by every kind in turn
PATIENCE_SECONDS = 120.0
ROLES = {"worker": "worker", "projector": "projector", "compactor": "compactor"}


def write_files(folder: Path) -> dict[str, str]:
    """Write the files, and return the kind of damage of each that has one."""
    folder.mkdir()
    kinds = [*DAMAGES, *BROKEN]
    wrong = {kind: damaged(kind) if kind in DAMAGES else BROKEN[kind][0] for kind in kinds}
    told: dict[str, str] = {}
    for number in range(FILES):
        name = f"{number:05d}.json"
        if number % 10 < GOOD_OF_TEN:
            (folder / name).write_text(json.dumps(legacy(number)))
        else:
            told[name] = kinds[number % len(kinds)]
            (folder / name).write_bytes(wrong[told[name]])
    return told


async def until(reached: Callable[[], Awaitable[bool]], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await reached():
        assert time.monotonic() < deadline, what()
        await look_again()


class Sql:
    """Questions to the read model."""

    def __init__(self, settings: Settings) -> None:
        self._reader = PostgresReader(settings.database_url)

    async def ask(self, sql: str) -> list[dict[str, Any]]:
        return await self._reader.fetch(sql)

    async def rows(self) -> dict[str, dict[str, Any]]:
        """Return the rows of all imported results, without what a rebuild may change."""
        rows = await self.ask("SELECT * FROM backtape.backtests WHERE origin = 'imported'")
        return {row["backtest_id"]: row for row in rows}

    async def count(self, where: str) -> int:
        return int((await self.ask(f"SELECT count(*) AS n FROM backtape.backtests WHERE {where}"))[0]["n"])

    async def close(self) -> None:
        await self._reader.close()


@pytest.fixture
def settings(own_endpoints: Endpoints, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Settings]:
    """An installation of the test's own on the shared servers, in the environment."""
    environment = {
        **own_endpoints.environment(),
        "BACKTAPE_TOPIC_PREFIX": topic_prefix,
        "BACKTAPE_PARTITIONS": "2",
        "BACKTAPE_CACHE_DIR": str(tmp_path / "cache"),
        "NUMBA_DISABLE_JIT": "1",  # nothing is simulated here
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield load_settings()


def command(folder: Path, settings: Settings, *options: str) -> list[str]:
    return [sys.executable, "-m", "backtape", "import-results", str(folder), "--to", settings.s3_url, *options]


def kill_after_batches(folder: Path, settings: Settings, batches: int) -> None:
    """Begin an import, and kill it while it works on the batch after so many."""
    with subprocess.Popen(command(folder, settings, "--batch", "200"), stderr=subprocess.PIPE, text=True) as started:
        assert started.stderr is not None
        done = 0
        for line in started.stderr:
            done += " results answered" in line
            if done == batches:
                break
        started.kill()
    assert started.returncode == -9, "it was killed in the middle"


def resumed(folder: Path, settings: Settings) -> tuple[int, dict[str, Any]]:
    made = subprocess.run(
        command(folder, settings, "--batch", "200", "--resume", "--json"), capture_output=True, text=True, check=False
    )
    assert made.stdout, made.stderr
    return made.returncode, json.loads(made.stdout)


async def test_ten_thousand_files_are_brought_in_once_whatever_is_killed(settings: Settings, tmp_path: Path) -> None:
    """Every good one is in the log, in SQL and in S3 once; every damaged one is refused at its place, for its reason."""
    folder = tmp_path / "legacy"
    told = await asyncio.to_thread(write_files, folder)
    good = FILES - len(told)
    await prepare_async(settings, report=lambda line: None)
    sql = Sql(settings)
    with processes(tmp_path, dict(os.environ), ROLES) as running:
        await asyncio.to_thread(kill_after_batches, folder, settings, 2)
        code, report = await asyncio.to_thread(resumed, folder, settings)
        assert (code, report["documents"], report["imported"], report["refused"]) == (1, FILES, good, len(told))
        assert report["resumed"] >= 2 * 200 and report["already"] == 0
        check_refusals(report, told)

        rows = await sql.rows()
        assert len(rows) == good and {row["status"] for row in rows.values()} == {"completed"}
        assert sum(row["trades"] for row in rows.values()) == report["trades"] == 3 * good
        accepted = await sql.ask("SELECT count(*) AS n FROM backtape.commands WHERE outcome = 'accepted'")
        assert accepted == [{"n": good}]

        async def are_placed() -> bool:
            return await sql.count("origin = 'imported' AND manifest_key IS NULL") == 0

        await until(are_placed, lambda: "manifests are missing: " + running["compactor"].log_tail())
        await check_read(settings, rows)
        await check_audit(settings)

        await Rebuild(settings, report=lambda line: None, processes=1).run()
        assert without_places(await sql.rows()) == without_places(rows), "a rebuild keeps them"

        await check_delete(settings, sql)
        await check_from_s3(settings)
    await sql.close()


def check_refusals(report: dict[str, Any], told: dict[str, str]) -> None:
    """Each damaged file is refused once, where it is damaged, and the reason says why."""
    expected = {**{kind: each[1:] for kind, each in DAMAGES.items()}, **{kind: each[1:] for kind, each in BROKEN.items()}}
    assert Counter(each["file"] for each in report["refusals"]) == Counter(told.keys())
    for each in report["refusals"]:
        pointer, reason = expected[told[each["file"]]]
        assert each["pointer"] == pointer
        assert reason in f"{each['value']} is not allowed: {each['allowed']}", each


async def check_read(settings: Settings, rows: dict[str, dict[str, Any]]) -> None:
    """What is read from S3 is what SQL says: a manifest for each row; of some of them rows, sums, originals."""
    keys = [blob.key for blob in await asyncio.to_thread(lambda: list(blob_store(settings).list(PREFIX)))]
    assert sorted(keys) == sorted(manifest_key(backtest_id) for backtest_id in rows)
    some = sorted(rows)[::40]
    results = await asyncio.to_thread(read_results, settings.s3_url, some, endpoint=settings.s3_endpoint)
    trades = results.pandas("trades")
    assert len(trades) == sum(rows[each]["trades"] for each in some)
    sums = trades.groupby("backtest_id")["realized_pnl"].sum()
    assert sums.to_dict() == pytest.approx({each: rows[each]["imported"]["pnl"] for each in some}, rel=1e-12)
    originals = results.pandas("original").set_index("backtest_id")
    assert [json.loads(originals.loc[each, "content"])["id"] for each in some] == some


async def check_audit(settings: Settings) -> None:
    """All that can be checked is right, and it says that the rest can't be."""
    (audit,) = await audit_runs(settings, ["old-1"], report=lambda line: None)
    verdicts = {each.check: each.verdict for each in audit.findings}
    assert verdicts == {
        "chain": Verdict.PROVEN, "SQL": Verdict.PROVEN, "Parquet": Verdict.PROVEN, "re-run": Verdict.NOT_TRIED,
    }, audit  # fmt: skip
    assert audit.is_intact and audit.verdict is Verdict.NOT_TRIED
    assert "imported, not provable: zipline 1.4.1 computed it" in audit.findings[-1].detail


def without_places(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {key: value for key, value in row.items() if key != "manifest_key"} for name, row in rows.items()}


async def check_delete(settings: Settings, sql: Sql) -> None:
    """A deleted result is gone from SQL and S3, and its id is not used again."""
    async with Client(settings) as client:
        await client.delete("old-2")

    async def is_gone() -> bool:
        has_manifest = await asyncio.to_thread(blob_store(settings).head, manifest_key("old-2"))
        return has_manifest is None and await sql.count("backtest_id = 'old-2'") == 0

    await until(is_gone, lambda: "old-2 is still there")


async def check_from_s3(settings: Settings) -> None:
    """From a prefix of a bucket: what is deleted, there already, and new; the journal lies apart from the first one's."""
    source = open_blob_store(f"{settings.s3_url}-legacy", endpoint=settings.s3_endpoint)
    for number in (0, 2, FILES):
        source.put(f"{number:05d}.json", json.dumps(legacy(number)).encode())
    registry = InstalledRegistry(settings, clock=SystemClock(), patience_seconds=60)
    job = ImportJob(
        open_documents(source.url, endpoint=settings.s3_endpoint), Destination(blob_store(settings), registry, submitter="s3")
    )
    report = await job.run()
    await registry.close()
    assert (report.imported, report.already, report.refused) == (1, 1, 1)
    assert "never deleted" in report.refusals[0].allowed
    folders = {each.key.split("/")[1] for each in blob_store(settings).list(IMPORTS)}
    assert len(folders) == 2
