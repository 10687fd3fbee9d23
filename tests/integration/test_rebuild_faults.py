"""A rebuild that is killed, and a projection that is changed: the command itself, in processes of its own, on real servers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from consumers.settings import Settings
from projections.tables import PROJECTION_VERSION
from schemas.generations import Generation
from tests.integration.rebuild_process import killed_at
from tests.integration.test_rebuild import (  # noqa: F401
    connected,
    prepared,
    rebuild,
    rows_of,
    settings,
    shape_of,
    shown_schemas,
    states,
)

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parent.parent.parent
CODE = ("schemas", "engine", "projections", "snapshots", "reports", "adapters", "consumers", "web", "backtape", "migrations")

# A word that the command says when a stage begins, and whether the generation is complete by then.
STAGES = (
    ("make generation", False),
    ("fill it from the events", False),
    ("make its keys", False),
    ("catch up with the log", True),
    ("compare with generation", True),
    ("swap the views", True),
)


def command(*arguments: str, code: Path = ROOT) -> subprocess.Popen[str]:
    """Start the command line in a process of its own. The settings are in the environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "backtape", *arguments],
        cwd=code,
        env={**os.environ, "PYTHONPATH": str(code)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("stage", "is_complete"), STAGES, ids=[stage.replace(" ", "-") for stage, _ in STAGES])
async def test_a_rebuild_that_is_killed_is_gone_on_with(settings: Settings, stage: str, is_complete: bool) -> None:  # noqa: F811
    """People read the old tables until the swap; the next rebuild makes the new ones anew, or goes on with complete ones."""
    said = await asyncio.to_thread(killed_at, stage)
    assert said[-1].startswith(stage), said
    async with connected(settings) as connection:
        shown = await shown_schemas(connection)
        assert shown in ({"backtape_v1"}, {"backtape_v1_2"}) if stage == "swap the views" else shown == {"backtape_v1"}
        if shown == {"backtape_v1"}:
            said_again: list[str] = []
            await rebuild(settings, said_again).run()
            assert any(line.startswith("go on with generation v1_2") for line in said_again) == is_complete
        assert await shown_schemas(connection) == {"backtape_v1_2"}
        assert await states(settings) == {"v1": "kept", "v1_2": "live"}
        assert await rows_of(connection, "backtape_v1_2") == await rows_of(connection, "backtape_v1")
        assert await shape_of(connection, "backtape_v1_2") == await shape_of(connection, "backtape_v1")


# --- a changed projection ---------------------------------------------------------------------------------------

MIGRATION = '''
"""Make the read model, version 2."""

import sqlalchemy as sa
from alembic import op

from migrations.freeze import statements

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in statements():
        if "backtape_v2" in statement and not statement.startswith(("DROP VIEW", "CREATE VIEW", "COMMENT ON VIEW")):
            op.execute(sa.text(statement.replace(":", "\\\\:")))
    op.execute("INSERT INTO backtape_control.generations (name, state) VALUES ('v2', 'building')")
'''


@pytest.fixture
def changed_code(tmp_path: Path) -> Iterator[Path]:
    """A copy of the code whose next version has a column more: the value of each fill."""
    for name in CODE:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("static", "node_modules"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    _edit(tmp_path / "projections/tables.py", f"PROJECTION_VERSION = {PROJECTION_VERSION}\n", "PROJECTION_VERSION = 2\n")
    _edit(
        tmp_path / "projections/tables.py",
        'comment="One row per execution."',
        '_number("value", "quantity * price"),\n    comment="One row per execution."',
    )
    fold = tmp_path / "projections/orders.py"
    start = fold.read_text().index("def fill_row(")
    row = fold.read_text()[start:]
    changed = row.replace("    return (\n", "    return (*(\n", 1).replace("\n    )", "\n    ), event.quantity * event.price)", 1)
    fold.write_text(fold.read_text()[:start] + changed)
    versions = sorted(path.stem for path in (tmp_path / "migrations/versions").glob("0*.py"))
    (tmp_path / "migrations/versions/9999_read_model_v2.py").write_text(MIGRATION.replace("{head}", versions[-1][:4]))
    yield tmp_path


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} has {old!r}"
    path.write_text(text.replace(old, new))


async def test_a_new_column_is_rolled_out_beside_the_old_version_and_taken_back(
    settings: Settings,  # noqa: F811
    changed_code: Path,
) -> None:
    """Alembic makes version 2, the rebuild fills it; old readers go on; the old version's rollback gives its views back."""
    for arguments in (("db", "upgrade"), ("rebuild", "--processes", "1")):
        process = command(*arguments, code=changed_code)
        _, said = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0, said
    assert "new: fills.value" in said
    assert await states(settings) == {"v1": "kept", "v2": "live"}
    async with connected(settings) as connection:
        assert await shown_schemas(connection) == {"backtape_v2"}
        wrong = await connection.fetchval("SELECT count(*) FROM backtape.fills WHERE value IS DISTINCT FROM quantity * price")
        assert (wrong, await connection.fetchval("SELECT count(value) > 0 FROM backtape.fills")) == (0, True)
        process = command("rebuild", "--rollback")
        _, said = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0, said
        assert await states(settings) == {"v1": "live", "v2": "kept"}
        with pytest.raises(asyncpg.UndefinedColumnError):
            await connection.fetch("SELECT value FROM backtape.fills")
        process = command("rebuild", "--only", "fills", "--processes", "1", "--json")
        document, said = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0, said
        told = json.loads(document)
        assert (told["only"], told["swapped"], told["verified"]["differences"]) == ("fills", True, [])
        assert await shown_schemas(connection) == {Generation(1).schema}
