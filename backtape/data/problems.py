"""This module says what is wrong with market data that somebody wants to bring in: row, column, value and rule."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_SHOWN = 20  # problems that an error lists; the rest are counted


@dataclass(frozen=True, slots=True)
class Problem:
    """One value that is refused. Rows count from 1; a file's header is not counted. No row: the whole column."""

    column: str
    rule: str
    row: int | None = None
    value: str | None = None

    def __str__(self) -> str:
        where = f"column {self.column}" if self.row is None else f"row {self.row}, column {self.column}"
        return f"{where}: {self.rule}" if self.value is None else f"{where}: {self.value} {self.rule}"


class BadDataError(ValueError):
    """Market data was refused. ``problems`` holds the first of them, ``count`` says how many there are."""

    def __init__(self, source: str, problems: list[Problem], count: int | None = None) -> None:
        self.source = source
        self.problems = problems[:MAX_SHOWN]
        self.count = len(problems) if count is None else count
        more = f"\n  and {self.count - len(self.problems)} more" if self.count > len(self.problems) else ""
        super().__init__(f"{source} is refused:" + "".join(f"\n  {problem}" for problem in self.problems) + more)


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that some rows of one column break."""

    column: str
    rule: str
    rows: NDArray[np.int64]  # from 0, ascending
    values: tuple[str, ...]  # of the first rows, at most MAX_SHOWN


def problems_of(findings: Iterable[Finding]) -> tuple[list[Problem], int]:
    """Return the first problems in the order of rows, and how many there are in all."""
    found = list(findings)
    shown = [
        Problem(column=finding.column, rule=finding.rule, row=int(row) + 1, value=value)
        for finding in found
        for row, value in zip(finding.rows, finding.values, strict=False)
    ]
    shown.sort(key=lambda problem: problem.row or 0)
    return shown[:MAX_SHOWN], sum(len(finding.rows) for finding in found)
