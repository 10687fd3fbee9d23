"""Tests of the comparison of SQL rows with the log: it finds each kind of difference and says where."""

from typing import Any

import pytest

from projections.compare import differences
from projections.fold import fold_run
from projections.tables import RUN_TABLES, key_of
from tests.factories import finished_log

LOG = finished_log(seed=11, steps=40)


def _read() -> dict[str, list[list[Any]]]:
    """Return the rows as SQL has them after a quiet run."""
    tables = fold_run(LOG.bodies, LOG.sources)
    return {table.name: [list(row.values()) for row in tables.table(table.name, "sql").to_pylist()] for table in RUN_TABLES}


def test_equal_rows_have_no_difference() -> None:
    assert differences(LOG.bodies, LOG.sources, _read()) is None


def test_the_order_of_rows_does_not_matter() -> None:
    read = {name: rows[::-1] for name, rows in _read().items()}
    assert differences(LOG.bodies, LOG.sources, read) is None


def test_a_changed_value_is_named_with_both_values() -> None:
    read = _read()
    price = list(_columns("fills")).index("price")
    was = read["fills"][2][price]
    read["fills"][2][price] = was + 1e-9
    found = differences(LOG.bodies, LOG.sources, read)
    assert str(found) == f"fills, row backtest_id bt-1, fill_id 3, column price: SQL has {was + 1e-9!r}, the log says {was!r}"


@pytest.mark.parametrize("table", [table.name for table in RUN_TABLES])
def test_a_missing_row_and_an_extra_one_are_named(table: str) -> None:
    read = _read()
    gone = read[table].pop()
    missing = differences(LOG.bodies, LOG.sources, read)
    assert str(missing).startswith(f"{table}, row backtest_id bt-1")
    assert str(missing).endswith("the log has it, SQL does not")
    extra = [*gone]
    extra[0] = "bt-2"
    read[table] += [gone, extra]
    assert str(differences(LOG.bodies, LOG.sources, read)).endswith("SQL has it, the log does not")


@pytest.mark.parametrize("table", [table.name for table in RUN_TABLES])
def test_every_column_is_compared(table: str) -> None:
    """A null in any column of the first row is found, unless it was null before; a changed key is a missing row."""
    keys = key_of(next(each for each in RUN_TABLES if each.name == table))
    for place, name in enumerate(_columns(table)):
        read = _read()
        if name not in keys and read[table][0][place] is not None:
            read[table][0][place] = None
            found = differences(LOG.bodies, LOG.sources, read)
            assert found is not None, name
            assert found.column == name


def _columns(table: str) -> list[str]:
    return next(each for each in RUN_TABLES if each.name == table).columns.keys()
