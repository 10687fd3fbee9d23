"""Folders import each other only in the order in which data flows: the contracts in pyproject.toml, and what they rest on."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.sources import CHECKOUT

NOT_PRODUCT = {"tests", "benchmarks", "examples"}


def linter() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return settings


def test_the_contracts_hold() -> None:
    """import-linter, as `make lint` runs it. What it prints names the import to take away."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_is_under_contract() -> None:
    """A new folder with code gets its line in the contracts."""
    packages = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")} - NOT_PRODUCT
    assert set(linter()["root_packages"]) == packages
    sources = {name for contract in linter()["contracts"] for name in contract.get("source_modules", contract.get("modules", []))}
    assert packages - sources <= {"backtape"}, "only backtape may import everything"


@pytest.mark.parametrize("client", ["aiokafka", "asyncpg", "boto3", "botocore"])
def test_only_the_shell_is_excepted_from_the_rule_on_clients(client: str) -> None:
    """An exception that grows is a rule that is gone."""
    (contract,) = [each for each in linter()["contracts"] if "clients" in each["name"]]
    assert client in contract["forbidden_modules"]
    assert contract["ignore_imports"] == ["consumers.shell -> aiokafka", "consumers.feed -> aiokafka"]


HEAVY = {
    *("pandas", "pyarrow", "numba", "matplotlib", "plotly"),
    *("sqlalchemy", "aiokafka", "faststream", "asyncpg", "boto3", "duckdb", "asyncio.base_events"),
}


def imported(*modules: str) -> set[str]:
    """Return what a fresh interpreter has loaded after importing these."""
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_words_are_light_to_import() -> None:
    """A producer that uses the schemas does not load the engine's libraries, an event loop or a database client."""
    modules = [f"schemas.{path.stem}" for path in (CHECKOUT / "schemas").glob("*.py") if path.stem != "__init__"]
    assert imported(*modules) & HEAVY == set()


def test_events_and_commands_need_no_numpy() -> None:
    """Only market data is arrays."""
    assert "numpy" not in imported("schemas.commands", "schemas.commit", "schemas.receipts", "schemas.topics")


def test_importing_a_package_has_no_effect() -> None:
    """No thread, no log line, no client, no file: everything begins in main functions."""
    modules = "consumers.wiring, consumers.settings, adapters.ports, engine.lifecycle, projections.tables, snapshots"
    code = f"import threading, {modules}; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")
