"""How answers are printed."""

import json
from datetime import UTC, datetime

import pytest

from backtape.cli.output import one_line, print_json, table


def test_json_has_times_in_rfc_3339_and_null_for_what_is_undefined(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"time": datetime(2020, 1, 2, 3, tzinfo=UTC), "sharpe": float("nan"), "word": "é"})
    assert json.loads(capsys.readouterr().out) == {"time": "2020-01-02T03:00:00Z", "sharpe": None, "word": "é"}


def test_a_table_that_is_piped_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A file has no edge; nor are lines filled with blanks."""
    table("Long", ("name", "text", "number"), [("a", "x" * 500, 1), ("b", None, None)], right=("number",))
    lines = capsys.readouterr().out.splitlines()
    assert any("x" * 500 in line for line in lines)
    assert any(line.split() == ["b", "–", "–"] for line in lines)
    assert all(line == line.rstrip() for line in lines)


def test_what_looks_like_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    table("Title", ("text",), [("[red]no[/red] [/tmp]",)])
    assert "[red]no[/red] [/tmp]" in capsys.readouterr().out


def test_several_lines_become_one() -> None:
    assert one_line("a.csv is refused:\n  row 1: bad\n  row 2: worse\n") == "a.csv is refused: row 1: bad; row 2: worse"
