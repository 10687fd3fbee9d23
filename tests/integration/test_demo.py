"""The demo, as a user would start it, in an empty folder: what it promises on stdout, and that it leaves nothing running."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.shared_stack import JARS, new_folder

pytestmark = pytest.mark.real

SECONDS = 240  # a machine that runs other tests beside it is slow; alone it takes less than two minutes


@pytest.fixture(scope="module")
def demo() -> Any:
    """Run the demo once, and yield its exit code, its output and its folder."""
    folder = new_folder()
    (folder / ".backtape").mkdir(mode=0o755)
    (folder / ".backtape" / "jars").symlink_to(JARS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BACKTAPE_", "AWS_", "KEEP"))}
    # Addresses of other servers, such as a shell may still have: the demo is to use its own.
    environment |= {"BACKTAPE_KAFKA_BOOTSTRAP": "127.0.0.1:1", "BACKTAPE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = subprocess.run(
        [sys.executable, "-m", "backtape", "demo", "--json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    try:
        yield done, folder
    finally:
        subprocess.run([sys.executable, "-m", "backtape", "down"], cwd=folder, capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def summary(demo: Any) -> Any:
    done, _ = demo
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # one document, and nothing else


def test_it_prints_one_document_of_the_promised_shape(summary: Any) -> None:
    """Backtests, events, dead letters, receipts, audit, seconds."""
    assert {"backtests", "events", "dead_letters", "receipts", "audit", "seconds"} <= summary.keys()
    for backtest in summary["backtests"]:
        assert {"id", "status", "events", "fills", "trades", "final_equity"} <= backtest.keys()
    assert summary["events"] == sum(backtest["events"] for backtest in summary["backtests"])
    assert summary["seconds"]["total"] > 0


def test_at_least_eight_backtests_ran_and_one_was_cancelled_while_it_ran(summary: Any) -> None:
    """Of several strategies and symbols; each that completed has its result, each has its snapshot."""
    completed = [backtest for backtest in summary["backtests"] if backtest["status"] == "completed"]
    cancelled = [backtest for backtest in summary["backtests"] if backtest["status"] == "cancelled"]
    assert len(completed) + len(cancelled) == len(summary["backtests"]) >= 8
    assert len(cancelled) == 1
    assert cancelled[0]["fills"] > 0, "it was cancelled in the middle of its work"
    assert all(backtest["final_equity"] > 0 and backtest["fills"] > 0 for backtest in completed)
    assert all(backtest["manifest_key"] for backtest in summary["backtests"])
    assert len({backtest["strategy"] for backtest in completed}) >= 5
    assert len({tuple(backtest["symbols"]) for backtest in completed}) >= 5


def test_what_was_wrong_has_its_answers(summary: Any) -> None:
    """One rejection, one dead letter, and a command that was hashed otherwise was forwarded where it belongs, or lay there."""
    assert summary["dead_letters"] == 1
    assert summary["receipts"]["rejected"] == 1
    assert summary["receipts"]["accepted"] == len(summary["backtests"]) + 1, "the submits, and the cancel"
    assert summary["receipts"].get("forwarded", 0) <= 1


def test_everything_is_proven(summary: Any) -> None:
    """Log, SQL and Parquet of every run."""
    assert summary["audit"] == {"proven": len(summary["backtests"]), "failed": 0}


def test_progress_went_to_stderr_and_no_process_is_left(demo: Any) -> None:
    """The demo ends what it started."""
    done, folder = demo
    for step in range(1, 6):
        assert f"[{step}/5]" in done.stderr
    assert "Traceback" not in done.stderr
    assert not processes_of(folder)


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of processes that name the folder, or work for it."""
    found = []
    for process in psutil.process_iter():
        try:
            line, environment = " ".join(process.cmdline()), process.environ()
        except (psutil.Error, OSError):
            continue
        if str(folder) in line or str(folder) in environment.get("BACKTAPE_CACHE_DIR", ""):
            found.append(line)
    return found
