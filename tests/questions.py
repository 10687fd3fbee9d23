"""This module takes the questions of docs/sql.md out of the document: the text above each block of SQL, and its statement."""

from pathlib import Path
from typing import NamedTuple

DOCUMENT = Path(__file__).parents[1] / "docs" / "sql.md"


class Question(NamedTuple):
    """A question in words, and its answer."""

    text: str
    sql: str


def questions() -> list[Question]:
    """Return them in the document's order."""
    part = DOCUMENT.read_text("utf-8").split("## Twenty questions", 1)[1].split("\n## ", 1)[0]
    texts, *blocks = part.split("```sql\n")
    found = []
    for block in blocks:
        sql, _, rest = block.partition(";\n```")
        found.append(Question(" ".join(texts.strip().rpartition("\n\n")[2].split()).rstrip(":"), sql))
        texts = rest
    return found
