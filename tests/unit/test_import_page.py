"""docs/import.md says what the code does: its document is taken, its limits are those of the schema, its tables an import's."""

import json
import re
from functools import cache
from pathlib import Path

from schemas import legacy_result
from schemas.legacy_result import LEGACY_RESULT
from snapshots.imports import IMPORT_TABLES
from snapshots.legacy import Document, read_document
from snapshots.legacy_json import MAX_NUMBER, MAX_PROBLEMS

CHECKOUT = Path(__file__).resolve().parents[2]


@cache
def page() -> str:
    return (CHECKOUT / "docs" / "import.md").read_text("utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", page(), re.DOTALL | re.MULTILINE)
    return str(found)


def test_its_document_is_taken() -> None:
    """And shows every field that there is, at the top."""
    text = block("json")
    found = read_document(text.strip().encode(), source="a.json")
    assert isinstance(found, Document), found
    assert set(json.loads(text)) == set(LEGACY_RESULT["properties"]) - {"format"}
    assert (found.result.pnl, found.result.total_return) == (13.0, 100_013.0 / 100_000.0 - 1.0)


def test_its_limits_are_those_of_the_schema() -> None:
    """In the words of the page."""
    said = {
        f"a document {legacy_result.MAX_DOCUMENT_BYTES // 2**20} MiB",
        f"a file of lines {legacy_result.MAX_LINES_BYTES // 2**30} GiB",
        f"{legacy_result.MAX_TRADES:,} trades",
        f"{legacy_result.MAX_ORDERS:,} orders",
        f"{legacy_result.MAX_FILLS:,} fills",
        f"{legacy_result.MAX_MARKS:,} points of equity",
        f"{legacy_result.MAX_METRICS} metrics",
        f"{legacy_result.MAX_TAGS} tags",
        f"{legacy_result.MAX_RESULT_BYTES // 1024} KiB for all but the rows",
        f"At most {MAX_PROBLEMS} problems",
        f"at most {MAX_NUMBER:.0e}".replace("e+", "e"),
    }
    text = " ".join(page().split())
    assert [each for each in sorted(said) if each not in text] == []
    properties = LEGACY_RESULT["properties"]
    assert properties["symbols"]["maxItems"] == 1_000 and "1,000 symbols" in text


def test_its_refusals_are_told_so() -> None:
    """Each line of the example begins as a refusal does, and says what the code says."""
    for line in block("text").strip().splitlines():
        assert re.match(r"^\S+(:\d+)? /\S+: \S+ is not allowed: .+$", line), line


def test_it_names_every_table() -> None:
    assert all(f"`{name}`" in page() for name in IMPORT_TABLES)
