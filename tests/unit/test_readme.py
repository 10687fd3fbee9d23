"""README.md runs as written: its Python as Python, its SQL and JSON as such, its commands with the options they have."""

import importlib
import inspect
import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from backtape import read_results
from backtape.cli.app import app
from schemas.spec import parse_spec

ROOT = Path(__file__).parents[2]
NEEDS_SERVERS = "<!-- needs servers -->\n"


@cache
def page() -> str:
    return (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language, without those that need servers."""
    runnable = re.sub(rf"{NEEDS_SERVERS}```.*?```", "", page(), flags=re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```", runnable, flags=re.DOTALL | re.MULTILINE)


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As pasted into a file: a strategy's class is looked up in its module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (block,) = blocks("python")
    (tmp_path / "readme_snippet.py").write_text(block)
    module = importlib.import_module("readme_snippet")
    assert len(module.result.trades) > 0
    assert module.result.chain_head in capsys.readouterr().out
    assert (tmp_path / "dip.html").read_text().startswith("<!DOCTYPE html>")


def test_its_spec_is_one() -> None:
    (block,) = blocks("json")
    assert parse_spec(json.loads(block)).strategy.name == "sma_cross"


def test_the_python_that_needs_servers_calls_what_is_there() -> None:
    """By its names and arguments only."""
    (block,) = re.findall(rf"{NEEDS_SERVERS}```python\n(.*?)```", page(), flags=re.DOTALL)
    compile(block, "README.md", "exec")
    assert "read_results(" in block and "endpoint" in inspect.signature(read_results).parameters


# --- commands ---------------------------------------------------------------------------------------------------------


def lines() -> list[str]:
    """Return every command line of Backtape that the page shows, in blocks and within sentences."""
    shown = [line for block in blocks("console") for line in block.splitlines()]
    shown += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page(), flags=re.DOTALL))
    found = [line.removeprefix(".venv/bin/") for line in shown]
    return [line for line in found if line.startswith("backtape ")]


@pytest.mark.parametrize("line", lines())
def test_its_commands_exist_with_the_options_that_it_shows(line: str) -> None:
    """Parsed by the command line itself; nothing is run."""
    words = shlex.split(line, comments=True)[1:]
    command: Any = get_command(app)
    context = command.make_context("backtape", list(words), resilient_parsing=True)
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        assert not word.startswith("-") or word in options, f"{line}: there is no option {word}"
    if len(words) > 1:
        command.make_context(line, list(words), parent=context)


def test_what_is_not_there_yet_is_not() -> None:
    """A command that has come is to be taken off the list."""
    (part,) = re.findall(r"Not there yet, though planned: the commands (.*?)\.", page(), flags=re.DOTALL)
    missing = re.findall(r"`([a-z-]+)`", part)
    assert missing
    command: Any = get_command(app)
    assert not set(missing) & set(command.commands)


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join(blocks("console"))))
    assert named and named <= targets


def test_its_folders_exist_and_none_is_missing() -> None:
    """The table of folders, against the packages that are installed."""
    rows = re.findall(r"^\| (`[a-z]+/`(?:, `[a-z]+/`)*) \|", page(), flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z]+)/`", row)}
    assert all((ROOT / name).is_dir() for name in named)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= named, "the table names every package"
