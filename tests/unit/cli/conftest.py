"""This module runs the command line in this process, far from any server."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backtape.cli import app


@dataclass(frozen=True)
class Said:
    """What a command has answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Said]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """A function that runs a command in an empty folder, without any setting of the machine's."""
    for name in list(os.environ):
        if name.startswith("BACKTAPE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr("sys.argv", ["backtape", *arguments])
        before = dict(os.environ)
        code = app._run()
        assert dict(os.environ) == before, "a command leaves the environment as it is"
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run
