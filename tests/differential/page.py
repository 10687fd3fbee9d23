"""This module writes the table of the comparisons into docs/conformance.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.differential.known import KNOWN

BEGIN, END = "<!-- table of make differential -->", "<!-- end of the table -->"


class Row(Protocol):
    """What the table shows of a comparison."""

    engine: str
    version: str
    strategy: str
    data: str
    theirs: int
    ours: int
    agreeing: int
    their_equity: float
    our_equity: float


def write_table(page: Path, rows: Sequence[Row]) -> None:
    """Put the table between the page's markers."""
    text = page.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    lines = [
        "| engine | rule | data | their fills | ours | agreeing | their final equity | ours |",
        "|---|---|---|--:|--:|--:|--:|--:|",
        *(
            f"| {row.version} | {row.strategy} | {row.data} | {row.theirs:,} | {row.ours:,} | {row.agreeing:,} "
            f"| {row.their_equity:,.6f} | {row.our_equity:,.6f} |"
            for row in rows
        ),
    ]
    theirs, agreeing = sum(row.theirs for row in rows), sum(row.agreeing for row in rows)
    lines.append(f"| **all** | | | **{theirs:,}** | **{sum(row.ours for row in rows):,}** | **{agreeing:,}** | | |")
    if KNOWN:
        lines += ["", "Where they differ:", "", *(f"- {', '.join(pair)}: {text}" for pair, text in KNOWN.items())]
    page.write_text(before + "\n" + "\n".join(lines) + "\n" + after)
