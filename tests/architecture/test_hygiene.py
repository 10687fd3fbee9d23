"""Nothing unfinished, nothing of one machine, and no test that waits for a length of time."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import all_files, python_files, shown

# Written in parts, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|TB" r"D|WI" r"P)\b")
DOWNLOADS = re.compile(
    r"(pypi\." r"org|files\.python" r"hosted|registry\.npm" r"js|repo1?\.ma" r"ven|maven-cent" r"ral|ghcr\." r"io/|"
    r"--index-" r"url|--extra-index-" r"url|--find-" r"links|PIP_INDEX" r"_URL|artifact" r"ory|<reposi" r"tory>)",
    re.IGNORECASE,
)  # fmt: skip
BINARY = {".png", ".jpg", ".parquet", ".zst", ".z", ".gz", ".ico", ".jar", ".class", ".woff2"}


def texts() -> list[Path]:
    return [path for path in all_files() if path.suffix not in BINARY]


def test_nothing_is_marked_as_unfinished() -> None:
    """What is missing stands in an issue, not in a comment."""
    found = [f"{shown(path)}:{number}: {line.strip()}" for path, number, line in _lines() if UNFINISHED.search(line)]
    assert found == []


def test_no_file_names_a_download_address() -> None:
    """Packages come from wherever the user's pip, Maven and npm are set up to get them."""
    found = [f"{shown(path)}:{number}: {line.strip()}" for path, number, line in _lines() if DOWNLOADS.search(line)]
    assert found == []


def test_every_text_is_utf8_without_stray_bytes() -> None:
    """Also without tabs at the wrong place of Python, and with a line end at its end."""
    for path in texts():
        text = path.read_bytes().decode("utf-8")
        assert "\r" not in text, shown(path)
        assert not text or text.endswith("\n"), shown(path)


def _lines() -> Iterator[tuple[Path, int, str]]:
    for path in texts():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            yield path, number, line


# What ends a session or a lease is time itself; the line says what.
EXCUSE = re.compile(r"# nothing else than time \w+")

# --- tests do not sleep -----------------------------------------------------------------------------------------------


class _Sleeps(ast.NodeVisitor):
    """Finds sleeps that are no step of a loop which looks again, no clock's own, and no mere turn of the event loop."""

    def __init__(self) -> None:
        self.found: list[ast.Call] = []
        self._loops = 0

    def visit_While(self, node: ast.While) -> None:
        self._loop(node)

    def visit_For(self, node: ast.For) -> None:
        self._loop(node)

    def _loop(self, node: ast.AST) -> None:
        self._loops += 1
        self.generic_visit(node)
        self._loops -= 1

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.name == "sleep":
            return
        outer, self._loops = self._loops, 0
        self.generic_visit(node)
        self._loops = outer

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        is_sleep = ast.unparse(node.func) in ("time.sleep", "asyncio.sleep", "sleep")
        if is_sleep and not self._loops and ast.unparse(node.args[0]) != "0":
            self.found.append(node)


def sleeps(source: str) -> list[ast.Call]:
    visitor = _Sleeps()
    visitor.visit(ast.parse(source))
    lines = source.splitlines()
    return [node for node in visitor.found if not EXCUSE.search(lines[node.lineno - 1])]


def _tests_themselves() -> list[Path]:
    """Return the tests; strategies that misbehave for them may take their time."""
    return [path for path in python_files("tests") if path.parent.name != "strategies"]


@pytest.mark.parametrize("path", _tests_themselves(), ids=shown)
def test_no_test_sleeps(path: Path) -> None:
    """A sleep is too short on a busy machine and too long on an idle one: wait for a sequence, or move a clock."""
    assert [shown(path, node) for node in sleeps(path.read_text("utf-8"))] == []


def test_the_check_on_sleeps_sees_what_it_is_for() -> None:
    """A sleep by itself, but not one that looks again in a loop."""
    assert len(sleeps("async def test_it():\n    await asyncio.sleep(1)\n    time.sleep(0.5)")) == 2
    assert sleeps("time.sleep(7)  # nothing else than time ends a session") == []
    assert sleeps("while not done():\n    time.sleep(0.01)") == []
    assert sleeps("async def turn():\n    await asyncio.sleep(0)") == []
    assert len(sleeps("for _ in x:\n    def f():\n        time.sleep(1)")) == 1
