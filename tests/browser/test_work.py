"""What people do with the dashboard beside one run: bring in data, mend a message, cancel many, keep templates, look closely."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.browser.test_journey import status, submit
from tests.legacy_results import legacy
from tests.web_service import MILLION, SPEC, Service

playwright = pytest.importorskip("playwright.sync_api", reason="the tests of the dashboard need Playwright")
from playwright.sync_api import Page, Response, expect  # noqa: E402

BARS = "timestamp,open,high,low,close,volume\n" + "".join(f"2024-01-0{day}T00:00:00Z,10,12,9,11,100\n" for day in range(1, 6))


def copied(page: Page) -> dict[str, Any]:
    """Return the spec that the form would send."""
    spec: dict[str, Any] = json.loads(page.get_by_label("What is copied").inner_text())
    return spec


def test_bars_are_brought_in_and_run_on(visit: Visit) -> None:
    """A file with a wrong bar is refused by its row; the mended one is a data set that the form offers."""
    page = visit("fay")
    page.get_by_role("link", name="System").click()
    page.get_by_role("button", name="Upload bars").click()
    dialog = page.get_by_role("dialog")
    wrong = BARS.replace("2024-01-03T00:00:00Z,10,12", "2024-01-03T00:00:00Z,10,8")
    for text, then in ((wrong, dialog.get_by_text("row 3")), (BARS, page.get_by_text("fays has a version 1 now"))):
        dialog.get_by_label("File").set_input_files({"name": "FAY.1d.csv", "mimeType": "text/csv", "buffer": text.encode()})
        dialog.get_by_label("Data set").fill("fays")
        expect(dialog.get_by_label("Symbol")).to_have_value("FAY")
        dialog.get_by_role("button", name="Upload", exact=True).click()
        expect(then.first).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="fays")).to_contain_text("FAY")
    submit(page, "fays-run", dataset="fays", strategy="buy_and_hold", parameters={})
    status(page, "completed")


def test_a_message_that_nobody_could_read_is_mended(visit: Visit, service: Service) -> None:
    """It is shown, corrected and sent again, and becomes a run."""
    command = {
        "type": "SubmitBacktest", "command_id": "mended-1", "backtest_id": "mended", "issued_at": "2026-11-27T00:00:00Z",
        "submitter": "gus", "spec": SPEC,
    }  # fmt: skip
    service.publish(b"mended", json.dumps(command)[:-1].encode())
    page = visit("gus", "admin")
    page.get_by_role("link", name="System").click()
    expect(page.get_by_role("tab", name=re.compile(r"Set aside\s*[1-9]"))).to_be_visible()
    page.get_by_role("tab", name=re.compile("Set aside")).click()
    page.get_by_role("button", name=re.compile("Look at dead letter")).first.click()
    message = page.get_by_label("The message; correct it here if you like")
    expect(message).to_have_value(re.compile("mended-1"))
    message.fill(json.dumps(command | {"issued_at": page.evaluate("new Date().toISOString()")}))
    page.get_by_role("button", name="Send the corrected message").click()
    expect(page.get_by_text("Sent as a command again")).to_be_visible()
    service.wait("mended", "completed")
    page.get_by_role("link", name="Backtests").click()
    expect(page.get_by_role("link", name="mended", exact=True)).to_be_visible()


def test_many_are_cancelled_at_once(visit: Visit, service: Service) -> None:
    """All that is chosen and not yet over; the list follows by itself."""
    page = visit("hal")
    for name in ("hal-1", "hal-2"):
        submit(page, name, dataset="minutes", strategy="unhurried", parameters={"Milliseconds": "20"})
    page.get_by_role("link", name="Backtests").click()
    expect(page.get_by_role("link", name="hal-2", exact=True)).to_be_visible()
    page.get_by_role("checkbox", name="Select all rows that are loaded").check()
    page.get_by_role("button", name="Cancel 2 unfinished").click()
    page.get_by_label("Reason").fill("enough of them")
    page.get_by_role("button", name="Cancel them").click()
    expect(page.locator("tbody .status.cancelled")).to_have_count(2)


def test_a_template_begins_the_next_spec(visit: Visit) -> None:
    """It is kept in the browser by its name, holds what was filled in, and can be deleted."""
    page = visit("ida")
    page.get_by_role("link", name="New backtest").first.click()
    page.get_by_role("combobox", name="Strategy", exact=True).select_option("sma_cross")
    page.get_by_role("textbox", name="Fast", exact=True).fill("7")
    page.get_by_role("textbox", name="Starting cash", exact=True).fill("2500")
    kept = copied(page)
    page.get_by_label("Name of the template").fill("sevens")
    page.get_by_role("button", name="Keep as template").click()
    page.reload()
    expect(page.get_by_role("textbox", name="Fast", exact=True)).to_have_value("")
    page.get_by_label("Begin from a template").select_option("sevens")
    expect(page.get_by_role("textbox", name="Fast", exact=True)).to_have_value("7")
    assert copied(page) == kept and kept["account"] == {"cash": 2500}
    page.get_by_role("button", name="Delete the template").click()
    expect(page.get_by_label("Begin from a template")).to_be_hidden()


def test_a_variant_keeps_every_field_of_a_spec(visit: Visit, service: Service) -> None:
    """Fields with a value of their own are all there again, and the form shows them; defaults are not written out."""
    spec = {
        "data": {"dataset": "minutes", "symbols": ["SIM"], "timeframe": "1m", "warmup": 20, "frames": ["4h", "1d"],
                 "resample": {"type": "time", "timeframe": "1h"}},
        "strategy": {"name": "sma_cross", "parameters": {"fast": 5}},  # its other parameters stay at their defaults
        "account": {"positions": "hedging", "liquidation": "largest_loss_first", "maintenance_margin": 0.5,
                    "borrow_day_count": 360},
        "execution": {"preset": "lean", "limit_touch": "inclusive", "trail": "after_close",
                      "slippage": {"type": "quotes", "scope": "all"}, "detail_timeframe": "5m",
                      "commission": {"type": "tiered", "tiers": [{"from_value": 0, "maker": 0.001, "taker": 0.002}]}},
        "statistics": {"period": "bar", "benchmark": "SIM"},
        "seed": 5,
    }  # fmt: skip
    service.submit(spec, backtest_id="everything")
    service.wait("everything")  # it fails, as the data has no quotes: what was asked for is kept all the same
    page = visit("joe", "admin")
    page.goto(f"{service.address}/#/new?from=everything")
    expect(page.get_by_text("It can run as it is")).to_be_visible()
    assert copied(page) == spec
    page.get_by_text("All rules of execution, one by one").click()
    expect(page.get_by_label("Trailing stop")).to_have_value("after_close")
    expect(page.get_by_label("Play each bar along bars of")).to_have_value("5m")
    expect(page.get_by_label("Positions", exact=True)).to_have_value("hedging")
    page.get_by_text("More about the data").click()
    page.get_by_label("Further time frames").fill("1d")
    assert copied(page)["data"]["frames"] == ["1d"]


def test_a_benchmark_is_chosen_and_drawn(visit: Visit) -> None:
    """Of the data set's symbols, one that the run does not trade; it has its line and its numbers."""
    page = visit("kim")
    page.get_by_role("link", name="New backtest").first.click()
    page.get_by_role("combobox", name="Data set", exact=True).select_option("stocks-daily")
    traded = page.locator("button.chip[aria-pressed='true']").inner_text()
    options = [text for text in page.get_by_label("Benchmark").locator("option").all_inner_texts() if text != traded]
    page.get_by_label("Benchmark").select_option(options[-1])
    page.get_by_role("textbox", name="Name", exact=True).fill("against")
    page.get_by_role("button", name="Run the backtest").click()
    status(page, "completed")
    expect(page.get_by_role("checkbox", name=f"{options[-1]} held")).to_be_checked()
    statistics = page.get_by_role("region", name="Statistics")
    for name in ("Information ratio", "Beta", "Expected shortfall 95%", "Omega ratio", "… probability that it is above 0"):
        expect(statistics.locator("dl.figures > div").filter(has_text=name).locator("dd")).to_have_text(re.compile(r"\d"))
    expect(page.get_by_role("region", name=re.compile("Closed positions by symbol"))).to_contain_text(traded)


