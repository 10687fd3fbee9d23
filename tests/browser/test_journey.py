"""The way of an analyst through the dashboard, on the real system: nothing is played, nothing reloads the page."""

from __future__ import annotations

import re

import pytest

from tests.browser.conftest import Visit
from tests.web_service import MINUTES, Service

playwright = pytest.importorskip("playwright.sync_api", reason="the tests of the dashboard need Playwright")
from playwright.sync_api import Page, expect  # noqa: E402


def submit(page: Page, name: str, *, dataset: str, strategy: str, parameters: dict[str, str]) -> None:
    """Fill in the form and send it."""
    page.get_by_role("link", name="New backtest").first.click()
    page.get_by_role("combobox", name="Data set", exact=True).select_option(dataset)
    page.get_by_role("combobox", name="Strategy", exact=True).select_option(strategy)
    for label, value in parameters.items():
        page.get_by_role("textbox", name=label, exact=True).fill(value)
    page.get_by_role("textbox", name="Name", exact=True).fill(name)
    page.get_by_role("button", name="Run the backtest").click()
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()


def status(page: Page, word: str) -> None:
    """Wait until the backtest's page says so."""
    expect(page.locator(".page-head .status")).to_have_text(word)


def test_from_an_empty_system_to_a_proven_result(visit: Visit) -> None:
    """Form, run, result, positions, comparison, a cancelled run, and the proof."""
    page = visit("ada")
    expect(page.get_by_role("heading", name="No backtest yet")).to_be_visible()
    page.get_by_role("link", name="Run the first one").click()

    # What is wrong is said beside its field, and can't be sent.
    page.get_by_role("combobox", name="Data set", exact=True).select_option("stocks-daily")
    page.get_by_role("combobox", name="Strategy", exact=True).select_option("sma_cross")
    page.get_by_role("textbox", name="Fast", exact=True).fill("0")
    expect(page.get_by_text("0 is less than the minimum of 1").first).to_be_visible()
    expect(page.get_by_role("button", name="Run the backtest")).to_be_disabled()
    page.get_by_role("textbox", name="Fast", exact=True).fill("20")
    page.get_by_role("textbox", name="Name", exact=True).fill("first")
    page.get_by_role("button", name="Command line").click()
    expect(page.get_by_label("What is copied")).to_contain_text("backtape submit spec.json --id first")
    page.get_by_role("button", name="Run the backtest").click()

    status(page, "completed")
    expect(page.get_by_role("img", name=re.compile("Equity of .* marks"))).to_be_visible()
    expect(page.get_by_text("Sharpe ratio")).to_be_visible()

    page.get_by_role("tab", name="Positions").click()
    expect(page.get_by_role("row").filter(has_text="AAPL").first).to_be_visible()
    expect(page.get_by_text("Expectancy").first).to_be_visible()
    table = page.get_by_role("region", name=re.compile(r"Positions, \d+ rows"))
    held = table.get_by_role("row").filter(has_text="AAPL")
    page.get_by_role("button", name="Open", exact=True).click()
    expect(held.filter(has_not_text="open")).to_have_count(0)
    page.get_by_role("button", name="Closed", exact=True).click()
    expect(held.first).to_be_visible()
    expect(held.filter(has_text="open")).to_have_count(0)
    page.get_by_role("button", name="MAE").click()
    expect(page.get_by_role("columnheader", name="MAE")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("tab", name="Market").click()
    expect(page.get_by_role("img", name=re.compile("bars of AAPL with .* fills"))).to_be_visible()
    page.get_by_role("tab", name="Log").click()
    page.get_by_role("slider", name="Event").fill("1")
    expect(page.get_by_text("Nothing was held.")).to_be_visible()

    page.get_by_role("link", name="Run a variant").click()
    page.get_by_role("textbox", name="Slow", exact=True).fill("50")
    page.get_by_role("textbox", name="Name", exact=True).fill("second")
    page.get_by_role("button", name="Run the backtest").click()
    status(page, "completed")

    page.get_by_role("link", name="Backtests").click()
    page.get_by_role("checkbox", name="Select first").check()
    page.get_by_role("checkbox", name="Select second").check()
    page.get_by_role("link", name="Compare", exact=True).last.click()
    expect(page.get_by_role("row", name=re.compile("strategy.parameters.slow"))).to_contain_text("50")

    submit(page, "third", dataset="minutes", strategy="unhurried", parameters={"Milliseconds": "3"})
    expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_label("Reason").fill("seen enough")
    page.get_by_role("button", name="Cancel the backtest").click()
    status(page, "cancelled")
    expect(page.get_by_text("seen enough")).to_be_visible()

    page.goto(re.sub("#.*", "#/backtests/first?tab=provenance", page.url))
    expect(page.get_by_text("manifest.json")).to_be_visible()
    page.get_by_role("button", name="Audit", exact=True).first.click()
    expect(page.get_by_text(re.compile("Proven at")).first).to_be_visible()


def test_progress_goes_on_when_the_worker_was_killed(visit: Visit, service: Service) -> None:
    """The page follows a run live, and recovers with it: nobody reloads anything."""
    page = visit("ben")
    submit(page, "survivor", dataset="minutes", strategy="unhurried", parameters={"Milliseconds": "0.1"})
    status(page, "running")
    expect(page.get_by_text(re.compile(f"[1-9][0-9,]* of {MINUTES:,} bars"))).to_be_visible()
    service.processes["worker"].kill()
    service.processes["worker"].start()
    status(page, "completed")
    page.get_by_role("tab", name="Trades").click()
    expect(page.get_by_role("row").filter(has_text="SIM").first).to_be_visible()


def test_stale_numbers_are_said(visit: Visit, service: Service) -> None:
    """While the projector stands still the page says so, and no longer when it has caught up."""
    page = visit("cleo")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    service.processes["projector"].stop()
    try:
        page.get_by_role("link", name="New backtest").first.click()
        page.get_by_role("textbox", name="Name", exact=True).fill("unseen")
        page.get_by_role("button", name="Run the backtest").click()
        expect(page.get_by_role("heading", name="These numbers are not up to date")).to_be_visible()
    finally:
        service.processes["projector"].start()
    status(page, "completed")
    expect(page.get_by_role("heading", name="These numbers are not up to date")).to_be_hidden()


def test_everybody_sees_their_own(visit: Visit) -> None:
    """Two people at once; a run of the one is not there for the other, not even by its address."""
    dora, emil = visit("dora"), visit("emil")
    submit(dora, "doras", dataset="stocks-daily", strategy="buy_and_hold", parameters={})
    status(dora, "completed")
    submit(emil, "emils", dataset="stocks-daily", strategy="buy_and_hold", parameters={})
    status(emil, "completed")
    for page, own in ((dora, "doras"), (emil, "emils")):
        page.get_by_role("link", name="Backtests").click()
        expect(page.get_by_role("table").get_by_role("link")).to_have_text([own])
    emil.goto(re.sub("#.*", "#/backtests/doras", emil.url))
    expect(emil.get_by_role("heading", name="There is no such backtest")).to_be_visible()
