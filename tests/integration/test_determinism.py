"""The same command gives the same bytes: with one worker or three, and with a worker killed in the middle."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from adapters.kafka import KafkaAppender
from backtape.client import now
from backtape.data import generate_dataset
from backtape.local import ConsumerProcess
from backtape.prepare import prepare_async
from backtape.stack import Endpoints
from consumers.settings import Settings
from consumers.wiring import blob_store
from schemas.commit import decode_commit
from schemas.topics import COMMANDS, EVENTS
from tests.pipeline import TopicTail, look_again, processes

BARS = 250_000
PATIENCE_SECONDS = 60.0
ISSUED_AT = now()  # the same in all pipelines
RUNS = ("run-a", "run-b", "run-c")


MakePipeline = Callable[[int], Awaitable["Pipeline"]]


def command(backtest_id: str) -> bytes:
    """The very same bytes in every pipeline."""
    return json.dumps(
        {
            "type": "SubmitBacktest",
            "command_id": f"command-{backtest_id}",
            "backtest_id": backtest_id,
            "issued_at": ISSUED_AT,
            "spec": {
                "data": {"dataset": "minutes", "symbols": ["SIM"], "timeframe": "1m"},
                "strategy": {
                    "name": "sma_cross",
                    "parameters": {"fast": 10, "slow": 50 + len(backtest_id) + ord(backtest_id[-1])},
                },
            },
        }
    ).encode()


class Pipeline:
    """A set of topics of its own, with some workers."""

    def __init__(self, settings: Settings, workers: dict[str, ConsumerProcess]) -> None:
        self.settings = settings
        self.workers = workers
        self._tail = TopicTail(settings, EVENTS)

    async def submit(self) -> None:
        appender = KafkaAppender(self.settings.kafka)
        for backtest_id in RUNS:
            await appender.append(self.settings.kafka.topic(COMMANDS), backtest_id.encode(), command(backtest_id))
        await appender.close()

    async def logs(self) -> dict[str, list[bytes]]:
        """Return each run's commits as they lie on the log."""
        found: dict[str, list[bytes]] = {backtest_id: [] for backtest_id in RUNS}
        for record in await self._tail.look():
            found[(record.key or b"").decode()].append(record.value or b"")
        return found

    async def wait(self, enough: Callable[[dict[str, list[bytes]]], bool]) -> dict[str, list[bytes]]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not enough(logs := await self.logs()):
            assert time.monotonic() < deadline, [worker.log_tail() for worker in self.workers.values()]
            await look_again()
        return logs

    async def close(self) -> None:
        await self._tail.close()
        for worker in self.workers.values():
            worker.kill()


def are_finished(logs: dict[str, list[bytes]]) -> bool:
    return all(bodies and decode_commit(bodies[-1]).is_terminal for bodies in logs.values())


@pytest.fixture
def make_pipeline(
    own_endpoints: Endpoints, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakePipeline]:
    for name, value in own_endpoints.environment().items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:

        async def make(workers: int) -> Pipeline:
            settings = Settings(topic_prefix=f"{topic_prefix}-{uuid.uuid4().hex[:8]}", partitions=3, simulations=2)
            await prepare_async(settings, report=lambda line: None)
            settings = settings.model_copy(update={"cache_dir": tmp_path / "cache"})
            generate_dataset(blob_store(settings), dataset="minutes", bars=BARS, seed=11)
            environment = {**own_endpoints.environment(), **settings.environment()}
            roles = {f"{settings.topic_prefix}-{number}": "worker" for number in range(workers)}
            return Pipeline(settings, stack.enter_context(processes(tmp_path, environment, roles)))

        yield make


async def test_the_log_is_the_same_however_it_came_about(make_pipeline: MakePipeline) -> None:
    """One worker, three workers, and one that is killed in the middle write the same commits, byte for byte."""
    alone = await make_pipeline(1)
    await alone.submit()
    expected = await alone.wait(are_finished)
    await alone.close()

    three = await make_pipeline(3)
    await three.submit()
    assert await three.wait(are_finished) == expected
    await three.close()

    killed = await make_pipeline(1)
    await killed.submit()
    half = {backtest_id: len(bodies) // 2 for backtest_id, bodies in expected.items()}
    before = await killed.wait(lambda logs: any(len(logs[backtest_id]) >= half[backtest_id] for backtest_id in RUNS))
    assert not are_finished(before), "the kill comes while runs are under way"
    (worker,) = killed.workers.values()
    worker.kill()
    worker.start()
    assert await killed.wait(are_finished) == expected
    await killed.close()
