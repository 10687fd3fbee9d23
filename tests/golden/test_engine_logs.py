"""The engine still writes the logs that it wrote before, byte for byte; a wanted change renews them, and says so.

To renew: ``python -m tests.golden.test_engine_logs``.
"""

import zlib
from pathlib import Path

import pytest

from schemas.commit import decode_commit, follow
from tests.unit.engine.factories import HEAD
from tests.unit.engine.recipes import RECIPES, commits_of

FOLDER = Path(__file__).parent / "engine"


def stored(recipe: str) -> list[bytes]:
    return zlib.decompress((FOLDER / f"{recipe}.log.z").read_bytes()).splitlines()


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_log_is_as_it_was(recipe: str) -> None:
    """A simulation repeated by this version gives the golden log's bytes."""
    assert [commit.body for commit in commits_of(recipe)] == stored(recipe)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_golden_log_can_be_read(recipe: str) -> None:
    """Every stored commit decodes, and each follows from the one before."""
    head = HEAD
    for body in stored(recipe):
        head = follow(head, decode_commit(body), body)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in RECIPES:
        (FOLDER / f"{name}.log.z").write_bytes(zlib.compress(b"\n".join(commit.body for commit in commits_of(name)), 9))
