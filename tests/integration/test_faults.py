"""Everything is killed at least once while runs are under way; then the log, the tables and the snapshots are judged.

One stack and five processes of the test's own: two workers, two projectors, a compactor. Nothing here waits for a time to pass
but the frozen worker, which has to stay away for longer than its session.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.clock import SystemClock
from adapters.errors import RetryableError
from adapters.kafka import KafkaLogReader
from adapters.ports import TopicPartition
from adapters.run_log import StoredCommit
from backtape.client import Client
from backtape.data import generate_dataset, import_samples
from backtape.local import ConsumerProcess
from backtape.prepare import prepare
from backtape.proof.audit import audit_runs
from backtape.proof.rerun import Verdict, check_chain
from backtape.read_model import ReadModel
from backtape.stack import LocalStack
from backtape.stack.service import Service
from consumers.settings import Settings, load_settings
from consumers.wiring import blob_store
from schemas.commit import decode_commit
from schemas.receipts import Outcome, decode_receipt
from schemas.topics import EVENTS, RECEIPTS
from tests.pipeline import look_again, processes, records_of

LONG_BARS = 600_000
PARTITIONS = 4
SESSION_SECONDS = 6.0
GROWTH = 6  # records that must be appended after a fault before the next one
PATIENCE_SECONDS = 90.0


class Scene:
    """The stack, the processes, and what was submitted."""

    def __init__(self, stack: LocalStack, settings: Settings, processes: dict[str, ConsumerProcess]) -> None:
        self.stack = stack
        self.settings = settings
        self.processes = processes
        self.submitted: list[str] = []

    async def submit(self, *, long: int, small: int) -> None:
        """Submit long runs and small ones, of different strategies."""
        number = len(self.submitted)
        async with Client(self.settings) as client:
            for index in range(long):
                spec = _spec("minutes", "SIM", "1m", "sma_cross", {"fast": 40 + index, "slow": 240 + number})
                self.submitted.append((await client.submit(spec, backtest_id=f"long-{number}-{index}")).backtest_id)
            for index in range(small):
                strategy = ("sma_cross", "rsi_reversion", "donchian_breakout", "buy_and_hold")[(number + index) % 4]
                symbol = ("AAPL", "IBM", "MSFT", "GOOG")[(number + index) // 4 % 4]
                spec = _spec("stocks-daily", symbol, "1d", strategy, {})
                self.submitted.append((await client.submit(spec, backtest_id=f"small-{number}-{index}")).backtest_id)

    async def appended(self) -> int:
        """Return how many records the events topic has taken, markers included."""
        reader = KafkaLogReader(self.settings.kafka)
        try:
            sources = [TopicPartition(self.settings.kafka.topic(EVENTS), number) for number in range(PARTITIONS)]
            return sum([await reader.end(source) for source in sources])
        finally:
            await reader.close()

    async def wait_for_growth(self) -> None:
        """Wait until the log grows: the pipeline is at work."""
        start = await _patiently(self.appended)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while await _patiently(self.appended) < start + GROWTH:
            assert time.monotonic() < deadline, "the log stands still: " + self.logs()
            await look_again()

    async def kill(self, service: Service) -> None:
        """SIGKILL a service in the middle of its work, and start it again."""
        await self.wait_for_growth()
        await asyncio.to_thread(service.kill)
        await asyncio.to_thread(service.start)

    async def freeze(self, service: Service) -> None:
        """Stop a worker for longer than its session, so that another takes its partitions, and wake it."""
        await self.wait_for_growth()
        service.freeze()
        await SystemClock().sleep(SESSION_SECONDS + 2)  # nothing else than time ends a session
        service.thaw()

    async def wait_for_end(self) -> None:
        """Wait until every run has ended, in SQL, with its snapshot announced."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        async with ReadModel(self.settings.database_url) as model:
            while True:
                rows = await _patiently(lambda: model.named(self.submitted))
                open_runs = [row["backtest_id"] for row in rows if not (row["finished_at"] and row["manifest_key"])]
                if len(rows) == len(self.submitted) and not open_runs:
                    return
                assert time.monotonic() < deadline, f"{len(rows)} of {len(self.submitted)}, open: {open_runs}; {self.logs()}"
                await look_again()

    def logs(self) -> str:
        return "\n".join(f"--- {name}\n{process.log_tail()}" for name, process in self.processes.items())


