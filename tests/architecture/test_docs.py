"""The pages are found from their index, and what they link to is there."""

import re
from pathlib import Path

import pytest

from tests.architecture.sources import CHECKOUT, all_files, shown

DOCS = CHECKOUT / "docs"
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    return [path for path in all_files() if path.suffix == ".md"]


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_links_lead_to_files(page: Path) -> None:
    """Those within the project; of others nothing is asked, because no test depends on the network."""
    text = FENCED.sub("", page.read_text("utf-8"))
    targets = [match[1] for match in LINK.finditer(text) if ":" not in match[1]]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_stands_in_the_index() -> None:
    """A page that nobody finds helps nobody."""
    index = (DOCS / "README.md").read_text("utf-8")
    assert [path.name for path in DOCS.glob("*.md") if path.name != "README.md" and f"({path.name})" not in index] == []


def test_every_decision_stands_in_its_table_with_a_status() -> None:
    """By number, without gaps."""
    table = (DOCS / "decisions" / "README.md").read_text("utf-8")
    decisions = sorted(path.name for path in (DOCS / "decisions").glob("[0-9]*.md"))
    assert [name for name in decisions if f"({name})" not in table] == []
    assert [int(name[:4]) for name in decisions] == list(range(1, len(decisions) + 1))
    for name in decisions:
        status = re.search(
            r"^Status: (proposed|accepted|replaced by \d{4})", (DOCS / "decisions" / name).read_text(), re.MULTILINE
        )
        assert status, f"{name} has a line `Status: proposed`, `accepted` or `replaced by NNNN`"
