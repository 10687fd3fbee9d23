"""The command line against a local stack that it has started itself: up, everything in between, down.

The tests tell one story, in order, in one folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres_reader import PostgresReader
from backtape.cli.app import settings
from backtape.stack.processes import start_time
from consumers.wiring import blob_store
from schemas.times import format_time
from tests.shared_stack import JARS, new_folder
from tests.unit.cli.conftest import Cli, Said, run_in_process
from tests.unit.test_audit_page import COMMANDS, QUERIES

pytestmark = pytest.mark.real

SECONDS = 120
KEYS = ("chain_head", "fill_id", "digest", "command_id")  # a column by which each answer of the walk-through is known
BARS = 400
OWN = ".backtape/own.py"  # a strategy file of the folder's
ENVIRONMENT = {"NUMBA_DISABLE_JIT": "1", "BACKTAPE_PARTITIONS": "2"}  # nothing here is large
OWN_STRATEGY = """
from backtape import Strategy


class Own(Strategy):
    name = "{name}"

    def on_bar(self):
        self.bar = getattr(self, "bar", 0) + 1
        if self.bar % {every} == 0:
            self.buy(quantity=1)
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """An empty folder with the jars that the checkout has; nothing runs in it at the end."""
    made = new_folder()
    (made / ".backtape").mkdir(mode=0o755)
    (made / ".backtape" / "jars").symlink_to(JARS)
    (made / OWN).write_text(OWN_STRATEGY.format(name="own", every=50))
    try:
        yield made
    finally:
        call(made, "down")
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def cli(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """A function that runs a command in the folder. In this process: what is imported once need not be again."""
    for name in list(os.environ):
        if name.startswith(("BACKTAPE_", "AWS_")):
            monkeypatch.delenv(name)
    for name, value in environment_of(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> Said:
        said = run_in_process(monkeypatch, capsys, *arguments)
        assert said.code == 0 or said.err.count("error: ") <= 1
        return said

    return run


def environment_of(folder: Path) -> dict[str, str]:
    return {**ENVIRONMENT, "BACKTAPE_STRATEGY_FILES": str(folder / OWN)}


def call(folder: Path, *arguments: str) -> Said:
    """Run a command in a process of its own, as users do: what it leaves running must outlive it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BACKTAPE_", "AWS_"))}
    environment |= environment_of(folder)
    command = [sys.executable, "-m", "backtape", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def spec_file(folder: Path, name: str, **changes: Any) -> str:
    """Write a spec and return its file's name."""
    spec = {
        "data": {"dataset": "bars", "symbols": ["SIM"], "timeframe": "1m"},
        "strategy": {"name": "sma_cross", "parameters": {"fast": 3, "slow": 9}},
        "tags": [name],
        **changes,
    }
    (folder / f"{name}.json").write_text(json.dumps(spec))
    return f"{name}.json"


def pid_of(folder: Path, service: str) -> int:
    return int(json.loads((folder / ".backtape" / service / "service.json").read_text())["process"]["pid"])


# --- up ---------------------------------------------------------------------------------------------------------------


def test_up_starts_everything_and_a_second_time_changes_nothing(cli: Cli, folder: Path) -> None:
    """The servers' addresses are printed for other programs; doctor is content."""
    assert (first := call(folder, "up", "--workers", "1")).code == 0, first.err
    assert "export BACKTAPE_KAFKA_BOOTSTRAP=127.0.0.1:" in first.err
    services = ("kafka", "postgres", "s3", "worker-1", "projector", "compactor")
    pids = [pid_of(folder, service) for service in services]
    assert call(folder, "up", "--workers", "1").code == 0
    assert [pid_of(folder, service) for service in services] == pids
    assert not (folder / ".backtape" / "worker-2").exists()
    checks = cli("doctor", "--json")
    assert checks.code == 0
    assert {check["name"] for check in checks.document if check["ok"]} >= {"worker-1", "projector", "compactor", "kafka answer"}


def test_data_is_made_and_listed(cli: Cli) -> None:
    assert cli("data", "generate", "--dataset", "bars", "--bars", str(BARS)).code == 0
    assert cli("data", "list", "--json").document == [{"dataset": "bars", "version": 1, "symbols": "SIM", "bars": BARS}]


# --- backtests --------------------------------------------------------------------------------------------------------


def test_submit_waits_for_the_result(cli: Cli, folder: Path) -> None:
    """And is a duplicate the second time, with the same result."""
    spec = spec_file(folder, "first")
    done = cli("submit", spec, "--id", "first", "--submitter", "me", "--wait", "--timeout", "60", "--json")
    assert done.code == 0, done.err
    assert (done.document["status"], done.document["submitter"], done.document["bars"]) == ("completed", "me", BARS)
    assert cli("submit", spec, "--id", "first", "--wait", "--json").document["chain_head"] == done.document["chain_head"]
    in_process = cli("run", spec, "--json").document
    assert in_process["statistics"]["final_equity"] == done.document["final_equity"]


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        ("unknown", {"strategy": {"name": "martingale"}}, "rejected (unknown_strategy): spec.strategy.name: 'martingale'"),
        ("wrong", {"colour": "red"}, "colour: 'red' is not allowed: there is no such field"),
    ],
)
def test_a_rejected_submit_is_a_no(cli: Cli, folder: Path, name: str, changes: dict[str, Any], text: str) -> None:
    """By the worker, or already before anything is sent."""
    said = cli("submit", spec_file(folder, name, **changes), "--id", name, "--wait", "--timeout", "60", "--json")
    assert said.code == 1 and text in said.err and text in said.document["error"]
    assert cli("status", name).code == 1


