"""The commands about the engine's rules: what they print, and how they exit."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
import typer

from adapters.errors import NotFoundError
from backtape.cli.engine_commands import check_lookahead, conformance
from backtape.cli.output import NO, NOT_TRIED, CommandError
from backtape.data.sample_market import sample_market
from engine.conformance import run_conformance
from schemas.spec import parse_spec

CASES = Path(__file__).parents[1] / "conformance"


def _has_samples() -> bool:
    try:
        importlib.metadata.distribution("bokeh-sampledata")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@pytest.mark.skipif(not _has_samples(), reason="bokeh-sampledata is not installed (deploy/demo-data.txt)")
def test_whole_runs_give_the_statistics_of_the_engine_they_come_from() -> None:
    """Nine years of daily bars, 66 trades, to 1e-9."""
    for result in run_conformance([CASES / "run"], sample_market):
        assert result.error is None
        assert [str(mismatch) for mismatch in result.mismatches] == []


def test_other_data_than_the_sample_is_refused() -> None:
    """A case can name the sample stocks only."""
    document = {"data": {"dataset": "other", "symbols": ["GOOG"], "timeframe": "1d"}, "strategy": {"name": "sma_cross"}}
    with pytest.raises(NotFoundError, match="cases run on stocks-daily-raw"):
        sample_market(parse_spec(document))


def test_cases_that_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """One document on stdout, exit code 0."""
    conformance([CASES / "ledger"], as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["cases"] == document["passed"] == len(list((CASES / "ledger").glob("*.json")))


def test_a_case_that_differs_and_one_that_cannot_be_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A difference is a no; a case that could not be tried is not, but is no success."""
    document: dict[str, Any] = json.loads((CASES / "statistics" / "nt-s4.json").read_text())
    document["expect"]["profit_factor"] = 2.0
    (tmp_path / "wrong.json").write_text(json.dumps(document))
    with pytest.raises(typer.Exit) as stopped:
        conformance([tmp_path], as_json=False)
    assert stopped.value.exit_code == NO
    assert "expected 2.0" in capsys.readouterr().out
    (tmp_path / "wrong.json").write_text("{}")
    with pytest.raises(typer.Exit) as stopped:
        conformance([tmp_path], as_json=False)
    assert stopped.value.exit_code == NOT_TRIED
    with pytest.raises(CommandError, match="no such file"):
        conformance([tmp_path / "nothing"], as_json=False)


def test_look_ahead_of_a_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A built-in does not look ahead; a range without bars could not be tried."""
    from adapters.folder import FolderBlobStore
    from backtape.data.samples import import_stocks

    if not _has_samples():
        pytest.skip("bokeh-sampledata is not installed")
    import_stocks(FolderBlobStore(tmp_path / "store"), ["IBM"])
    spec = tmp_path / "spec.json"
    data = {"dataset": "stocks-daily", "symbols": ["IBM"], "timeframe": "1d", "start": "2010-01-01", "end": "2011-01-01"}
    spec.write_text(json.dumps({"data": data, "strategy": {"name": "sma_cross", "parameters": {"fast": 5, "slow": 20}}}))
    check_lookahead(spec, data=str(tmp_path / "store"), cuts=2, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"looks_ahead": False, "cuts": 2, "difference": None}
