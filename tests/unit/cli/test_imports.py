"""The command import-results, as far as it needs no servers: what it prints, and how it ends."""

import json
from pathlib import Path

from tests.legacy_results import DAMAGES, damaged, legacy
from tests.unit.cli.conftest import Cli

REPORT_FIELDS = {
    "is_dry_run", "files", "documents", "imported", "already", "refused", "resumed", "batches", "bytes", "orders", "fills",
    "trades", "marks", "pnl", "commission", "refusals",
}  # fmt: skip


def test_a_dry_run_prints_a_line_for_each_problem(cli: Cli, tmp_path: Path) -> None:
    """File, line, pointer, value, what is allowed; and how many of what on stderr."""
    (tmp_path / "a.json").write_text(json.dumps(legacy(1)))
    (tmp_path / "b.json").write_bytes(damaged("percent"))
    (tmp_path / "c.jsonl").write_bytes(b"\n" + damaged("no cash") + b"\n")
    said = cli("import-results", str(tmp_path), "--dry-run")
    assert said.code == 1
    assert said.out.splitlines() == [
        "b.json /metrics/win_rate: 55.0 is not allowed: number or null: "
        "closed positions with profit / all closed positions: 0 to 1",
        "c.jsonl:2 /initial_cash: 0 is not allowed: number: cash at the start, at least 1e-6",
    ]
    assert "3 documents in 3 files: 1 would be imported, 0 were there already, 2 refused" in said.err
    assert "3 trades, 0 orders, 0 fills, 6 points of equity" in said.err


def test_without_problems_it_ends_with_0(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(legacy(1)))
    said = cli("import-results", str(tmp_path / "a.json"), "--dry-run", "--json")
    assert said.code == 0
    assert set(said.document) == REPORT_FIELDS
    assert said.document["is_dry_run"] is True and said.document["refusals"] == []


def test_as_json_every_problem_has_its_fields(cli: Cli, tmp_path: Path) -> None:
    """For programs that mend documents."""
    for place, kind in enumerate(DAMAGES):
        (tmp_path / f"{place:02d}.json").write_bytes(damaged(kind))
    said = cli("import-results", str(tmp_path), "--dry-run", "--json")
    assert said.code == 1 and said.document["refused"] == len(DAMAGES)
    assert all(set(each) == {"file", "line", "pointer", "value", "allowed"} for each in said.document["refusals"])


def test_another_store_is_refused(cli: Cli, tmp_path: Path) -> None:
    """Nobody would put the manifests in their place there."""
    said = cli("import-results", str(tmp_path), "--to", "s3://elsewhere")
    assert said.code == 2 and "--to: 's3://elsewhere' is not allowed: this installation's store is" in said.err


def test_a_source_that_is_not_there_is_told(cli: Cli, tmp_path: Path) -> None:
    said = cli("import-results", str(tmp_path / "nowhere"), "--dry-run")
    assert said.code == 2 and "there is no such file or folder" in said.err
