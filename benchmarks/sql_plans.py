"""This script writes docs/sql-plans.md: how PostgreSQL answers the questions of docs/sql.md over a model of the read model.

    python -m benchmarks.sql_plans [--backtests 100000]

The model is made in the database, on a server of its own, from a seed: so many backtests with ten trades each, over a year. It
ends with exit code 1 when a plan scans a table of more than BIG_ROWS rows from its beginning to its end, or when no plan uses one
of the indexes of ``backtests``: each of them costs the projector 5 to 15 microseconds a run (docs/performance.md).
"""

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from sqlalchemy import ARRAY, BigInteger, Boolean, DateTime, Double, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from backtape.stack import LocalStack
from migrations import upgrade_async
from projections import queries
from projections.queries import After, BacktestFilter, Query
from projections.tables import (
    BACKTESTS,
    COMMANDS,
    COMMITS,
    EQUITY,
    FILLS,
    LOG_ENDS,
    MONTHLY_RETURNS,
    ORDERS,
    POSITION_CHANGES,
    POSITIONS,
    PROJECTION_STATE,
    SCHEMA,
    SNAPSHOTS,
    STATISTICS,
    SYMBOL_STATISTICS,
)
from tests.questions import Question, questions

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "sql-plans.md"
JARS = Path(__file__).resolve().parents[1] / ".backtape" / "jars"
BIG_ROWS = 10_000
EXPLAIN = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF, SUMMARY ON) "

ID = "CASE n WHEN 1 THEN 'first' WHEN 2 THEN 'second' WHEN 3 THEN 'held' ELSE 'bt-' || lpad(n::text, 8, '0') END"
SYMBOL = "CASE n % 500 WHEN 0 THEN 'AAPL' ELSE 'SYM' || n % 500 END"
STRATEGY = "CASE n % 40 WHEN 0 THEN 'sma_cross' ELSE 'strategy_' || n % 40 END"
SUBMITTER = "CASE n % 200 WHEN 0 THEN 'research' ELSE 'desk-' || n % 200 END"
STATUS = "CASE WHEN n <= 3 THEN 'completed' WHEN n % 40 = 7 THEN 'failed' WHEN n % 2000 = 9 THEN 'running' ELSE 'completed' END"
ACCEPTED = "now() - interval '1 year' * (n::float8 / :backtests)"
BAR = "timestamptz '2020-01-02' + interval '1 day' * k"

# What a column holds where nothing else is said.
DEFAULTS = {
    Text: "'x'",
    BigInteger: "k",
    Integer: "(n % 12)::int",
    Double: "random() * 100",
    Boolean: "false",
    DateTime: BAR,
    ARRAY: "'{}'",
    JSONB: "'{}'",
}

