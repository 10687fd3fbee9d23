"""The questions of docs/sql.md on real runs over real data: each one has an answer."""

import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import pytest_asyncio

from adapters.ports import Record, TopicPartition
from adapters.postgres import PostgresRowStore
from adapters.postgres_reader import PostgresReader
from backtape import Strategy, run
from backtape.stack import LocalStack
from migrations import upgrade_async
from projections.roles import PROJECTOR_ROLE, READER_ROLE
from projections.tables import SCHEMA
from schemas.commit import decode_commit
from schemas.events import BacktestFailed, FailureReason
from schemas.receipts import Outcome, Receipt, encode_receipt
from tests.factories import Log
from tests.projector_parts import EVENTS, Bench, FakeLog, new_database
from tests.questions import Question, questions

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
RECEIPTS = TopicPartition("backtape.receipts", 0)


class Greedy(Strategy):
    """Asks for more than there is, each day."""

    def on_bar(self) -> None:
        self.buy(quantity=1e9)


def _runs() -> list[tuple[str, tuple[bytes, ...]]]:
    """Run a small sweep, one that holds to the end, and one that is refused."""
    path = DATA / "AAPL.1d.parquet"
    if not path.exists():
        pytest.skip(f"no data: {path}")
    frame = pd.read_parquet(path)
    sweep = {
        name: run(
            {"strategy": {"name": "sma_cross", "parameters": {"fast": fast, "slow": slow}}, "tags": ["sweep-1"]},
            frame, symbol="AAPL", backtest_id=name,
        )
        for name, fast, slow in (("first", 10, 30), ("second", 20, 60))
    }  # fmt: skip
    held = run({"strategy": {"name": "buy_and_hold"}}, frame, symbol="AAPL", backtest_id="held")
    refused = run(Greedy, frame.head(50), symbol="AAPL", backtest_id="refused", execution={"cash_short": "refuse"})
    return [(name, result.commits) for name, result in {**sweep, "held": held, "refused": refused}.items()]


def _log() -> FakeLog:
    """Return the log of these runs as of just now, with one that runs, one that failed, and receipts."""
    log = FakeLog()
    runs = _runs()
    now_ms = time.time_ns() // 1_000_000
    unfinished = Log("running").accept().start()
    failed = Log("failed").accept().start()
    failed.append(BacktestFailed(sequence=failed.next, time_ns=0, reason=FailureReason.STRATEGY_RAISED, detail="no"))
    for name, bodies in [*runs, ("running", tuple(unfinished.bodies)), ("failed", tuple(failed.bodies))]:
        for body in bodies:
            assert decode_commit(body).backtest_id == name
            log.append(EVENTS, name.encode(), body)
    for name in ("first", "second"):
        receipt = Receipt(
            outcome=Outcome.ACCEPTED, partition=0, offset=1, command_type="SubmitBacktest", command_id=f"c-{name}",
            backtest_id=name, submitter="research",
        )  # fmt: skip
        log.append(RECEIPTS, name.encode(), encode_receipt(receipt))
    for source, records in log.records.items():
        log.records[source] = [
            Record(each.topic, each.partition, each.offset, now_ms, each.key, each.value, each.headers) for each in records
        ]
    return log


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader(stack: LocalStack) -> AsyncIterator[PostgresReader]:
    log = _log()
    with new_database(stack) as database:
        await upgrade_async(database)
        store = PostgresRowStore(database, SCHEMA, role=PROJECTOR_ROLE)
        bench = Bench(store, log)
        await bench.run(EVENTS, RECEIPTS, chunk=500)
        assert bench.projector.counters().quarantined == 0
        await store.close()
        made = PostgresReader(database, role=READER_ROLE)
        yield made
        await made.close()


async def test_there_are_twenty() -> None:
    """Each with its text."""
    found = questions()
    assert len(found) == 20
    assert len({each.text for each in found}) == 20


@pytest.mark.parametrize("question", questions(), ids=[each.text[:40] for each in questions()])
async def test_a_question_has_an_answer(reader: PostgresReader, question: Question) -> None:
    """As the role that reads, over views; real rows come back, and not only nulls."""
    rows = await reader.fetch(question.sql)
    assert rows, question.text
    assert any(value is not None for value in rows[0].values())


async def test_the_computed_views_agree_with_the_statistics(reader: PostgresReader) -> None:
    """The deepest episode is no deeper than the run's own figure, which knows every bar; months multiply to the whole."""
    [run_] = await reader.fetch("SELECT max_drawdown, total_return FROM backtape.backtests WHERE backtest_id = 'first'")
    episodes = await reader.fetch("SELECT * FROM backtape.drawdowns WHERE backtest_id = 'first' ORDER BY start")
    assert run_["max_drawdown"] <= min(each["depth"] for each in episodes) < 0
    for before, after in pairwise(episodes):
        assert before["recovery"] is not None and before["start"] < before["trough"] < before["recovery"] <= after["start"]
    marks = await reader.fetch("SELECT time, drawdown FROM backtape.equity WHERE backtest_id = 'first' ORDER BY mark")
    under_water = {mark["time"] for mark in marks if mark["drawdown"] < 0}
    covered = {time_ for time_ in under_water for each in episodes if each["start"] <= time_ <= each["last_mark"]}
    assert covered == under_water
    months = await reader.fetch("SELECT * FROM backtape.monthly_returns WHERE backtest_id = 'first' ORDER BY month")
    growth = 1.0
    for month in months:
        growth *= 1.0 + month["return_fraction"]
    assert growth == pytest.approx(1.0 + run_["total_return"], rel=1e-9)
