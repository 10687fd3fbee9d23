"""This module holds what a benchmark answers with: figures, each with its unit, and the table that they make."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. ``note`` says what it was measured on, or what it is to be compared with."""

    name: str
    value: float
    unit: str
    note: str = ""

    @property
    def shown(self) -> str:
        """Return the value with three digits that mean something."""
        if abs(self.value) >= 100:
            return f"{self.value:,.0f}"
        return f"{self.value:.1f}" if abs(self.value) >= 10 else f"{self.value:.2f}"


@dataclass(slots=True)
class Part:
    """The figures of one part, and what a reader must know of its data."""

    name: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, name: str, value: float, unit: str, note: str = "") -> None:
        self.figures.append(Figure(name, value, unit, note))

    def describe(self, line: str) -> None:
        self.data.append(line)


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that this share of all values does not exceed: percentile([1, 2, 3, 4], 0.5) is 2."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def as_markdown(parts: list[Part]) -> str:
    """Return a section for each part."""
    sections = []
    for part in parts:
        rows = [f"| {each.name} | {each.shown} | {each.unit} | {each.note} |" for each in part.figures]
        lines = [f"## {part.title}", "", *(f"{line}\n" for line in part.data)]
        lines += ["| what | figure | unit | remark |", "|---|---:|---|---|", *rows, ""]
        sections.append("\n".join(lines))
    return "\n".join(sections)


def as_table(parts: list[Part]) -> str:
    """Return the figures for a terminal."""
    rows = [(part.name, each.name, each.shown, each.unit, each.note) for part in parts for each in part.figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{part:<{widths[0]}}  {name:<{widths[1]}}  {shown:>{widths[2]}} {unit:<{widths[3]}}  {note}".rstrip()
        for part, name, shown, unit, note in rows
    )