# Table, rows of each backtest, and what its columns hold.
MODEL: tuple[tuple[Table, str, dict[str, str]], ...] = (
    (
        BACKTESTS,
        "1",
        {
            "submitter": SUBMITTER, "strategy": STRATEGY, "symbols": f"ARRAY[{SYMBOL}]", "status": STATUS,
            "accepted_at": ACCEPTED, "started_at": ACCEPTED,
            "finished_at": f"CASE WHEN {STATUS} <> 'running' THEN {ACCEPTED} + interval '1 minute' END",
            "tags": "ARRAY['sweep-' || n % 2000]", "sharpe": f"CASE WHEN {STATUS} = 'completed' THEN random() * 4 - 1 END",
            "total_return": f"CASE WHEN {STATUS} = 'completed' THEN random() - 0.3 END", "origin": "'run'",
            "max_drawdown": f"CASE WHEN {STATUS} = 'completed' THEN -random() END", "initial_cash": "100000",
            "words": f"lower(replace({ID}, '-', ' ')) || ' ' || replace({STRATEGY}, '_', ' ') || ' ' || lower({SYMBOL})",
            "spec": "jsonb_build_object('strategy', jsonb_build_object('parameters', jsonb_build_object('fast', n % 50)))",
            "failure_reason": f"CASE WHEN {STATUS} = 'failed' THEN 'strategy_raised' END", "bars": "2500", "bars_done": "2500",
        },
    ),
    (FILLS, "10", {"symbol": SYMBOL, "order_id": "k", "sequence": "3 * k"}),
    (ORDERS, "10", {"symbol": SYMBOL, "status": "CASE WHEN random() < 0.002 THEN 'rejected' ELSE 'filled' END",
                    "reason": "'insufficient_cash'"}),
    (POSITIONS, "10", {"symbol": SYMBOL, "side": "'long'", "is_open": "n = 3 AND k > 8", "opened_at": BAR,
                       "realized_pnl": "random() * 200 - 100",
                       "closed_at": f"{BAR} + interval '1 day' * CASE WHEN random() < 0.002 THEN 20 ELSE random() * 5 END"}),
    (POSITION_CHANGES, "5", {"symbol": SYMBOL, "position_id": "2 * k", "sequence": "3 * k"}),
    (EQUITY, "CASE WHEN n <= 300 THEN 2500 ELSE 0 END", {"drawdown": "least(0, sin(k / 40.0))"}),
    (STATISTICS, "10", {"name": "CASE k WHEN 1 THEN 'omega' ELSE 'statistic_' || k END"}),
    (SYMBOL_STATISTICS, "1", {"symbol": SYMBOL}),
    (MONTHLY_RETURNS, "12", {"month": "to_char(timestamptz '2020-01-01' + interval '1 month' * k, 'YYYY-MM')",
                             "return_fraction": "random() / 10 - 0.04"}),
    (COMMITS, "5", {"number": "k", "first_sequence": "12 * (k - 1) + 1", "last_sequence": "12 * k"}),
    (COMMANDS, "1", {"partition": "(n % 12)::int", "receipt_offset": "n", "recorded_at": ACCEPTED, "submitter": SUBMITTER,
                     "outcome": "'accepted'", "backtest_id": ID, "issued_at": ACCEPTED}),
    (SNAPSHOTS, "1", {}),
    (PROJECTION_STATE, "CASE WHEN n <= 12 THEN 1 ELSE 0 END", {"topic": "'backtape.events'", "partition": "n::int"}),
    (LOG_ENDS, "CASE WHEN n <= 12 THEN 1 ELSE 0 END", {"topic": "'backtape.events'", "partition": "n::int"}),
)  # fmt: skip

# What the HTTP API asks besides: pages of the list.
PAGES = (
    (
        "the list, the newest first, page by page",
        queries.backtest_page(after=After(datetime.now(UTC) - timedelta(days=180), ("bt-1",))),
    ),
    ("the list by Sharpe ratio", queries.backtest_page(sort="sharpe")),
    ("the list by return", queries.backtest_page(sort="total_return")),
    ("the list by drawdown, the deepest last", queries.backtest_page(sort="max_drawdown")),
    ("the list by growth per year", queries.backtest_page(sort="cagr")),
    ("the list by final equity", queries.backtest_page(sort="final_equity")),
    ("the list of one strategy", queries.backtest_page(BacktestFilter(strategy="sma_cross"))),
    ("the list of one submitter", queries.backtest_page(BacktestFilter(submitter="research"))),
    ("the list of one symbol, failed only", queries.backtest_page(BacktestFilter(symbol="AAPL", statuses=("failed",)))),
    ("the list by words", queries.backtest_page(BacktestFilter(text="sma aap"))),
    ("a page of a run's trades by profit", queries.trades("first", sort="realized_pnl")),
    ("a curve of 500 points", queries.equity_curve("first", points=500)),
    ("what retention would delete", queries.deletable(keep=90_000)),
)


