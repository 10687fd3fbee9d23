"""What docs/python.md and the quick start show, runs as written."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_snippets_of_the_python_page_run(tmp_path, monkeypatch):
    """In their order, in one namespace, as a reader would paste them; a strategy's class is looked up in its module."""
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), flags=re.DOTALL)
    assert len(snippets) >= 6
    (tmp_path / "snippets.py").write_text("\n\n".join(snippets))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = runpy.run_path(str(tmp_path / "snippets.py"), run_name="snippets")
    assert found["again"].chain_head
    assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "months.png").exists()
    assert "<!DOCTYPE html>" in (tmp_path / "report.html").read_text()


def test_the_quick_start_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["quickstart.py", str(tmp_path)])
    runpy.run_path(str(ROOT / "examples" / "quickstart.py"), run_name="__main__")
    assert "chain head" in capsys.readouterr().out
    assert (tmp_path / "quickstart.html").stat().st_size > 100_000
    assert (tmp_path / "quickstart.png").exists()


@pytest.mark.parametrize("symbol", ["SPY"])
def test_real_prices_give_a_whole_report(symbol, tmp_path):
    """Twenty years of days; the file is not part of the repository."""
    path = ROOT.parent / "shared" / "data" / f"{symbol}.1d.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} lies beside the repository on development machines only")
    import pandas as pd

    from backtape import run

    result = run({"strategy": {"name": "sma_cross"}}, pd.read_parquet(path), symbol=symbol)
    html = result.report(tmp_path / "spy.html").read_text()
    assert 100_000 < len(html) < 900_000
    assert "2009" in html