def test_a_million_bars_are_looked_at_closely(visit: Visit) -> None:
    """The server joins them to a thousand candles; who looks closer and closer is sent single bars in the end."""
    page = visit("lea")
    submit(page, "long", dataset="million", strategy="sma_cross", parameters={"Fast": "2000", "Slow": "9000"})
    status(page, "completed")
    responses: list[Response] = []
    page.on("response", lambda each: responses.append(each) if "/candles" in each.url else None)
    page.get_by_role("tab", name="Market").click()
    expect(page.get_by_role("img", name=re.compile(f"{MILLION:,} bars of SIM"))).to_be_visible()
    joined = page.get_by_text("bars of 1m to a candle")
    expect(joined).to_be_visible()
    for _ in range(12):
        if not joined.is_visible():
            break
        with page.expect_response(re.compile("/candles")):
            page.get_by_role("button", name="Zoom in").click()
    expect(joined).to_be_hidden()
    answers = [each.json() for each in responses if each.status == 200]
    assert answers[0]["bars"] == MILLION and answers[-1]["bars_per_candle"] == 1
    assert all(len(answer["time_ms"]) <= 1_000 for answer in answers)
    page.get_by_role("button", name="Whole run").click()
    expect(joined).to_be_visible()


def test_what_is_imported_says_so(visit: Visit, service: Service, tmp_path: Path) -> None:
    """In the list and on its page: it can't be run again, and what is not there is told."""
    (tmp_path / "old.json").write_text(json.dumps(legacy(7)))
    command = [sys.executable, "-m", "backtape", "import-results", str(tmp_path), "--to", service.settings.s3_url]
    subprocess.run(command, env={**os.environ, **service.environment}, check=True, capture_output=True)
    page = visit("mia", "admin")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="old-7", exact=True))
    expect(row.get_by_text("Imported", exact=True)).to_be_visible()
    row.get_by_role("link", name="old-7", exact=True).click()
    expect(page.get_by_role("heading", name="Another system's result")).to_be_visible()
    expect(page.get_by_text("Sharpe ratio").first).to_be_visible()
    expect(page.get_by_role("link", name="Run a variant")).to_be_hidden()
