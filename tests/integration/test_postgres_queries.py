"""Tests of the read model's queries on a real server, over rows that the projector wrote."""

from collections.abc import AsyncIterator
from operator import itemgetter
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
from projections.fold import fold_run
from projections.queries import After, BacktestFilter, Query
from projections.tables import SCHEMA
from schemas.manifest import ArchivedRange, SnapshotAnnouncement
from schemas.receipts import DeadLetterHeaders, Outcome, Reason, Receipt, encode_receipt
from tests.factories import LOG_ID, finished_log
from tests.projector_parts import EVENTS, Bench, FakeLog, new_database

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

RUNS = {"bt-0": "completed", "bt-1": "cancelled", "bt-2": "failed", "bt-3": "open"}
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
    log.append_logs([finished_log(name, seed=number, end=end) for number, (name, end) in enumerate(RUNS.items())])
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
    for start in (0, 5):
        made = ArchivedRange(
            topic="events", partition=0, log_id="l", first_offset=start, next_offset=start + 5, records=4,
            first_timestamp_ms=start, last_timestamp_ms=start + 1, key=f"archive/{start}", sha256="a" * 64, bytes=10,
            raw_sha256="b" * 64, raw_bytes=100, parent=None,
        )  # fmt: skip
        log.append(ARCHIVE, f"log/events/0/l/{start}".encode(), made.model_dump_json().encode(), log_id=None)
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
    assert {row["status"] for row in await _ask(reader, queries.backtest_page())} == {
        "completed",
        "cancelled",
        "failed",
        "running",
    }
    [failed] = await _ask(reader, queries.backtest_page(BacktestFilter(statuses=("failed",))))
    assert (failed["failure_reason"], failed["failure_detail"]) == ("strategy_raised", "ValueError: \ufffd no")
    assert len(await _ask(reader, queries.backtest_page(BacktestFilter(submitter="tests", tag="test"), limit=3))) == 3
    assert await _ask(reader, queries.backtest_page(BacktestFilter(tag="other"))) == []
    named = await _ask(reader, queries.named_backtests(["bt-1", "bt-3"]))
    assert [row["backtest_id"] for row in named] == ["bt-1", "bt-3"]
    assert [row["backtest_id"] for row in await _ask(reader, queries.finished_ids())] == ["bt-0", "bt-1", "bt-2"]


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort", queries.SORTS)
async def test_pages_of_any_order_hold_each_backtest_once(reader: PostgresReader, sort: str, descending: bool) -> None:
    """One by one: the same rows in the same order as in one go, nulls included."""
    whole = await _ask(reader, queries.backtest_page(sort=sort, descending=descending))
    assert len(whole) == 4
    found: list[dict[str, Any]] = []
    while True:
        after = After(found[-1][sort], (found[-1]["backtest_id"],)) if found else None
        page = await _ask(reader, queries.backtest_page(sort=sort, descending=descending, after=after, limit=1))
        if not page:
            break
        found += page
    assert found == whole


async def test_a_filter_leaves_what_fulfils_all_of_it(reader: PostgresReader) -> None:
    """Each condition alone and all together; words may be beginnings; counts agree."""
    filters = {
        BacktestFilter(strategy="sma_cross"): 4,
        BacktestFilter(strategy="other"): 0,
        BacktestFilter(symbol="AAPL"): 4,
        BacktestFilter(symbol="MSFT"): 0,
        BacktestFilter(statuses=("failed", "cancelled")): 2,
        BacktestFilter(text="sma test"): 4,
        BacktestFilter(text="BT-2 aap"): 1,
        BacktestFilter(text="nothing like it"): 0,
        BacktestFilter(text=" -'&|!:* "): 4,
        BacktestFilter(
            statuses=("completed",), strategy="sma_cross", symbol="AAPL", submitter="tests", tag="test", text="bt 0"
        ): 1,
    }
    for wanted, count in filters.items():
        assert len(await _ask(reader, queries.backtest_page(wanted))) == count, wanted
        assert await _ask(reader, queries.backtest_count(wanted)) == [{"count": count}], wanted
    assert {row["status"]: row["count"] for row in await _ask(reader, queries.status_counts())} == {
        "cancelled": 1, "completed": 1, "failed": 1, "running": 1,
    }  # fmt: skip
    with pytest.raises(ValueError, match="sort: 'spec' is not allowed"):
        queries.backtest_page(sort="spec")
    with pytest.raises(ValueError, match="limit: 0 is not allowed"):
        queries.backtest_page(limit=0)


