"""Every conformance case gives the numbers of the engine it comes from."""

import json
from pathlib import Path

import pytest

from engine.conformance import run_case, run_conformance

FOLDER = Path(__file__).parents[2] / "conformance"
FILES = sorted(FOLDER.rglob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_case_gives_the_numbers_of_the_engine_it_comes_from(file: Path) -> None:
    """Fills, states, ledger values or statistics agree to 1e-9."""
    [result] = run_conformance([file])
    assert result.error is None
    assert [str(mismatch) for mismatch in result.mismatches] == []


def test_a_wrong_number_is_reported_with_both_values() -> None:
    """A case that does not hold names the path, what was expected and what came out."""
    document = json.loads((FOLDER / "ledger" / "ba-2.json").read_text())
    document["expect"][1]["closed"]["realized_pnl"] = 31
    result = run_case(document)
    assert not result.passed
    assert str(result.mismatches[0]) == "expect[1].closed.realized_pnl: expected 31, actual 30.0"


def test_a_case_that_cannot_be_run_does_not_pass() -> None:
    """A case without a known kind says so."""
    assert run_case({"id": "x", "kind": "riddle", "expect": {}}).error == "KeyError: 'riddle'"
