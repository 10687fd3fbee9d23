"""This module brings the jars of the Java services: by Maven, from the `pom.xml` files beside it, once.

A folder of jars counts only when it is complete. It is filled under another name, listed with its sizes, and renamed: a download
that was killed leaves nothing that looks finished, and a jar that was cut or removed later is noticed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backtape.stack.errors import JarsMissing

Report = Callable[[str], None]

POMS = Path(__file__).with_name("poms")
BUNDLES = ("kafka", "s3proxy")
LISTING = "listing.json"
ATTEMPTS = 3
DOWNLOADED_JAR = re.compile(r"Downloaded from [^:]+: \S+/([^/\s]+\.jar) \(([\d.]+) (\w+) at")
BYTES_PER_UNIT = {"B": 1, "kB": 1_000, "MB": 1_000_000}
REPORT_EVERY_BYTES = 5_000_000


def class_path(root: Path, bundle: str) -> str:
    """Return the class path of a bundle whose jars are in place."""
    return str(folder_of(root, bundle) / "*")


def folder_of(root: Path, bundle: str) -> Path:
    """Return where the jars of a bundle belong. Another pom.xml is another folder, so an upgrade never mixes versions."""
    digest = hashlib.sha256(_pom(bundle).read_bytes()).hexdigest()
    return root / f"{bundle}-{digest[:12]}"


def is_complete(folder: Path) -> bool:
    """Say whether every jar that the download brought is there with its size."""
    try:
        listing = json.loads((folder / LISTING).read_text())
        return bool(listing) and all((folder / name).stat().st_size == size for name, size in listing.items())
    except (OSError, ValueError):
        return False


def fetch_all(root: Path, *, report: Report, maven: str = "mvn") -> None:
    """Fetch every bundle that is missing or damaged."""
    for bundle in BUNDLES:
        fetch(root, bundle, report=report, maven=maven)


def fetch(root: Path, bundle: str, *, report: Report, maven: str = "mvn") -> Path:
    """Return the folder of a bundle's jars; fetch it first when it is missing or damaged. Safe to call from several processes."""
    folder = folder_of(root, bundle)
    if is_complete(folder):
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with _only_one(root / f"{bundle}.lock"):
        if not is_complete(folder):
            _replace(folder, bundle, report, maven)
    return folder


def _replace(folder: Path, bundle: str, report: Report, maven: str) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    problem = ""
    for attempt in range(1, ATTEMPTS + 1):
        report(f"{bundle}: fetching its jars by Maven" + (f", attempt {attempt} of {ATTEMPTS}" if attempt > 1 else ""))
        _remove(partial)
        # After a failure do not trust the user's local repository: a damaged jar in it would be copied again and again.
        problem = _download(bundle, partial, partial / "repository" if attempt > 1 else None, report, maven)
        if not problem:
            _seal(partial)
            _remove(folder)
            partial.rename(folder)
            return
        report(f"{bundle}: {problem.splitlines()[0]}")
    raise JarsMissing(f"the jars of {bundle} could not be fetched by `{maven}`:\n{problem}")


def _download(bundle: str, target: Path, repository: Path | None, report: Report, maven: str) -> str:
    """Run Maven; return what went wrong, or nothing."""
    target.mkdir(parents=True)
    command = [
        maven,
        "-B",
        "-f",
        str(_pom(bundle)),
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={target}",
        *([f"-Dmaven.repo.local={repository}"] if repository else []),
    ]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
    except OSError as error:
        return f"Maven did not start: {error}"
    with process:
        assert process.stdout is not None
        errors = _follow(process.stdout, bundle, report)
    if process.returncode != 0:
        return f"Maven ended with {process.returncode}\n" + "\n".join(errors[:10])
    found = sorted(target.glob("*.jar"))
    damaged = [jar.name for jar in found if not zipfile.is_zipfile(jar)]
    if damaged or not found:
        return f"damaged jars: {', '.join(damaged)}" if damaged else "Maven brought no jars"
    return ""


def _follow(lines: Iterator[str], bundle: str, report: Report) -> list[str]:
    """Report the progress that Maven's output shows; return its lines of errors."""
    errors, jars, size, reported = [], 0, 0.0, 0.0
    for line in lines:
        if "ERROR" in line:
            errors.append(line.rstrip())
        if match := DOWNLOADED_JAR.search(line):
            jars += 1
            size += float(match[2]) * BYTES_PER_UNIT.get(match[3], 0)
            if size - reported >= REPORT_EVERY_BYTES:
                reported = size
                report(f"{bundle}: {jars} jars, {size / 1e6:.0f} MB")
    return errors


def _seal(folder: Path) -> None:
    _remove(folder / "repository")
    sizes = {jar.name: jar.stat().st_size for jar in sorted(folder.glob("*.jar"))}
    (folder / LISTING).write_text(json.dumps(sizes, indent=1))


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _pom(bundle: str) -> Path:
    return POMS / bundle / "pom.xml"


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    # The kernel drops the lock when its holder dies, however it dies.
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
