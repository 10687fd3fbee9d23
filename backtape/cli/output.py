"""This module is how commands answer: JSON or tables on stdout, everything else on stderr, and the exit codes.

0: done. 1: the answer is no (failed, not proven, rejected). 2: it could not be tried.
"""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

DONE = 0
NO = 1
NOT_TRIED = 2

# A pipe or a file has no edge: a table that were cut to 80 columns there would be of no use to anyone.
UNBOUNDED_COLUMNS = 10_000

JSON_OPTION = typer.Option(False, "--json", help="Print one JSON document on stdout and nothing else there.")


@cache
def console(*, is_error: bool = False) -> "Console":
    """Return the console of stdout or stderr."""
    from rich.console import Console  # here: an answer in JSON needs none of it

    stream = sys.stderr if is_error else sys.stdout
    return Console(stderr=is_error, highlight=False, width=None if stream.isatty() else UNBOUNDED_COLUMNS)


class CommandError(Exception):
    """The command ends here: one line for a person, and an exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def fail(text: str, code: int = NOT_TRIED) -> NoReturn:
    """Say why it ends, and end."""
    raise CommandError(text, code)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout: times as RFC 3339, what is undefined as null."""
    import msgspec

    body = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=1)
    sys.stdout.write(body.decode() + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Tell a person something, on stderr."""
    console(is_error=True).print(text, soft_wrap=True, markup=False)


def say_error(text: str) -> None:
    """Tell what went wrong, as one line on stderr."""
    from rich.text import Text

    console(is_error=True).print(Text("error:", style="red"), Text(one_line(text)), soft_wrap=True)


def one_line(text: str) -> str:
    """Return the lines of a text in one."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip()).replace(":; ", ": ")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table; ``right`` names the columns of numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(_cell(cell)) for cell in row))
    stdout = console()
    if stdout.is_terminal:
        stdout.print(made)
        return
    with stdout.capture() as captured:
        stdout.print(made)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _cell(value: object) -> str:
    match value:
        case None:
            return "–"
        case datetime():
            return shown_time(value)
        case _:
            return str(value)


def shown_time(value: datetime) -> str:
    """Return a time as people read it: to the second, UTC."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def percent(value: float | None) -> str | None:
    return None if value is None else f"{value * 100:.2f} %"


def number(value: float | None, digits: int = 2) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"