async def test_a_runs_rows_come_in_pages(reader: PostgresReader) -> None:
    """By their keys, and by a column; what follows the first row is the rest."""
    pages: dict[str, tuple[Any, str]] = {
        "orders": (queries.orders, "order_id"),
        "fills": (queries.fills, "fill_id"),
        "trades": (queries.trades, "trade_id"),
        "positions": (queries.positions, "position_id"),
        "equity": (queries.equity, "mark"),
    }
    for name, (ask, key) in pages.items():
        whole = await _ask(reader, ask("bt-0"))
        assert len(whole) > 2, name
        assert await _ask(reader, ask("bt-0", after=After(None, (whole[0][key],)))) == whole[1:], name
    by_pnl = await _ask(reader, queries.trades("bt-0", sort="realized_pnl", descending=True))
    assert [row["realized_pnl"] for row in by_pnl] == sorted((row["realized_pnl"] for row in by_pnl), reverse=True)
    after = After(by_pnl[1]["realized_pnl"], (by_pnl[1]["trade_id"],))
    assert await _ask(reader, queries.trades("bt-0", sort="realized_pnl", descending=True, after=after)) == by_pnl[2:]
    for ask in (queries.positions, queries.orders):
        parted = [await _ask(reader, ask(name, is_open=which)) for name in ("bt-0", "bt-3") for which in (True, False)]
        assert [all(row["is_open"] is which for row in rows) for rows, which in zip(parted, (True, False) * 2, strict=True)] == [
            True
        ] * 4
        assert sum(map(len, parted)) == sum([len(await _ask(reader, ask(name))) for name in ("bt-0", "bt-3")])
    history = await _ask(reader, queries.position_history("bt-0"))
    after = After(None, (history[0]["sequence"], history[0]["position_id"]))
    assert await _ask(reader, queries.position_history("bt-0", after=after)) == history[1:]
    await _ask(reader, queries.account_events("bt-0", after=After(None, (1,))))


@pytest.mark.parametrize("name", ["trades", "position_history", "positions"])
async def test_a_view_shows_what_results_in_process_have(reader: PostgresReader, name: str) -> None:
    """Trades and histories are shown from positions: by SQL here, by Python there. Splits and open positions are among them."""
    seen = 0
    for number, (backtest_id, end) in enumerate(RUNS.items()):
        tables = fold_run(finished_log(backtest_id, seed=number, end=end).bodies)
        wanted = tables.table(name, "sql").select(tables.table(name, "full").column_names).to_pylist()
        rows = await reader.fetch(f"SELECT * FROM backtape.{name} WHERE backtest_id = $1", (backtest_id,))
        keys = [key for key in ("sequence", "position_id") if wanted and key in wanted[0]]
        assert sorted(rows, key=itemgetter(*keys)) == sorted(wanted, key=itemgetter(*keys))
        seen += len(rows)
    assert seen > 20


async def test_a_picture_of_the_curve_keeps_its_ends_and_extremes(reader: PostgresReader) -> None:
    """Fewer marks than there are, but no extreme is lost."""
    marks = await _ask(reader, queries.equity("bt-0"))
    points = await _ask(reader, queries.equity_curve("bt-0", points=8))
    assert len(points) <= 8 < len(marks)
    wanted = {
        1, len(marks), min(marks, key=lambda mark: (mark["equity"], mark["mark"]))["mark"],
        max(marks, key=lambda mark: (mark["equity"], -mark["mark"]))["mark"],
        min(marks, key=lambda mark: (mark["drawdown"], mark["mark"]))["mark"],
    }  # fmt: skip
    assert wanted <= {point["mark"] for point in points}
    assert len(await _ask(reader, queries.equity_curve("bt-0", points=100_000))) == len(marks)


