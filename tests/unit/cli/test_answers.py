"""What commands promise to scripts: exit codes, one line on stderr, one JSON document on stdout."""

import json
import time
from pathlib import Path

import pytest

from adapters.errors import RetryableError
from adapters.folder import FolderBlobStore
from adapters.run_log import RunLogs
from backtape.data import generate_dataset
from tests.unit.cli.conftest import Cli

SPEC = {
    "data": {"dataset": "bars", "symbols": ["SIM"], "timeframe": "1m"},
    "strategy": {"name": "buy_and_hold", "parameters": {}},
}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec beside a store that has its data."""
    generate_dataset(FolderBlobStore(tmp_path / "store"), dataset="bars", bars=50, seed=1)
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    return path


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("submit", "--nonsense"), "No such option: --nonsense (see: backtape submit --help)"),
        (("submit", "missing.json"), "missing.json: No such file or directory"),
        (("run", "."), ".: Is a directory"),
        (("audit",), "name one backtest, or say --all"),
        (("audit", "one", "--all"), "name one backtest, or say --all"),
        (("snapshot",), "say --once"),
        (("status", "--wait"), "--wait needs a backtest's id"),
        (("list", "--status", "lost"), "'lost' is not one of 'queued', 'running', 'completed', 'cancelled', 'failed'"),
        (("events", "one", "--type", "OrderFiled"), "--type: 'OrderFiled' is not allowed: one of BacktestAccepted, "),
        (("data", "generate", "--dataset", "x", "--bars", "5", "--timeframe", "7x"), "a timeframe such as 1s, 1m"),
    ],
)
def test_what_can_not_be_tried_is_exit_code_2_and_one_line(cli: Cli, arguments: tuple[str, ...], text: str) -> None:
    """The line says what is wrong; stdout stays empty, or says the same as JSON."""
    said = cli(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert text in said.err
    as_json = cli(*arguments, "--json") if arguments[0] != "nonsense" else None
    assert as_json is None or (as_json.code == 2 and as_json.err.count("\n") == 1)


def test_an_error_is_a_document_where_json_was_asked_for(cli: Cli) -> None:
    """A script that reads stdout always finds one document."""
    said = cli("audit", "--json")
    assert (said.code, said.document) == (2, {"error": "name one backtest, or say --all"})


@pytest.mark.parametrize("command", [("submit", "spec.json"), ("events", "one"), ("cancel", "one"), ("report", "one")])
def test_without_kafka_a_command_ends_soon_and_says_so(
    cli: Cli, spec: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """No traceback, no logs of libraries, no waiting."""
    monkeypatch.setenv("BACKTAPE_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("BACKTAPE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    began = time.monotonic()
    said = cli(*command, "--json")
    assert said.code == 2
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert "KafkaConnectionError" in said.err
    assert "error" in said.document
    assert time.monotonic() - began < 15


def test_without_anything_running_the_error_says_what_starts_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most who see it have not started the local stack."""
    monkeypatch.setattr(RunLogs, "read", unreachable)
    said = cli("events", "one")
    assert said.code == 2 and said.err.count("\n") == 1
    assert "no broker" in said.err and "`backtape up` starts one" in said.err


async def unreachable(*_: object, **__: object) -> None:
    """Stand for a server at its default address, where the machine may well have one."""
    raise RetryableError("no broker")


