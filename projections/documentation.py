"""This module writes the reference part of docs/sql.md: every view, every column, its type and meaning."""

from projections.computed_views import Computed
from projections.views import VIEWS, View

MARK = "<!-- From here on, made by projections/documentation.py; a test says when it is out of date. -->"


def views_markdown() -> str:
    """Return the reference as Markdown, one table for each view."""
    return MARK + "\n" + "".join(_view(view) for view in VIEWS)


def _view(view: View | Computed) -> str:
    lines = [f"\n## backtape.{view.name}\n", f"{view.comment}\n", "| column | type | meaning |", "|---|---|---|"]
    lines += [
        f"| {name} | {view.type_of(name)} | {comment.replace('|', chr(92) + '|')} |" for name, comment in view.columns.items()
    ]
    return "\n".join(lines) + "\n"
