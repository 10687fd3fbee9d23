"""This module runs the command line in this process, far from any server."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

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


def run_in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Run a command in this process; what it sets for its process is put back."""
    monkeypatch.setattr("sys.argv", ["backtape", *arguments])
    environment, level = dict(os.environ), logging.getLogger("aiokafka").level
    capsys.readouterr()
    try:
        code = app._run()
    finally:
        os.environ.clear()
        os.environ.update(environment)
        logging.getLogger("aiokafka").setLevel(level)
        structlog.reset_defaults()  # its loggers hold the captured stderr
    said = capsys.readouterr()
    return Said(code, said.out, said.err)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """A function that runs a command in an empty folder, without any setting of the machine's."""
    for name in list(os.environ):
        if name.startswith("BACKTAPE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Said:
        return run_in_process(monkeypatch, capsys, *arguments)

    return run
