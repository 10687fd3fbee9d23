"""This module keeps other engines in an environment of their own, and runs small scripts in it.

``python -m benchmarks.peers`` installs what benchmarks/peers.txt names into .backtape/peers, once: they are no dependencies of
ours and can't share an environment with us. An engine that does not install is left out, and is named.
"""

import hashlib
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

PINS = Path(__file__).parent.with_suffix(".txt")
FOLDER = Path(".backtape/peers")
CONSTRAINTS = ("pandas", "plotly")  # pins that no engine is named by


def python() -> Path:
    return FOLDER / "bin" / "python"


def pins() -> dict[str, str]:
    """Return each engine's requirement by its name."""
    lines = [line.strip() for line in PINS.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return {line.split("==")[0].split("<")[0]: line for line in lines}


def install() -> dict[str, str]:
    """Install what is missing. Return, for each engine, its version, or why it is not there."""
    stamp = FOLDER / "installed.json"
    digest = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if stamp.exists():
        found = json.loads(stamp.read_text())
        if found["digest"] == digest:
            return dict(found["engines"])
    venv.create(FOLDER, with_pip=True, clear=True)
    together = [pin for name, pin in pins().items() if name in CONSTRAINTS]
    engines = {}
    for name, pin in pins().items():
        if name not in CONSTRAINTS:
            done = _pip("install", "--quiet", pin, *together)
            last = (done.stderr.strip().splitlines() or ["?"])[-1]
            engines[name] = pin.split("==")[1] if done.returncode == 0 else f"did not install: {last}"
            print(f"{name}: {engines[name]}", file=sys.stderr, flush=True)
    stamp.write_text(json.dumps({"digest": digest, "engines": engines}))
    return engines


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(python()), "-m", "pip", *arguments], capture_output=True, text=True, check=False)


def run(script: Path, *arguments: str, timeout: float = 900.0) -> Any:
    """Run a script in the peers' environment, and return the JSON document that is the last line of what it prints.

    Raises RuntimeError with the end of what it said on stderr when it fails.
    """
    done = subprocess.run(
        [str(python()), str(script), *arguments], capture_output=True, text=True, check=False, timeout=timeout
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{script.name}: {done.stderr.strip()[-600:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