def test_a_wrong_setting_is_named_with_its_value(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them, in one line."""
    monkeypatch.setenv("BACKTAPE_PARTITIONS", "many")
    monkeypatch.setenv("BACKTAPE_LOG_LEVEL", "loud")
    said = cli("list")
    assert said.code == 2 and said.err.count("\n") == 1
    assert "BACKTAPE_PARTITIONS: 'many' is not allowed" in said.err
    assert "BACKTAPE_LOG_LEVEL: 'loud' is not allowed" in said.err


def test_the_version_is_the_installed_one(cli: Cli) -> None:
    from importlib.metadata import version

    assert cli("--version").out == f"backtape {version('backtape')}\n"


# --- run --------------------------------------------------------------------------------------------------------------


def test_run_prints_a_table_or_one_document(cli: Cli, spec: Path) -> None:
    """The same run twice has the same chain head."""
    table = cli("run", str(spec), "--store", "store")
    assert table.code == 0 and "Sharpe ratio" in table.out and "buy_and_hold on SIM" in table.out
    document = cli("run", str(spec), "--store", "store", "--json").document
    assert document["status"] == "completed" and document["fills"] == 1
    assert document["statistics"]["total_return"] is not None
    assert document["spec"]["account"]["cash"] == 100_000.0, "every default is explicit"
    assert f"chain head {document['chain_head']}" in table.out


def test_run_writes_the_report(cli: Cli, spec: Path, tmp_path: Path) -> None:
    assert cli("run", str(spec), "--store", "store", "--report", "r.html").code == 0
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"strategy": {"name": "martingale"}}, "strategy.name: 'martingale' is not allowed"),
        ({"colour": 1}, "colour: 1 is not allowed: there is no such field"),
        ({"account": {"cash": -1.0}}, "account.cash: -1.0 is not allowed"),
    ],
)
def test_a_spec_that_is_rejected_is_a_no(cli: Cli, spec: Path, change: dict[str, object], text: str) -> None:
    spec.write_text(json.dumps({**SPEC, **change}))
    said = cli("run", str(spec), "--store", "store")
    assert said.code == 1 and text in said.err and said.err.count("\n") == 1


def test_a_strategy_that_raises_is_a_no(cli: Cli, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line where it did."""
    file = tmp_path / "broken.py"
    file.write_text(
        "from backtape import Strategy\n\n\nclass Broken(Strategy):\n    name = 'broken'\n\n    def on_bar(self): 1 / 0\n"
    )
    monkeypatch.setenv("BACKTAPE_STRATEGY_FILES", str(file))
    spec.write_text(json.dumps({**SPEC, "strategy": {"name": "broken"}}))
    said = cli("run", str(spec), "--store", "store")
    assert said.code == 1
    assert "broken.py:7: def on_bar(self): 1 / 0: division by zero" in said.err


def test_a_file_that_is_no_spec_can_not_be_tried(cli: Cli, spec: Path) -> None:
    spec.write_text("{")
    assert "spec.json: not JSON" in cli("run", str(spec)).err
    spec.write_text("[]")
    said = cli("run", str(spec))
    assert said.code == 2 and "a spec is a JSON object, not list" in said.err


# --- data and doctor ----------------------------------------------------------------------------------------------------


def test_bad_bars_are_refused_by_row_and_column_in_one_line(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A no, with everything that is wrong."""
    monkeypatch.setenv("BACKTAPE_S3_URL", f"file://{tmp_path}/store")
    rows = ("2020-01-01T00:00:00Z,1,2,0.5,1,5", "2020-01-02T00:00:00Z,1,0.2,0.5,1,5")
    (tmp_path / "A.1d.csv").write_text("\n".join(("timestamp,open,high,low,close,volume", *rows)))
    said = cli("data", "import", "A.1d.csv", "--dataset", "bad")
    assert said.code == 1 and said.err.count("\n") == 1
    assert "A.1d.csv is refused: row 2, column high: 0.2 is below the bar's low; row 2, column open" in said.err
    assert cli("data", "list", "--json").document == []


def test_data_sets_are_generated_listed_and_shown(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKTAPE_S3_URL", f"file://{tmp_path}/store")
    made = cli("data", "generate", "--dataset", "walk", "--bars", "10", "--json").document
    assert (made["dataset"], made["version"], made["is_new"]) == ("walk", 1, True)
    assert cli("data", "list", "--json").document == [{"dataset": "walk", "version": 1, "symbols": "SIM", "bars": 10}]
    assert cli("data", "show", "walk", "--json").document["digest"] == made["digest"]
    assert cli("data", "show", "nothing").code == 2


def test_doctor_says_what_is_missing_and_what_helps(cli: Cli) -> None:
    """In an empty folder the jars are not there yet; that nothing runs is no fault."""
    said = cli("doctor", "--json")
    assert said.code == 1
    checks = {check["name"]: check for check in said.document}
    assert not checks["jars of kafka"]["ok"] and "make setup" in checks["jars of kafka"]["remedy"]
    assert checks["kafka process"]["is_optional"]
    assert all("\x1b" not in check["detail"] for check in said.document)
    assert "bad  jars of kafka" in cli("doctor").out


def test_doctor_names_a_wrong_setting(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes on with its other checks."""
    monkeypatch.setenv("BACKTAPE_PARTITIONS", "many")
    checks = {check["name"]: check for check in cli("doctor", "--json").document}
    assert not checks["settings"]["ok"] and "BACKTAPE_PARTITIONS: 'many' is not allowed" in checks["settings"]["detail"]
    assert "python" in checks


def test_down_without_anything_running_is_done(cli: Cli) -> None:
    assert cli("down").code == 0
