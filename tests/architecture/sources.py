"""This module finds the project's files, without what is generated or installed beside them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
NOT_OURS = {
    ".git", ".venv", ".backtape", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache",
    "__pycache__", "node_modules", "build", "dist", "mutants", "target",
}  # fmt: skip


@cache
def all_files() -> tuple[Path, ...]:
    """Return every file of the project, by its path."""
    return tuple(sorted(_below(CHECKOUT)))


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            if path.name not in NOT_OURS and not path.name.endswith(".egg-info"):
                yield from _below(path)
        elif path.is_file():
            yield path


def python_files(*folders: str) -> list[Path]:
    """Return the Python files of these top-level folders."""
    return [path for path in all_files() if path.suffix == ".py" and path.relative_to(CHECKOUT).parts[0] in folders]


def shown(path: Path, node: ast.AST | None = None) -> str:
    """Return a path as a reader would open it."""
    line = getattr(node, "lineno", None)
    return f"{path.relative_to(CHECKOUT)}" + (f":{line}" if line else "")