def _spec(dataset: str, symbol: str, timeframe: str, strategy: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "data": {"dataset": dataset, "symbols": [symbol], "timeframe": timeframe},
        "strategy": {"name": strategy, "parameters": parameters},
    }


async def _patiently(call: Callable[[], Awaitable[Any]]) -> Any:
    """Ask again while a server is away: it was killed a moment ago."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await call()
        except RetryableError:
            assert time.monotonic() < deadline, "the server does not come back"


@pytest.fixture
def scene(make_stack: Callable[[], LocalStack], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scene]:
    stack = make_stack()
    endpoints = stack.start()
    environment = {
        **endpoints.environment(),
        "BACKTAPE_CACHE_DIR": str(tmp_path / "cache"),
        "BACKTAPE_PARTITIONS": str(PARTITIONS),
        "BACKTAPE_SIMULATIONS": "2",
        "BACKTAPE_SESSION_TIMEOUT_MS": str(int(SESSION_SECONDS * 1000)),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    prepare(settings, report=lambda line: None)
    import_samples(blob_store(settings))
    generate_dataset(blob_store(settings), dataset="minutes", bars=LONG_BARS, seed=3)
    roles = {
        "worker-1": "worker",
        "worker-2": "worker",
        "projector-1": "projector",
        "projector-2": "projector",
        "compactor": "compactor",
    }
    with processes(stack.state, environment, roles) as running:
        yield Scene(stack, settings, running)


async def test_nothing_is_lost_or_doubled_whatever_is_killed(scene: Scene) -> None:
    """After kills of every process and every server, logs, tables and snapshots are what a quiet run gives."""
    ours, stack = scene.processes, scene.stack
    for victim in (
        ours["worker-1"], ours["projector-1"], ours["compactor"], stack.kafka, stack.postgres, stack.s3, ours["projector-2"],
    ):  # fmt: skip
        await scene.submit(long=1, small=1)
        await scene.kill(victim)
    await scene.submit(long=2, small=2)
    await scene.freeze(ours["worker-2"])
    await scene.submit(long=1, small=1)
    await scene.kill(ours["worker-2"])
    await scene.wait_for_end()

    await judge_log(scene)
    await judge_receipts(scene)
    judge_snapshots(scene)
    audits = await audit_runs(scene.settings, scene.submitted, report=lambda line: None)
    assert len(audits) == len(scene.submitted) == 20
    for audit in audits:
        assert audit.verdict is Verdict.PROVEN, audit


async def judge_log(scene: Scene) -> None:
    """Each run's records are one chain from Accepted to one terminal event, and nothing beside or behind it."""
    by_key: dict[str, list[StoredCommit]] = defaultdict(list)
    for record in await records_of(scene.settings, EVENTS):
        assert record.key is not None
        assert record.value is not None
        by_key[record.key.decode()].append(StoredCommit(decode_commit(record.value), record.value, record))
    assert set(by_key) == set(scene.submitted)
    for backtest_id, commits in by_key.items():
        assert check_chain(backtest_id, commits).verdict is Verdict.PROVEN, check_chain(backtest_id, commits)
        assert [stored.commit.is_terminal for stored in commits] == [False] * (len(commits) - 1) + [True]


async def judge_receipts(scene: Scene) -> None:
    """Every command has one receipt that says accepted."""
    receipts = [decode_receipt(record.value or b"") for record in await records_of(scene.settings, RECEIPTS)]
    assert sorted(str(receipt.backtest_id) for receipt in receipts) == sorted(scene.submitted)
    assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}


def judge_snapshots(scene: Scene) -> None:
    """Every run has one manifest."""
    manifests = [blob.key for blob in blob_store(scene.settings).list("backtests/") if blob.key.endswith("/manifest.json")]
    assert sorted(manifests) == sorted(f"backtests/{backtest_id}/manifest.json" for backtest_id in scene.submitted)
