"""Every conformance case gives the numbers of the engine it comes from."""

import json
from pathlib import Path

import pytest

from engine.conformance import run_case, run_conformance
from engine.conformance_report import document_of

FOLDER = Path(__file__).parents[2] / "conformance"
FILES = sorted(file for file in FOLDER.rglob("*.json") if file.parent.name != "run")


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
    assert run_case([1]).error == "a case is a JSON object"
    assert run_case({"id": "x", "kind": "run", "expect": {}}).error == (
        "ValueError: a case of the kind run needs a store of data sets"
    )


def test_what_is_not_json_is_a_case_that_does_not_pass(tmp_path: Path) -> None:
    """One broken file does not hide the other cases."""
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text((FOLDER / "ledger" / "ba-2.json").read_text())
    broken, good = run_conformance([tmp_path])
    assert good.passed
    assert broken.error is not None
    assert broken.error.startswith("not JSON")
    assert document_of([broken, good])["passed"] == 1
