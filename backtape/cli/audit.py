"""This module prints audits."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from backtape.cli.output import DONE, NO, NOT_TRIED, print_json, say, table
from backtape.proof.audit import Audit
from backtape.proof.rerun import Verdict

CHECKS = ("chain", "owner", "books", "data", "re-run", "SQL", "Parquet")


def exit_code(audits: Sequence[Audit], *, of_all: bool = False) -> int:
    """0: all proven. 1: something differs. 2: something could not be tried, and nothing differs.

    of_all : nobody asked for an imported result: one of which all that can be checked agrees changes nothing
    """
    verdicts = {audit.verdict for audit in audits if not (of_all and audit.is_imported and audit.is_intact)}
    return NO if Verdict.DIFFERENT in verdicts else NOT_TRIED if Verdict.NOT_TRIED in verdicts else DONE


def show_audits(audits: Sequence[Audit], *, as_json: bool) -> None:
    """Print each run's verdict, and in words what is not proven."""
    if as_json:
        print_json([_document(audit) for audit in audits])
        return
    rows = []
    for audit in audits:
        by_check = {finding.check: finding for finding in audit.findings}
        events = by_check["chain"].detail.split(",")[1].strip() if "chain" in by_check else None
        rows.append((audit.backtest_id, audit.verdict, events, *(_mark(by_check.get(check)) for check in CHECKS)))
    counts = Counter("imported" if audit.is_imported and audit.is_intact else audit.verdict for audit in audits)
    if len(audits) > 1:
        said = [f"{counts[verdict]} {verdict.replace('_', ' ')}" for verdict in Verdict]
        if counts["imported"]:
            said.append(f"{counts['imported']} imported, which agree with their originals and can't be proven")
        say(", ".join(said) + f", of {len(audits)} backtests")
    table("Audit", ("backtest", "verdict", "log", *CHECKS), rows)
    open_points = [(audit.backtest_id, each) for audit in audits for each in audit.findings if each.verdict is not Verdict.PROVEN]
    if open_points:
        table(
            "Not proven",
            ("backtest", "check", "verdict", "detail"),
            [(name, each.check, each.verdict, each.detail) for name, each in open_points],
        )


def _mark(finding: Any) -> str:
    return "–" if finding is None else {"proven": "ok", "different": "DIFFERS", "not_tried": "not tried"}[finding.verdict]


def _document(audit: Audit) -> dict[str, Any]:
    return {
        "backtest_id": audit.backtest_id,
        "verdict": audit.verdict,
        "findings": [{"check": each.check, "verdict": each.verdict, "detail": each.detail} for each in audit.findings],
    }
