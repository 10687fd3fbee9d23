"""This module gives the tests a browser, and people who use it. Without Debian's Chromium or Playwright they skip and say so."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.web_service import Service

sync_api = pytest.importorskip("playwright.sync_api", reason="the tests of the dashboard need Playwright")
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright  # noqa: E402

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 90_000  # of each wait, on a busy machine
EXPECTED = "the server responded with a status of"  # Chromium's own line about a refused request: the page tells it itself


# Of this package, not of the session: while it is there, its thread's event loop runs, and no other test could have one.
@pytest.fixture(scope="package")
def browser(service: Service) -> Iterator[Browser]:
    """Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine (apt-get install chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@dataclass  # without slots: Playwright keeps its wrappers of bound methods on their object
class Watch:
    """What must not happen on any page: errors, and requests to other hosts."""

    address: str
    wrong: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _heard(self, message: ConsoleMessage) -> None:
        # The policy's violations are told on the console, too.
        if message.type in ("error", "warning") and EXPECTED not in message.text:
            self.wrong.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(self.address):
            self.wrong.append(f"request to another host: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.wrong.append(f"{response.status} of {response.url}")


Visit = Callable[..., Page]


@pytest.fixture
def visit(service: Service, browser: Browser) -> Iterator[Visit]:
    """Return a function that logs somebody in with a browser of their own, and returns their page."""
    watch = Watch(service.address)
    contexts = []

    def log_in(name: str, *scopes: str, colours: str = "light", width: int = 1440) -> Page:
        context = browser.new_context(color_scheme=colours, viewport={"width": width, "height": 900})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        watch.follow(page)
        page.goto(service.login_link(name, *(scopes or ("submit", "cancel"))))
        return page

    sync_api.expect.set_options(timeout=PATIENCE_MS)
    yield log_in
    for context in contexts:
        context.close()
    assert watch.wrong == [], service.logs()
