"""This module says where a stream is: after which event of a run, and after which equity mark.

An event's id is the sequence, with the number of the last equity mark behind it (``1200-300``): marks have no sequence of their
own in the read model. A sequence alone is understood as well; then the marks are told from the first one again, each with its
number, which changes nothing for who knows them.
"""

import re
from dataclasses import dataclass

_RUN = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


@dataclass(frozen=True, slots=True, order=True)
class RunCursor:
    """Everything up to this sequence, and up to this mark, was told."""

    sequence: int = 0
    mark: int = 0

    def __str__(self) -> str:
        return f"{self.sequence}-{self.mark}"


def parse_cursor(text: str) -> RunCursor | None:
    """Read a cursor; None for what is none."""
    match = _RUN.fullmatch(text)
    return None if match is None else RunCursor(int(match[1]), int(match[2] or 0))


def shared_id(cursors: dict[str, RunCursor]) -> str:
    """Return the id of an event of a shared stream: where each followed run is."""
    return " ".join(f"{name}@{cursor}" for name, cursor in sorted(cursors.items()))


def parse_shared(text: str) -> dict[str, RunCursor]:
    """Read the id of a shared stream; parts that are none are left out."""
    found = {}
    for part in text.split():
        name, _, rest = part.rpartition("@")
        cursor = parse_cursor(rest)
        if name and cursor is not None:
            found[name] = cursor
    return found
