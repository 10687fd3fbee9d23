"""The report holds the run's numbers, loads nothing, and survives what a run's texts may hold."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from projections.fold import fold_run
from reports.page import report_from_tables
from reports.statistics_table import groups_of
from reports.theme import COLOURS
from reports.view import view_of
from schemas.events import BacktestFailed, FailureReason
from tests.factories import Log, spec
from tests.unit.reports.runs import completed_run, daily_bars


class Page(HTMLParser):
    """What a test asks of a page: its text, its references, its ids, its data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def html() -> str:
    return report_from_tables(completed_run(), (daily_bars(),))


def test_the_page_holds_the_numbers_of_the_run(html):
    page = Page(html)
    numbers = ("101,234.50", "1.23%", "1.25", "−3.21%", "100.25", "−50.00", "3.5")
    for shown in (*numbers, "sma_cross on AAPL", "bt-1", "d" * 64, "A new one"):
        assert shown in page.text, shown
    assert page.tags.count("svg") == 5


def test_undefined_statistics_are_dashes(html):
    lines = {line.name: line.value for group in groups_of(view_of(completed_run())) for line in group.lines}
    assert lines["cagr"] == "–"
    assert lines["total_return"] == "1.23%"
    assert lines["max_drawdown_trough_ns"] == "2020-01-04"


def test_nothing_in_the_page_is_loaded_from_anywhere(html):
    """Every reference points into the page itself, to an id that is there; there is no URL in styles and scripts."""
    page = Page(html)
    assert page.references
    for reference in page.references:
        assert reference.startswith("#"), reference
        assert reference[1:] in page.ids, reference
    assert not {"link", "img", "iframe", "object", "embed", "base", "image"} & set(page.tags)
    urls = set(re.findall(r"https?://[^\s\"'<)]+", html))
    assert urls == {"http://www.w3.org/2000/svg"}  # the name of SVG for the script's line, which nothing fetches
    assert "@import" not in html and all(found.startswith("url(#") for found in re.findall(r"url\([^)]*\)", html))
    assert "default-src 'none'" in html


def test_ids_are_unique(html):
    ids = Page(html).ids
    assert len(ids) == len(set(ids))


def test_colours_follow_the_theme(html):
    figures = " ".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert "var(--accent)" in figures
    for light, _ in COLOURS.values():
        assert light not in figures
    assert "prefers-color-scheme:dark" in html


def test_figures_are_well_formed_and_described(html):
    for figure in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        root = ElementTree.fromstring(figure)
        assert root.get("role") == "img"
        assert (root.find("title").text or "") and len(root.find("desc").text or "") > 20


def test_values_under_the_pointer_are_in_the_page(html):
    found = re.search(r'<script type="application/json" id="readouts" data-days="1">(.*?)</script>', html, flags=re.DOTALL)
    readouts = json.loads(found[1])
    equity = readouts["equity"][0]
    assert equity["series"][0]["values"][1] == 100_010.0
    assert equity["x"] == sorted(equity["x"])
    assert equity["left"] < equity["x"][0] < equity["x"][-1] < equity["right"]
    assert len(readouts["trades"][0]["series"]) == 4


def test_the_same_run_gives_the_same_page(html):
    assert report_from_tables(completed_run(), (daily_bars(),)) == html


def test_texts_of_the_run_cannot_become_markup():
    recorded = spec(strategy={"name": "<script>alert(1)</script>", "parameters": {"x": "</script><b>"}})
    tables = fold_run(Log("bt-1", recorded=recorded).accept().bodies)
    html = report_from_tables(tables)
    assert "<script>alert" not in html and "</script><b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_a_failed_run_says_why():
    log = Log().accept().start()
    log.append(BacktestFailed(sequence=3, time_ns=0, reason=FailureReason.STRATEGY_RAISED, detail="KeyError at mine.py:3 <x>"))
    page = Page(report_from_tables(fold_run(log.bodies)))
    assert "This run failed (strategy_raised): KeyError at mine.py:3 <x>" in page.text
    assert "No trade was closed." in page.text


def test_a_page_is_small_however_many_marks_and_trades_there_are():
    """Thinned to the picture: what is drawn does not grow with the run."""
    html = report_from_tables(completed_run(3_000, marks=6_000), (daily_bars(6_000),))
    assert len(html) < 1_000_000
    assert "Marks that would hide each other are drawn once." in Page(html).text


def test_tables_from_files_are_enough():
    """What is read from Parquet is a mapping of tables; what is missing counts as empty."""
    tables = completed_run()
    given = {name: tables.table(name) for name in ("backtests", "equity")}
    page = Page(report_from_tables(given))
    assert "There are no prices and no fills." in page.text


def test_other_than_one_run_is_refused():
    with pytest.raises(ValueError, match="backtests has 0 rows"):
        report_from_tables({})