def fill_sql(table: Table, rows: str, values: dict[str, str], backtests: int) -> str:
    """Return the statement that fills a table of the model: ``n`` counts backtests, ``k`` one backtest's rows."""
    known = {"backtest_id": ID, **values}
    columns = [column for column in table.columns if column.name in known or not column.nullable or column.name == "mark"]
    chosen = [known.get(column.name, DEFAULTS[type(column.type)]) for column in columns]
    names = ", ".join(f'"{column.name}"' for column in columns)
    made = (
        f"INSERT INTO {SCHEMA}.{table.name} ({names}) SELECT {', '.join(chosen)}"
        f" FROM generate_series(1, {backtests}) AS n, generate_series(1, {rows}) AS k"
    )
    return made.replace(":backtests", str(backtests))


async def make_model(connection: asyncpg.Connection, backtests: int) -> None:
    await connection.execute("SET synchronous_commit = off")
    await connection.execute("SELECT setseed(0.5)")
    for table, rows, values in MODEL:
        print(f"filling {table.name}", file=sys.stderr)
        await connection.execute(fill_sql(table, rows, values, backtests))
    await connection.execute("VACUUM ANALYZE")


async def plan_of(connection: asyncpg.Connection, query: Query) -> str:
    """Return the plan of a query that has run once before: from memory, as questions are that people ask."""
    await connection.fetch(query.sql, *query.arguments)
    return "\n".join(row[0] for row in await connection.fetch(EXPLAIN + query.sql, *query.arguments))


def write(backtests: int) -> int:
    """Make the model, write the document, and return the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="backtape-plans-"))
    folder.chmod(0o755)  # Postgres may run as somebody else
    stack = LocalStack(folder, jars=JARS)
    try:
        stack.postgres.start()
        text, scans = asyncio.run(_made(stack.postgres.url, backtests))
    finally:
        stack.remove()
        shutil.rmtree(folder, ignore_errors=True)
    DOCUMENT.write_text(text, "utf-8")
    for scan in scans:
        print(scan, file=sys.stderr)
    return 1 if scans else 0


async def _made(url: str, backtests: int) -> tuple[str, list[str]]:
    await upgrade_async(url)
    connection = await asyncpg.connect(url, command_timeout=600)
    await make_model(connection, backtests)
    made = await _document(connection, backtests)
    await connection.close()
    return made


async def _document(connection: asyncpg.Connection, backtests: int) -> tuple[str, list[str]]:
    sizes = {
        row["name"]: row["rows"]
        for row in await connection.fetch(
            "SELECT relname::text AS name, reltuples::bigint AS rows FROM pg_class WHERE relnamespace = $1::regnamespace"
            " AND relkind = 'r' AND reltuples > 0 ORDER BY relname",
            SCHEMA,
        )
    }
    version = await connection.fetchval("SHOW server_version")
    lines = [
        "# How PostgreSQL answers the questions\n",
        "Written by `python -m benchmarks.sql_plans`, which fails when one of these plans reads a table of more than"
        f" {BIG_ROWS:,} rows from its beginning to its end. A model of {backtests:,} backtests in PostgreSQL {version}, made from"
        " a seed; each question was asked once before its plan was taken. Times are of the busy machine that wrote this page.\n",
        "| table | rows |\n|---|---:|",
        *(f"| {name} | {rows:,} |" for name, rows in sizes.items()),
    ]
    asked = [*((each, Query(each.sql)) for each in questions()), *((Question(text, query.sql), query) for text, query in PAGES)]
    scans: list[str] = []
    unused = {str(index.name) for index in BACKTESTS.indexes}
    for number, (question, query) in enumerate(asked, start=1):
        if number == len(questions()) + 1:
            lines.append("\n# What the HTTP API asks besides")
        plan = await plan_of(connection, query)
        found = [name for name in re.findall(r"Seq Scan on (\w+)", plan) if sizes.get(name, 0) > BIG_ROWS]
        unused -= set(re.findall(r"backtests_by_\w+", plan))
        scans += [f"{question.text}: reads all of {name}" for name in found]
        lines.append(f"\n## {number}. {question.text[:1].upper()}{question.text[1:]}\n\n```\n{plan}\n```")
    return "\n".join(lines) + "\n", [*scans, *(f"no question uses the index {name}" for name in sorted(unused))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backtests", type=int, default=100_000)
    sys.exit(write(parser.parse_args().backtests))
