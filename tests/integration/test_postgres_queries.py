"""Tests of the read model's queries on a real server, over rows that the projector wrote."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapters.errors import ConfigurationError, FatalError
from adapters.ports import TopicPartition
from adapters.postgres import PostgresRowStore
from adapters.postgres_reader import PostgresReader
from backtape.stack import LocalStack
from migrations import upgrade_async
from projections import queries
from projections.queries import Query
from projections.tables import SCHEMA
from schemas.manifest import SnapshotAnnouncement
from schemas.receipts import DeadLetterHeaders, Outcome, Reason, Receipt, encode_receipt
from tests.factories import LOG_ID, finished_log
from tests.projector_parts import EVENTS, Bench, FakeLog, new_database

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

RECEIPTS, LETTERS, ARCHIVE = (TopicPartition(f"backtape.{name}", 0) for name in ("receipts", "dead-letters", "archive"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader(stack: LocalStack) -> AsyncIterator[PostgresReader]:
    """A reader over four runs of all ends, two receipts, a dead letter and a snapshot."""
    with new_database(stack) as database:
        await upgrade_async(database)
        await _fill(database)
        made = PostgresReader(database)
        yield made
        await made.close()


async def _fill(database: str) -> None:
    log = FakeLog()
    ends = ("completed", "cancelled", "failed", "open")
    log.append_logs([finished_log(f"bt-{number}", seed=number, end=end) for number, end in enumerate(ends)])
    for receipt in (
        Receipt(outcome=Outcome.ACCEPTED, partition=0, offset=1, backtest_id="bt-0", issued_at="2026-01-05T10:00:00Z"),
        Receipt(outcome=Outcome.REJECTED, partition=0, offset=2, backtest_id="bt-9", reason=Reason.INVALID_FIELD, detail="cash"),
    ):
        log.append(RECEIPTS, b"bt", encode_receipt(receipt), log_id=None)
    letter = DeadLetterHeaders(reason="not_json", detail="not JSON", partition=0, offset=3, length=1, sha256="c" * 64)
    log.append(LETTERS, None, b"{", log_id=None, headers=tuple(letter.to_kafka()))
    announced = SnapshotAnnouncement(
        backtest_id="bt-0", manifest_key="key", manifest_sha256="a" * 64, chain_head="b" * 64, bytes=1, rows=3
    )
    log.append(ARCHIVE, b"bt-0", announced.model_dump_json().encode(), log_id=None)
    store = PostgresRowStore(database, SCHEMA)
    await Bench(store, log).run(EVENTS, RECEIPTS, LETTERS, ARCHIVE)
    await store.close()


async def _ask(reader: PostgresReader, query: Query) -> list[dict[str, Any]]:
    return await reader.fetch(query.sql, query.arguments)


async def test_a_backtest_has_its_status_results_and_places(reader: PostgresReader) -> None:
    [row] = await _ask(reader, queries.backtest("bt-0"))
    assert (row["status"], row["strategy"], row["symbols"], row["submitter"]) == ("completed", "sma_cross", ["AAPL"], "tests")
    assert (row["total_return"], row["sharpe"], row["sortino"], row["final_equity"]) == (0.010005, 1.25, None, 101_000.5)
    assert (row["manifest_key"], row["quarantine_reason"], row["log_id"]) == ("key", None, LOG_ID)
    assert row["spec"]["strategy"]["parameters"] == {"fast": 10, "slow": 30}
    assert row["accepted_at"] < row["started_at"] < row["finished_at"]
    assert await _ask(reader, queries.backtest("unknown")) == []


async def test_backtests_are_listed_and_chosen(reader: PostgresReader) -> None:
    assert {row["status"] for row in await _ask(reader, queries.backtests())} == {"completed", "cancelled", "failed", "running"}
    [failed] = await _ask(reader, queries.backtests(status="failed"))
    assert (failed["failure_reason"], failed["failure_detail"]) == ("strategy_raised", "ValueError: \ufffd no")
    assert len(await _ask(reader, queries.backtests(submitter="tests", tag="test", limit=3))) == 3
    assert await _ask(reader, queries.backtests(tag="other")) == []
    named = await _ask(reader, queries.named_backtests(["bt-1", "bt-3"]))
    assert [row["backtest_id"] for row in named] == ["bt-1", "bt-3"]
    assert [row["backtest_id"] for row in await _ask(reader, queries.finished_ids())] == ["bt-0", "bt-1", "bt-2"]


async def test_commits_say_where_events_lie(reader: PostgresReader) -> None:
    rows = await _ask(reader, queries.commits("bt-0"))
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    chosen = await _ask(reader, queries.commits("bt-0", first_sequence=3, last_sequence=3))
    assert [(row["first_sequence"] <= 3 <= row["last_sequence"]) for row in chosen] == [True]


async def test_commands_letters_and_totals(reader: PostgresReader) -> None:
    [rejected] = await _ask(reader, queries.commands(outcome="rejected"))
    assert (rejected["backtest_id"], rejected["reason"], rejected["detail"]) == ("bt-9", "invalid_field", "cash")
    assert len(await _ask(reader, queries.commands(backtest_id="bt-0"))) == 1
    assert await _ask(reader, queries.receipt_counts()) == [
        {"outcome": "accepted", "count": 1},
        {"outcome": "rejected", "count": 1},
    ]
    [letter] = await _ask(reader, queries.dead_letters())
    assert (letter["reason"], letter["beginning"]) == ("not_json", b"{")
    [total] = await _ask(reader, queries.totals())
    assert (total["backtests"], total["running"], total["failed"], total["dead_letters"], total["quarantined"]) == (4, 1, 1, 1, 0)
    assert {row["topic"] for row in await _ask(reader, queries.positions())} == {
        each.topic for each in (EVENTS, RECEIPTS, LETTERS, ARCHIVE)
    }
    assert await _ask(reader, queries.quarantine()) == []
    names = {row["name"]: (row["value"], row["text"]) for row in await _ask(reader, queries.statistics("bt-0"))}
    assert names["sortino"] == (None, None)
    assert names["start"] == (None, "2020-01-02")


async def test_a_reader_cannot_write(reader: PostgresReader) -> None:
    with pytest.raises(FatalError, match="read-only"):
        await reader.fetch("DELETE FROM backtape_v1.fills")


async def test_a_database_without_the_schema_is_named(database: str) -> None:
    """The error says what to do."""
    reader = PostgresReader(database)
    with pytest.raises(ConfigurationError, match="backtape db upgrade"):
        await reader.fetch(queries.totals().sql)
    await reader.close()


async def test_the_queries_of_the_document_run(reader: PostgresReader) -> None:
    """Each statement in docs/sql.md is answered by the views as they are."""
    text = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
    blocks = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    statements = [each for block in blocks for each in block.split(";") if each.strip()]
    assert len(statements) >= 8
    for statement in statements:
        await reader.fetch(statement)