def test_a_run_that_fails_is_a_no(cli: Cli, folder: Path) -> None:
    """Its row says why."""
    spec = spec_file(folder, "failing", data={"dataset": "nothing", "symbols": ["SIM"], "timeframe": "1m"})
    said = cli("submit", spec, "--id", "failing", "--wait", "--timeout", "60", "--json")
    assert said.code == 1
    assert (said.document["status"], said.document["failure_reason"]) == ("failed", "unknown_dataset")
    assert cli("status", "failing").code == 0, "the question was answered"
    assert cli("status", "failing", "--wait").code == 1


def test_cancel_says_what_became_of_it(cli: Cli) -> None:
    for name, reason in (("first", "already_finished"), ("never", "unknown_backtest")):
        said = cli("cancel", name, "--wait", "--timeout", "60")
        assert said.code == 1 and f"rejected ({reason})" in said.err
    assert cli("cancel", "first", "--json").document["backtest_id"] == "first"


def test_list_and_status_filter_and_count(cli: Cli) -> None:
    def ids(*arguments: str) -> list[str]:
        return [row["backtest_id"] for row in cli("list", "--json", *arguments).document]

    assert sorted(ids()) == ["failing", "first"]
    assert ids("--status", "completed") == ["first"]
    assert ids("--submitter", "me") == ["first"] and ids("--submitter", "you") == []
    assert ids("--tag", "failing") == ["failing"]
    assert len(ids("--limit", "1")) == 1
    totals = cli("status", "--json").document
    assert (totals["backtests"], totals["completed"], totals["failed"], totals["quarantined"]) == (2, 1, 1, 0)
    table = cli("list").out
    assert "sma_cross" in table and "failed: unknown_dataset" in table


