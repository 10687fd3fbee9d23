"""docs/http.md runs as written, against the real service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.web_service import Service

pytestmark = pytest.mark.real

PAGE = Path(__file__).resolve().parents[3] / "docs" / "http.md"
BLOCK = re.compile(r"(?:<!-- answers (\d+) -->\n)?```sh\n(.*?)```", re.DOTALL)


def test_its_curl_examples_run_as_written(service: Service) -> None:
    """In their order, each with the status that it promises."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    assert len(blocks) >= 7
    environment = {**os.environ, "URL": service.address, "KEY": service.keys["ann"]}
    for status, block in blocks:
        for command in re.split(r"\n(?=curl )", block.strip()):
            checked = command.replace("curl ", "curl -o /dev/stdout -w '\\n%{http_code}' ", 1)
            done = subprocess.run(["sh", "-c", checked], env=environment, capture_output=True, text=True, timeout=150, check=True)
            body, _, code = done.stdout.rpartition("\n")
            assert code == (status or ("202" if "run-async" in command else "200")), (command, done.stdout[-2_000:])
            if "Accept:" not in command and "/stream" not in command:
                json.loads(body)
        if "run-async" in block and not status:
            assert service.wait("example", key="ann")["status"] == "completed"
