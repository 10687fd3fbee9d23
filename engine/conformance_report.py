"""This module shows the results of conformance cases as one document."""

from collections.abc import Sequence
from typing import Any

from engine.conformance import CaseResult


def document_of(results: Sequence[CaseResult]) -> dict[str, Any]:
    """Return what ``--json`` prints: counts, and each case with what differs."""
    return {
        "cases": len(results),
        "passed": sum(result.passed for result in results),
        "results": [
            {
                "id": result.id,
                "file": result.file,
                "passed": result.passed,
                "error": result.error,
                "mismatches": [
                    {"path": mismatch.path, "expected": mismatch.expected, "actual": mismatch.actual}
                    for mismatch in result.mismatches
                ],
            }
            for result in results
        ],
    }