def test_events_come_from_the_log(cli: Cli) -> None:
    events = cli("events", "first", "--json").document
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    fills = cli("events", "first", "--type", "OrderFilled", "--to", "40", "--json").document
    assert fills == [event for event in events if event["type"] == "OrderFilled" and event["sequence"] <= 40]
    later = cli("events", "first", "--from", str(len(events) - 3), "--json").document
    assert later == events[-4:]
    at = cli("events", "first", "--from", format_time(events[-2]["time_ns"]), "--json").document
    assert at == [event for event in events if event["time_ns"] >= events[-2]["time_ns"]]
    followed = cli("events", "first", "--follow", "--type", "OrderFilled")
    assert followed.code == 0
    assert len(followed.out.splitlines()) == sum(event["type"] == "OrderFilled" for event in events)
    assert cli("events", "never").code == 1


def test_report_is_one_file(cli: Cli, folder: Path) -> None:
    """With prices, from the version that the run used; also of a run that failed."""
    assert cli("report", "first").code == 0
    page = (folder / "first.html").read_text()
    assert "sma_cross" in page and "without prices" not in page
    said = cli("report", "failing", "-o", "f.html", "--json")
    assert said.document["bytes"] == (folder / "f.html").stat().st_size
    assert "unknown_dataset" in (folder / "f.html").read_text()
    assert cli("report", "never").code == 1


def test_snapshots_are_there_once(cli: Cli) -> None:
    """The job finds what the service has written, or writes it."""
    done = cli("snapshot", "--once", "--json")
    assert done.code == 0
    assert {name: done.document[name] for name in ("snapshots", "refused_count", "open_runs")} == {
        "snapshots": 2,
        "refused_count": 0,
        "open_runs": 0,
    }


def test_audit_proves_all(cli: Cli) -> None:
    audits = cli("audit", "--all", "--json")
    assert audits.code == 0
    assert {each["backtest_id"]: each["verdict"] for each in audits.document} == {"first": "proven", "failing": "proven"}


def test_the_auditors_walk_through_runs_as_it_is_written(cli: Cli) -> None:
    """Every command and every query of docs/audit.md, on the backtest that it names; only data set and date are this folder's."""
    events = cli("events", "first", "--json").document
    replaced = {"show daily": "show bars", "2012-06-01": format_time(events[-2]["time_ns"])}
    for line in COMMANDS:
        for written, here in replaced.items():
            line = line.replace(written, here)
        said = cli(*shlex.split(line)[1:])
        assert said.code == 0, (line, said.err)
        assert said.out, line
    answers = [asyncio.run(rows_of(query)) for query in QUERIES]
    backtest, fills, commits, commands = (next(rows for rows in answers if name in rows[0]) for name in KEYS)
    assert len(fills) == sum(event["type"] == "OrderFilled" for event in events)
    assert commits[-1]["digest"] == backtest[0]["chain_head"]
    accepted = events[0]
    assert (accepted["command_id"], accepted["submitter"]) == (commands[0]["command_id"], commands[0]["submitter"])
    assert accepted["submitter"] == "me"


async def rows_of(query: str) -> list[dict[str, Any]]:
    reader = PostgresReader(settings().database_url)
    try:
        return await reader.fetch(query)
    finally:
        await reader.close()


