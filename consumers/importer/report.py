"""This module counts what an import has done, and keeps what it has refused with the reasons."""

from dataclasses import dataclass, field

from adapters.documents import Piece
from snapshots.legacy_json import Problem


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that is wrong with one document."""

    file: str
    line: int | None  # in a file of JSON lines
    pointer: str  # JSON pointer into the document; empty: the document as a whole
    value: str
    allowed: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place} {self.pointer or '(document)'}: {self.value} is not allowed: {self.allowed}"


@dataclass(slots=True)
class ImportReport:
    """What an import has done with every document of its source. ``imported + already + refused`` are all of them."""

    files: int = 0
    documents: int = 0
    imported: int = 0  # now in the log; in a dry run: would be
    already: int = 0  # were in the log before, with the same content
    refused: int = 0
    resumed: int = 0  # of those that are imported: by an earlier attempt that did not end
    batches: int = 0
    bytes: int = 0  # of the documents that are imported
    orders: int = 0
    fills: int = 0
    trades: int = 0
    marks: int = 0
    pnl: float = 0.0  # sums over all trades that are imported
    commission: float = 0.0
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, piece: Piece, problems: list[Problem]) -> None:
        self.refused += 1
        self.refusals += [Refusal(piece.file, piece.line, each.pointer, each.value, each.allowed) for each in problems]
