"""The dashboard can be read, and used, by everybody: contrast and names by axe, keys instead of a mouse, a phone's width."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.conftest import Visit
from tests.browser.test_journey import status, submit
from tests.web_service import Service

playwright = pytest.importorskip("playwright.sync_api", reason="the tests of the dashboard need Playwright")
axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the tests of the dashboard need axe")
from playwright.sync_api import Page, expect  # noqa: E402

WANTED = {"resultTypes": ["violations"]}  # what is in order is not written out: half of the time
RULES = {
    "light": {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], **WANTED},
    "dark": {"runOnly": {"type": "rule", "values": ["color-contrast"]}, **WANTED},  # only colours are others there
}
PAGES = {
    "backtests": ("#/", "table"),
    "new": ("#/new", "button.primary:enabled"),
    "compare": ("#/compare?ids=seen", "table"),
    "overview": ("#/backtests/seen", ".heat"),
    "market": ("#/backtests/seen?tab=market", ".chart canvas"),
    "positions": ("#/backtests/seen?tab=positions", "tbody tr"),
    "trades": ("#/backtests/seen?tab=trades", "circle"),
    "orders": ("#/backtests/seen?tab=orders", "tbody tr"),
    "log": ("#/backtests/seen?tab=log", "tbody tr"),
    "provenance": ("#/backtests/seen?tab=provenance", "dl.facts"),
    "system": ("#/system", "tbody tr"),
    "commands": ("#/system?tab=commands", "tbody tr"),
    "set aside": ("#/system?tab=letters", ".empty"),
    "data": ("#/system?tab=data", "tbody tr"),
    "nowhere": ("#/nowhere", ".empty"),
}


@pytest.fixture
def page(visit: Visit) -> Iterator[Page]:
    """A page of somebody who may do everything, with one finished run."""
    page = visit("root", "admin")
    submit(page, "seen", dataset="stocks-daily", strategy="sma_cross", parameters={"Fast": "10", "Slow": "30"})
    status(page, "completed")
    yield page


def test_no_page_breaks_the_rules_of_access(page: Page, service: Service) -> None:
    """axe finds nothing on any page, light and dark."""
    axe = axe_module.Axe()
    found = []
    for name, (place, ready) in PAGES.items():
        page.goto(f"{service.address}/{place}")
        for colours, rules in RULES.items():
            page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
            page.locator(f"main {ready}").first.wait_for()
            for violation in axe.run(page, options=rules).response["violations"]:
                nodes = [node["html"][:160] for node in violation["nodes"][:3]]
                found.append(f"{name}, {colours}: {violation['id']}: {violation['help']}: {nodes}")
    assert found == []


def test_keys_do_what_the_mouse_does(page: Page, service: Service) -> None:
    """Skip to the content, sort, open a row, move among tabs."""
    page.goto(f"{service.address}/#/")
    page.reload()  # so that nothing has the focus
    page.locator("main table").wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.get_by_role("button", name="Sharpe").press("Enter")
    expect(page.get_by_role("columnheader", name="Sharpe")).to_have_attribute("aria-sort", "descending")
    page.locator("tbody tr[tabindex='0']").first.press("Enter")
    expect(page.get_by_role("heading", name="seen", level=1)).to_be_visible()
    page.get_by_role("tab", name="Overview").press("ArrowRight")
    expect(page.get_by_role("tab", name="Market")).to_be_focused()
    expect(page.get_by_role("img", name="bars of AAPL")).to_be_visible()


def test_nothing_is_wider_than_a_phone(page: Page, service: Service) -> None:
    """Wide tables scroll inside their frames; the page itself does not. What is asked for first is seen without scrolling."""
    page.set_viewport_size({"width": 390, "height": 844})
    for place, ready in PAGES.values():
        page.goto(f"{service.address}/{place}")
        page.locator(f"main {ready}").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, place
    for place, seen in (
        ("#/", page.get_by_role("columnheader", name="Return")),
        ("#/backtests/seen?tab=provenance", page.get_by_role("tab", name="Provenance")),
    ):
        page.goto(f"{service.address}/{place}")
        seen.wait_for()
        box = seen.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390, place
