"""The help: every command says what it does in a line that fits a terminal."""

import re

import pytest

from tests.unit.cli.conftest import Cli

COMMANDS = (
    "demo", "up", "down", "doctor", "run", "submit", "cancel", "status", "list", "events", "replay", "report", "delete", "audit",
    "conformance", "check-lookahead", "snapshot", "archive", "restore", "dead-letters", "import-results", "rebuild",
    "worker", "projector", "compactor", "web", "strategies", "data", "keys", "db", "schema",
)  # fmt: skip


def listed(text: str) -> dict[str, str]:
    """Return the commands that a help text lists, with their summaries."""
    part = text.partition("Commands:\n")[2].partition("\n\n")[0]
    return dict(re.findall(r"^  ([a-z-]+) +(.*)$", part, flags=re.MULTILINE))


def test_all_commands_are_there_in_an_order_that_a_reader_can_follow(cli: Cli) -> None:
    """And none is cut off in the middle of its sentence."""
    said = cli("--help")
    assert said.code == 0
    found = listed(said.out)
    assert tuple(found) == COMMANDS
    assert not [name for name, summary in found.items() if not summary or summary.endswith("...")]


@pytest.mark.parametrize(
    "name",
    [
        *COMMANDS,
        "data import",
        "data generate",
        "data list",
        "data show",
        "keys create",
        "keys list",
        "keys revoke",
        "keys login",
        "db upgrade",
        "schema export",
    ],
)
def test_every_command_has_its_help(cli: Cli, name: str) -> None:
    """Also every option of it."""
    said = cli(*name.split(), "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: backtape {name} ")
    options = re.findall(r"^  (--?[a-z-]+.*)$", said.out.partition("Options:\n")[2], flags=re.MULTILINE)
    assert options and all(len(option.split()) > 1 for option in options), options


def test_without_arguments_it_shows_the_help(cli: Cli) -> None:
    said = cli()
    assert said.code == 2 and "Commands:" in said.out + said.err
