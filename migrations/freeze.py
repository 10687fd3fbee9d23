"""This script freezes the read model's SQL for a migration: tables, views, functions and grants as the code has them now.

    python -m migrations.freeze 0001

What it writes is history once it is released, and stays as it is; a changed read model is then a new version and a new migration.
"""

import sys
from pathlib import Path

from projections.ddl import tables_sql
from projections.roles import grants_sql
from projections.tables import SCHEMA
from projections.views import views_sql

FOLDER = Path(__file__).parent


def statements() -> list[str]:
    """Return everything that makes the first generation of this version, in order."""
    return [*tables_sql(SCHEMA), *grants_sql(SCHEMA), *views_sql(SCHEMA)]


def freeze(revision: str) -> None:
    lines = "".join(f"    {statement!r},\n" for statement in statements())
    title = f'"""This module holds the read model as revision {revision} makes it."""'
    (FOLDER / f"statements_{revision}.py").write_text(f"# ruff: noqa: E501\n{title}\n\nSTATEMENTS = (\n{lines})\n")


if __name__ == "__main__":
    freeze(*sys.argv[1:])
