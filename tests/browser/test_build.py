"""The files that are served are those that the sources give, byte for byte, and the sources' types those that the API gives."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
APP = CHECKOUT / "web" / "app"
STATIC = CHECKOUT / "web" / "static"
MAX_GZIP = 260_000  # bytes over the wire at the first visit of every page; a library too many shows here


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with the locked packages installed. Skips without Node, or where no registry is reached."""
    if shutil.which("npm") is None:
        pytest.skip("Node and npm are not on this machine")
    root = tmp_path_factory.mktemp("checkout")
    copied = shutil.copytree(APP, root / "web" / "app", ignore=shutil.ignore_patterns("node_modules"))
    (root / "docs").mkdir()
    shutil.copy(CHECKOUT / "docs" / "openapi.json", root / "docs")
    done = npm(copied, "ci", "--prefer-offline", "--no-audit", "--no-fund")
    if done.returncode != 0:
        pytest.skip(f"npm could not install the locked packages: {done.stderr.strip().splitlines()[-1:]}")
    return copied


def npm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["npm", *arguments], cwd=folder, capture_output=True, text=True)


def test_the_committed_files_are_built_from_the_sources(sources: Path) -> None:
    """After a change in web/app: make web."""
    done = npm(sources, "run", "build")
    assert done.returncode == 0, done.stderr
    assert contents(sources.parent / "static") == contents(STATIC), "web/static is out of date: make web"


def test_types_are_those_of_the_document(sources: Path) -> None:
    """The page's types follow docs/openapi.json, and the sources follow the types."""
    committed = (APP / "src" / "api" / "schema.ts").read_bytes()
    done = npm(sources, "run", "types")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (sources / "src" / "api" / "schema.ts").read_bytes() == committed, "the types are out of date: make web"
    checked = npm(sources, "run", "check")
    assert checked.returncode == 0, checked.stdout


def test_nothing_is_loaded_from_elsewhere() -> None:
    """No inline script or style, no address of another host but in texts and licences; small enough for a slow line."""
    page = (STATIC / "index.html").read_text("utf-8")
    assert "<style" not in page and "style=" not in page and "<script>" not in page
    assert "http" not in page
    total = sum(len(compressed(path)) for path in STATIC.rglob("*.*") if path.suffix in (".js", ".css", ".html"))
    assert total < MAX_GZIP


def test_the_lock_names_no_download_address() -> None:
    """Packages come from wherever the user's npm gets them."""
    assert '"resolved"' not in (APP / "package-lock.json").read_text("utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def compressed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)
