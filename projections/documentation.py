"""This module writes the reference part of docs/sql.md: every view, every column, its type and meaning."""

from sqlalchemy.dialects import postgresql

from projections.views import VIEWS, View

MARK = "<!-- From here on, made by projections/documentation.py; a test says when it is out of date. -->"


def views_markdown() -> str:
    """Return the reference as Markdown, one table for each view."""
    return MARK + "\n" + "".join(_view(view) for view in VIEWS)


def _view(view: View) -> str:
    lines = [f"\n## backtape.{view.name}\n", f"{view.comment}\n", "| column | type | meaning |", "|---|---|---|"]
    lines += [
        f"| {name} | {_type(view, name)} | {comment.replace('|', chr(92) + '|')} |" for name, comment in view.columns.items()
    ]
    return "\n".join(lines) + "\n"


def _type(view: View, name: str) -> str:
    column = view.table.columns.get(name)
    if column is None:
        return "text"
    kind = column.type.compile(postgresql.dialect()).lower()  # type: ignore[no-untyped-call]
    return kind.removesuffix(' collate "c"').replace("timestamp with time zone", "timestamptz")