async def test_retention_names_what_ended_before_or_beyond_the_newest(reader: PostgresReader) -> None:
    """Open runs never; in pages, the newest first."""
    rows = await _ask(reader, queries.deletable(keep=0))
    assert {row["backtest_id"] for row in rows} == {"bt-0", "bt-1", "bt-2"}
    assert [row["finished_at"] for row in rows] == sorted((row["finished_at"] for row in rows), reverse=True)
    assert await _ask(reader, queries.deletable(keep=1)) == rows[1:]
    assert await _ask(reader, queries.deletable(keep=3)) == []
    assert await _ask(reader, queries.deletable(finished_before=rows[0]["finished_at"])) == rows[1:]
    after = After(rows[0]["finished_at"], (rows[0]["backtest_id"],))
    assert await _ask(reader, queries.deletable(keep=0, after=after)) == rows[1:]


async def test_commits_say_where_events_lie(reader: PostgresReader) -> None:
    rows = await _ask(reader, queries.commits("bt-0"))
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    chosen = await _ask(reader, queries.commits("bt-0", first_sequence=3, last_sequence=3))
    assert [(row["first_sequence"] <= 3 <= row["last_sequence"]) for row in chosen] == [True]


async def test_commands_letters_and_totals(reader: PostgresReader) -> None:
    [rejected] = await _ask(reader, queries.commands(outcome="rejected"))
    assert (rejected["backtest_id"], rejected["reason"], rejected["detail"]) == ("bt-9", "invalid_field", "cash")
    [accepted] = await _ask(reader, queries.commands(backtest_id="bt-0"))
    after = After(rejected["recorded_at"], (0, rejected["receipt_offset"]))
    assert await _ask(reader, queries.commands(after=after)) == [accepted]
    assert await _ask(reader, queries.receipt(partition=0, command_offset=1)) == [accepted]
    assert await _ask(reader, queries.receipt(partition=0, command_offset=7)) == []
    assert await _ask(reader, queries.receipt_counts()) == [
        {"outcome": "accepted", "count": 1},
        {"outcome": "rejected", "count": 1},
    ]
    [letter] = await _ask(reader, queries.dead_letters())
    assert (letter["reason"], letter["beginning"]) == ("not_json", b"{")
    assert await _ask(reader, queries.dead_letter(partition=0, letter_offset=letter["letter_offset"])) == [letter]
    assert await _ask(reader, queries.dead_letters(after=After(letter["recorded_at"], (0, letter["letter_offset"])))) == []
    for offset, is_projected in ((0, True), (10**9, False)):
        asked = queries.is_projected(topic=EVENTS.topic, partition=0, offset=offset)
        assert await _ask(reader, asked) == [{"is_projected": is_projected}]
    health = await _ask(reader, queries.health())
    assert {row["topic"] for row in health} == {each.topic for each in (EVENTS, RECEIPTS, LETTERS, ARCHIVE)}
    [snapshot] = await _ask(reader, queries.snapshots())
    assert snapshot["backtest_id"] == "bt-0"
    [reach] = await _ask(reader, queries.archived())
    assert (reach["ranges"], reach["records"], reach["bytes"], reach["raw_bytes"], reach["next_offset"]) == (2, 8, 20, 200, 10)
    of_log = {"topic": "events", "partition": 0, "log_id": "l"}
    ranges = await _ask(reader, queries.archived_ranges(**of_log))
    assert [row["first_offset"] for row in ranges] == [0, 5]
    assert await _ask(reader, queries.archived_ranges(**of_log, after=After(None, (0,)))) == ranges[1:]
    [total] = await _ask(reader, queries.totals())
    assert (total["backtests"], total["running"], total["failed"], total["dead_letters"], total["quarantined"]) == (4, 1, 1, 1, 0)
    assert {row["topic"] for row in await _ask(reader, queries.positions_of_sources())} == {
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
