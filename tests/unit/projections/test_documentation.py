"""Tests that the documents of the read side say what the code does."""

import re
from pathlib import Path

import pytest

from projections.computed_views import Computed
from projections.documentation import MARK, views_markdown
from projections.tables import LOG_ENDS, METADATA, POSITION_CHANGES, RUN_TABLES
from projections.views import VIEWS, View
from schemas.events import AnyEvent

DOCS = Path(__file__).parents[3] / "docs"


def test_the_reference_of_the_views_is_current() -> None:
    """Otherwise: write what `projections.documentation.views_markdown()` returns from the mark on."""
    text = (DOCS / "sql.md").read_text()
    assert text[text.index(MARK) :] == views_markdown()


def test_every_event_stands_in_the_document_once() -> None:
    """A new event is added there as well; one that is gone is taken out."""
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "events.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(event.__name__ for event in AnyEvent.__args__)


def test_every_table_that_the_document_of_events_names_exists() -> None:
    """Rows follow in real tables."""
    text = (DOCS / "events.md").read_text()
    named = set(re.findall(r"`([a-z_]+)`", text))
    assert {table.name for table in RUN_TABLES} <= named


def test_every_table_and_column_is_commented_and_has_a_view() -> None:
    """What people can query is documented."""
    assert all(table.comment and all(column.comment for column in table.columns) for table in METADATA.sorted_tables)
    shown = {view.table.name for view in VIEWS if isinstance(view, View)}
    elsewhere = {LOG_ENDS.name, POSITION_CHANGES.name}  # projection_health and position_history show those
    assert shown - {"trades", "position_history"} | elsewhere == {table.name for table in METADATA.sorted_tables}
    assert all(view.comment and all(view.columns.values()) for view in VIEWS)


# What tells a number's unit, or that it has none; and whose time a time is.
UNITS = re.compile(r"currency|price|units|fraction|ratio|percent|seconds|days|annualised|return|/|sqrt|its value")
CLOCKS = re.compile(r"market time|wall clock|as it says|\bbar\b")


@pytest.mark.parametrize("view", VIEWS, ids=[view.name for view in VIEWS])
def test_every_number_has_its_unit_and_every_time_its_clock(view: View | Computed) -> None:
    """In the comment that people read beside the column; a mean price in SQL is no use without its currency."""
    said = {"double precision": UNITS, "timestamptz": CLOCKS}
    columns = [(name, comment, said[view.type_of(name)]) for name, comment in view.columns.items() if view.type_of(name) in said]
    assert [(name, comment) for name, comment, wanted in columns if not wanted.search(comment)] == []
