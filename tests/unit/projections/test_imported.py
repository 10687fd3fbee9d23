"""What becomes of an imported result in SQL: one row that says what it is, and the numbers that the other system reports."""

import json
from typing import Any

import pytest

from adapters.memory_blobs import MemoryBlobStore
from projections.errors import FoldError
from projections.fold import RunTables, fold_run
from projections.tables import BACKTESTS, RUN_TABLES
from schemas.commit import Author, ChainError, Head
from schemas.events import BacktestImported
from schemas.ids import Digest
from snapshots.imports import write_batch
from tests.factories import Log, source_of
from tests.legacy_results import document_of, event_of


def log_of(event: BacktestImported, *, parent: str | None = None) -> Log:
    log = Log("old-7")
    log.head = Head.start(Digest(parent or event.manifest_digest))
    log.append(event, author=Author.OWNER)
    return log


def row_of(tables: RunTables) -> dict[str, Any]:
    (row,) = tables.rows("backtests")
    return dict(zip(BACKTESTS.columns.keys(), row, strict=True))


def event(**changes: Any) -> BacktestImported:
    batch = write_batch(MemoryBlobStore(), "import-1", [document_of(7, **changes)])
    return event_of(batch, batch.waiting[0])


def test_the_row_says_that_it_is_imported() -> None:
    """What is known of it stands where a run's is; there is no spec, no data set, and no row of trades."""
    made = event()
    tables = fold_run(log_of(made).bodies, [source_of(5)])
    row = row_of(tables)
    said = {name: row[name] for name in ("origin", "status", "strategy", "symbols", "submitter")}
    assert said == {
        "origin": "imported", "status": "completed", "strategy": "sma_cross", "symbols": ["AAPL", "MSFT"],
        "submitter": "archivist",
    }  # fmt: skip
    assert (row["import_digest"], row["submitted_digest"]) == (made.manifest_digest, made.content_digest)
    assert row["spec"] is row["dataset"] is row["started_at"] is row["bars"] is None
    assert row["finished_at"] == source_of(5).recorded_ns
    assert (row["trades"], row["final_equity"]) == (3, made.result["final_equity"])
    assert row["sharpe"] == made.result["metrics"]["sharpe"]
    assert row["total_return"] == row["final_equity"] / 100_000 - 1, "it follows from the curve"
    assert json.loads(row["imported"]) == made.result and "archivist" in row["words"]
    filled = {table.name for table in RUN_TABLES if tables.rows(table.name)}
    assert filled == {"backtests", "commits", "statistics"}
    numbers = {name: (number, text) for _, name, number, text in tables.rows("statistics")}
    assert numbers["period"] == (None, "daily") and numbers["exposure"] == (0.5, None) and numbers["sortino"] == (None, None)


def test_without_a_curve_there_is_no_return() -> None:
    """Undefined is null, whatever the other system reports."""
    tables = fold_run(log_of(event(equity=[], metrics={"total_return": 4.2})).bodies)
    row = row_of(tables)
    assert row["final_equity"] is row["equity"] is row["total_return"] is None


def test_a_log_that_does_not_begin_at_its_manifest_is_refused() -> None:
    """The chain's first parent is what the event says."""
    with pytest.raises(ChainError, match="names parent"):
        fold_run(log_of(event(), parent="0" * 64).bodies)


def test_a_result_without_what_the_row_needs_is_refused() -> None:
    """Not by a worker of ours."""
    made = event()
    del made.result["initial_cash"]
    with pytest.raises(FoldError, match="no usable 'initial_cash'"):
        fold_run(log_of(made).bodies)