def test_an_audit_that_can_not_be_tried_says_why_and_is_a_2(cli: Cli, folder: Path) -> None:
    """The strategy's code is another one by now, or gone, or the data set's version is: no verdict on the run."""

    def detail(name: str, check: str) -> str:
        said = cli("audit", name, "--json")
        assert said.code == 2, said.out
        (document,) = said.document
        assert document["verdict"] == "not_tried"
        return str(next(each["detail"] for each in document["findings"] if each["check"] == check))

    assert cli("data", "generate", "--dataset", "short-lived", "--bars", str(BARS)).code == 0
    of = {"dataset": "short-lived", "symbols": ["SIM"], "timeframe": "1m"}
    for name, changes in (("mine", {"strategy": {"name": "own"}}), ("dataless", {"data": of})):
        done = cli("submit", spec_file(folder, name, **changes), "--id", name, "--wait", "--timeout", "60", "--json")
        assert done.code == 0, done.err
    assert cli("snapshot", "--once", "--json").code == 0
    assert cli("audit", "mine", "--json").code == 0
    (folder / OWN).write_text(OWN_STRATEGY.format(name="own", every=49))
    text = detail("mine", "re-run")
    assert "recorded by a strategy of code" in text and "the bytes differ" in text
    (folder / OWN).write_text(OWN_STRATEGY.format(name="other", every=50))
    assert "the code it was recorded with is not at hand" in detail("mine", "re-run")
    (folder / OWN).write_text(OWN_STRATEGY.format(name="own", every=50))
    assert cli("audit", "mine", "--json").code == 0
    store = blob_store(settings())
    store.delete("datasets/short-lived/versions/00000001.json")
    assert "it is not at hand" in detail("dataless", "data")
    verdicts = {each["backtest_id"]: each["verdict"] for each in cli("audit", "--all", "--json").document}
    assert verdicts == {"first": "proven", "failing": "proven", "mine": "proven", "dataless": "not_tried"}
    for name in ("mine", "dataless"):
        assert cli("delete", name, "--wait", "--timeout", "60").code == 0


def test_there_is_no_dead_letter(cli: Cli) -> None:
    assert cli("dead-letters", "--json").document == []


def test_watching_says_how_far_a_run_is(cli: Cli) -> None:
    """Told by the database; the row itself goes to stdout at the end."""
    said = cli("status", "first", "--watch", "--timeout", "60", "--json")
    assert (said.code, said.document["status"]) == (0, "completed")
    assert f"completed: {BARS:,} of {BARS:,} bars" in said.err


def test_a_deleted_backtest_is_gone_and_cannot_come_back(cli: Cli, folder: Path) -> None:
    """Its receipt and the removal of its rows are one transaction: after --wait it is not there."""
    assert cli("delete", "--older-than", "1h", "--dry-run", "--json").document["backtests"] == []
    assert cli("delete", "--keep", "0", "--dry-run", "--json").document["backtests"][-1:] == ["first"]
    done = cli("delete", "failing", "--submitter", "me", "--wait", "--timeout", "60", "--json")
    assert done.code == 0, done.err
    assert [(each["outcome"], each["command_type"]) for each in done.document["receipts"]] == [("accepted", "DeleteBacktest")]
    assert cli("status", "failing").code == 1
    assert [row["backtest_id"] for row in cli("list", "--json").document] == ["first"]
    assert cli("delete", "failing", "--wait", "--json").document["receipts"][0]["outcome"] == "duplicate"
    said = cli("submit", spec_file(folder, "failing"), "--id", "failing", "--wait", "--timeout", "60")
    assert said.code == 1 and "rejected (deleted)" in said.err


# --- half running, and down -------------------------------------------------------------------------------------------


def test_what_has_died_is_named_and_started_again(cli: Cli, folder: Path) -> None:
    """Doctor says so, other commands too, and up mends it; the results are still there."""
    for service in ("worker-1", "s3"):
        os.kill(pid_of(folder, service), signal.SIGKILL)
    checks = {check["name"]: check for check in cli("doctor", "--json").document}
    assert not checks["s3 process"]["ok"] and not checks["worker-1"]["ok"]
    assert cli("doctor").code == 1
    said = cli("list")
    assert said.code == 2 and "of the local stack in this folder s3 does not run: `backtape up` starts it" in said.err
    assert call(folder, "up", "--workers", "1").code == 0
    assert cli("doctor").code == 0
    assert cli("status", "first", "--json").document["status"] == "completed"


def test_down_stops_everything_and_twice_is_as_good(cli: Cli, folder: Path) -> None:
    pids = [pid_of(folder, service) for service in ("kafka", "postgres", "s3", "worker-1", "projector", "compactor")]
    assert call(folder, "down").code == 0
    assert [pid for pid in pids if start_time(pid) is not None] == []
    assert cli("down").code == 0
    assert cli("doctor").code == 0, "nothing running is no fault"
