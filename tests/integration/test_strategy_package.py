"""The example package is installed as a user would, and its strategies are found and run by their registered names."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapters.folder import FolderBlobStore
from backtape.data.columns import TimeRules
from backtape.data.importing import Table, import_tables
from schemas.market_data import Instrument

PACKAGE = Path(__file__).parents[2] / "examples" / "strategy_package"
HOURS = 3_000


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build and install a copy of the package into a folder of its own, without network."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(PACKAGE, folder / "source")
    target = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(folder / "source")], check=True, timeout=300)
    assert list(target.glob("backtape_example_strategies-*.dist-info/entry_points.txt"))
    return target


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hours of three symbols that wave around rising lines."""
    folder = tmp_path_factory.mktemp("store")
    times = pd.date_range("2023-01-02", periods=HOURS, freq="h", tz="UTC")
    tables = []
    for place, symbol in enumerate(("AAA", "BBB", "CCC")):
        hours = np.arange(HOURS)
        close = np.round(100 + hours / 40 + (6 + place) * np.sin(hours / (11 + 30 * place)), 2)
        frame = pd.DataFrame({"timestamp": times, "open": close, "high": close + 0.5, "low": close - 0.5, "close": close})
        tables.append(Table(symbol, "1h", frame.assign(volume=1_000.0), symbol))
    instruments = [Instrument(symbol=table.symbol, calendar="always", lot=0.01) for table in tables]
    import_tables(FolderBlobStore(folder), tables, dataset="hours", times=TimeRules(), instruments=instruments)
    return folder


def run_cli(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "backtape", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def spec_file(folder: Path, name: str, parameters: dict[str, Any], **data: Any) -> Path:
    path = folder / f"{name}.json"
    document = {
        "data": {"dataset": "hours", "timeframe": "1h", "symbols": ["AAA"], **data},
        "strategy": {"name": name, "parameters": parameters},
    }
    path.write_text(json.dumps(document))
    return path


def test_a_packages_strategies_run_by_their_names(installed: Path, store: Path, tmp_path: Path) -> None:
    """Both trade; two runs of the same spec end with the same digest."""
    pullback = spec_file(tmp_path, "trend_pullback", {"trend": 5, "stop": 0.01, "length": 10}, frames=["1d"], warmup=200)
    rotation = spec_file(tmp_path, "weekly_rotation", {"lookback": 100, "keep": 1}, symbols=["AAA", "BBB", "CCC"])
    for path in (pullback, rotation):
        first, second = (run_cli(installed, "run", str(path), "--store", str(store), "--json") for _ in range(2))
        assert first.returncode == 0, first.stderr
        document = json.loads(first.stdout)
        assert document == json.loads(second.stdout)
        assert document["fills"] > 5, document


def test_a_packages_parameters_are_checked_by_their_ranges(installed: Path, store: Path, tmp_path: Path) -> None:
    """The catalogue knows them: a wrong value is refused by its path, before anything runs."""
    path = spec_file(tmp_path, "trend_pullback", {"risk": 0.5}, frames=["1d"])
    answer = run_cli(installed, "run", str(path), "--store", str(store))
    assert answer.returncode != 0
    assert "strategy.parameters.risk" in answer.stderr


def test_a_packages_strategies_do_not_look_ahead(installed: Path, store: Path, tmp_path: Path) -> None:
    """``check-lookahead`` finds the strategy in the same way, and agrees."""
    path = spec_file(tmp_path, "trend_pullback", {"trend": 5}, frames=["1d"], warmup=200)
    answer = run_cli(installed, "check-lookahead", str(path), "--data", str(store), "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["looks_ahead"] is False


def test_without_the_package_the_strategy_is_unknown(store: Path, tmp_path: Path) -> None:
    """The name is the package's, not built in."""
    path = spec_file(tmp_path, "trend_pullback", {}, frames=["1d"])
    answer = run_cli(tmp_path, "run", str(path), "--store", str(store))
    assert answer.returncode != 0
    assert "trend_pullback" in answer.stderr
