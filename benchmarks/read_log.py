"""This module makes the log that the read side is measured with: real runs of the engine, appended as a worker would.

The commits are those of whole backtests, appended by one transactional producer. Each round runs the strategies of
benchmarks/long_log.py over a random walk; the runs of a round are written in turns, as workers write them. Only the first rounds
are simulated. The others are the same runs under other ids, with digests and chains of their own, so that ten million events take
minutes and not an hour: a projector reads, checks and writes them as any others.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer

from adapters.kafka import KafkaAppender
from backtape.running import commits_of
from benchmarks.engine import generated
from benchmarks.long_log import STRATEGIES, spec, spread_ids
from benchmarks.scene import PARTITIONS
from consumers.settings import Settings
from engine.registry import BUILTINS
from schemas.commit import Head, decode_commit, encode_commit
from schemas.ids import BacktestId, Digest
from schemas.market_data import Instrument, Market
from schemas.partitioning import home_partition
from schemas.run_state import TOPOLOGY_KEY, Topology, encode_state
from schemas.topics import EVENTS, RUNS

LOG_ID = b"6d0f7a0e-2f3b-4d53-9b8e-3f6f1f0f9c11"
ISSUED_AT = "2026-01-01T00:00:00Z"
STEP_BYTES = 1024 * 1024  # of one transaction, as a worker's
SIMULATED_ROUNDS = 2


@dataclass(slots=True)
class Written:
    """What lies on the events topic: how many events, of what kind, and how many before each offset."""

    kinds: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    bytes: int = 0
    ids: list[str] = field(default_factory=list)
    simulated: list[list[bytes]] = field(default_factory=list)  # the bodies of each simulated run
    events_before: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # partition: (offset, events up to it)

    @property
    def events(self) -> int:
        return sum(self.kinds.values())

    def events_up_to(self, partition: int, next_offset: int) -> int:
        passed = [total for offset, total in self.events_before.get(partition, []) if offset < next_offset]
        return passed[-1] if passed else 0

    def mix(self) -> str:
        shares = (f"{kind} {count / self.events:.1%}" for kind, count in self.kinds.most_common() if count / self.events >= 0.001)
        return ", ".join(shares)


async def write_log(settings: Settings, *, events: int, bars: int, written: Written, pause: float = 0.0) -> None:
    """Append whole runs until the log holds so many events.

    bars : of each run
    pause : seconds between two transactions, for a steady flow
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, transactional_id="benchmark", linger_ms=0, max_batch_size=STEP_BYTES,
        max_request_size=2 * STEP_BYTES, compression_type="lz4",
    )  # fmt: skip
    await producer.start()
    try:
        await _found_log(settings)
        while written.events < events:
            runs = round_of(len(written.ids) // len(STRATEGIES), bars, written)
            for step in steps_of(runs):
                await _append(producer, settings.kafka.topic(EVENTS), step, written)
                await asyncio.sleep(pause)
    finally:
        await producer.stop()


async def _found_log(settings: Settings) -> None:
    """Say what the log is called, as its first worker would: those that come later go on with it."""
    appender = KafkaAppender(settings.kafka)
    body = encode_state(Topology(partitions=PARTITIONS, log_id=LOG_ID.decode()))
    for partition in range(PARTITIONS):
        await appender.append(settings.kafka.topic(RUNS), TOPOLOGY_KEY.encode(), body, partition=partition, headers=())
    await appender.close()


def round_of(number: int, bars: int, written: Written) -> list[tuple[str, Iterator[bytes]]]:
    """Return the commits of a round's runs, each with its id."""
    ids = spread_ids(f"read-{number}", len(STRATEGIES))
    written.ids += ids
    if len(written.simulated) < SIMULATED_ROUNDS * len(STRATEGIES):
        written.simulated += [list(bodies) for bodies in _simulated(number, bars)]
    chosen = (len(STRATEGIES) * number) % len(written.simulated)
    return [
        (backtest_id, _renamed(bodies, backtest_id))
        for backtest_id, bodies in zip(ids, written.simulated[chosen : chosen + len(ids)], strict=True)
    ]


def _renamed(bodies: list[bytes], backtest_id: str) -> Iterator[bytes]:
    """Yield a run's commits as they would be under another id."""
    head = Head.start(Digest(decode_commit(bodies[0]).parent))
    for body in bodies:
        commit = decode_commit(body)
        made = encode_commit(BacktestId(backtest_id), head, commit.author, commit.events)
        head = made.head
        yield made.body


def _simulated(number: int, bars: int) -> Iterator[Iterator[bytes]]:
    market = Market(
        bars=(generated(bars, seed=number),), instruments=(Instrument(symbol="X", calendar="always"),), dataset="minutes",
        version=1, digest="d" * 64,
    )  # fmt: skip
    for strategy, parameters in STRATEGIES:
        command = {
            "type": "SubmitBacktest", "command_id": "submit", "backtest_id": "simulated", "issued_at": ISSUED_AT,
            "spec": spec("minutes", "X", "1m", strategy, parameters),
        }  # fmt: skip
        yield (commit.body for commit in commits_of(command, market, BUILTINS[strategy]))


def steps_of(runs: list[tuple[str, Iterator[bytes]]]) -> Iterator[list[tuple[str, bytes]]]:
    """Yield what one transaction appends: commits of one partition, of its runs in turns."""
    queues: dict[int, deque[tuple[str, Iterator[bytes]]]] = {}
    for backtest_id, bodies in runs:
        queues.setdefault(home_partition(backtest_id.encode(), PARTITIONS), deque()).append((backtest_id, bodies))
    while queues:
        for partition, queue in list(queues.items()):
            step: list[tuple[str, bytes]] = []
            size = 0
            while queue and size < STEP_BYTES:
                backtest_id, bodies = queue.popleft()
                body = next(bodies, None)
                if body is not None:
                    step.append((backtest_id, body))
                    size += len(body)
                    queue.append((backtest_id, bodies))
            if step:
                yield step
            if not queue:
                del queues[partition]


async def _append(producer: AIOKafkaProducer, topic: str, step: list[tuple[str, bytes]], written: Written) -> None:
    partition = home_partition(step[0][0].encode(), PARTITIONS)
    async with producer.transaction():
        sent = [
            await producer.send(topic, body, backtest_id.encode(), partition=partition, headers=[("log_id", LOG_ID)])
            for backtest_id, body in step
        ]
    places = written.events_before.setdefault(partition, [])
    total = places[-1][1] if places else 0
    for future, (_, body) in zip(sent, step, strict=True):
        kinds = [type(event).__name__ for event in decode_commit(body).events]
        written.kinds.update(kinds)
        written.commits += 1
        written.bytes += len(body)
        total += len(kinds)
        places.append(((await future).offset, total))
