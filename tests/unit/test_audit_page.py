"""The auditor's walk-through: its commands exist with these options, its SQL names columns that the views have."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from backtape.cli.app import app
from projections.views import VIEWS

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines()]
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page_has_commands_and_queries() -> None:
    assert len(COMMANDS) >= 6 and len(QUERIES) >= 4


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood(line: str) -> None:
    """Parsed as it stands; nothing is run."""
    program, name, *arguments = shlex.split(line)
    assert program == "backtape"
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    if hasattr(command, "commands"):
        command, *arguments = command.commands[arguments[0]], *arguments[1:]
    context = command.make_context(name, list(arguments), resilient_parsing=False)
    assert context.params


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_columns_that_are_there(query: str) -> None:
    """Every word before FROM is a column of the view."""
    columns, view = re.fullmatch(r"SELECT (.*?)\s+FROM backtape\.(\w+).*", query.strip(), flags=re.DOTALL).groups()  # type: ignore[union-attr]
    found = next(each for each in VIEWS if each.name == view)
    names = {column.strip().strip('"') for column in columns.split(",")}
    assert names <= set(found.columns)
