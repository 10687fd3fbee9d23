"""This module is how commands answer: JSON or tables on stdout, everything else on stderr, and the exit codes.

0: done. 1: the answer is no (failed, not proven, rejected). 2: it could not be tried.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

DONE = 0
NO = 1
NOT_TRIED = 2

STDOUT = Console(highlight=False)
STDERR = Console(stderr=True, highlight=False)

JSON_OPTION = typer.Option(False, "--json", help="Print one JSON document on stdout and nothing else there.")


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(document, default=str, indent=1) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Tell a person something, on stderr."""
    STDERR.print(text, soft_wrap=True, markup=False)


def fail(text: str, code: int = NOT_TRIED) -> NoReturn:
    """Say why it ends, and end."""
    STDERR.print(f"[red]error:[/red] {_escaped(text)}", soft_wrap=True)
    raise typer.Exit(code)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table; ``right`` names the columns of numbers."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_escaped("–" if cell is None else str(cell)) for cell in row))
    STDOUT.print(made)


def percent(value: float | None) -> str | None:
    return None if value is None else f"{value * 100:.2f} %"


def number(value: float | None, digits: int = 2) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
