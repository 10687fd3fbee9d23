"""docs/producers.md says what the code does: its code is the examples', its tables are the enums', its limits the constants."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import MAX_COMMAND_BYTES, parse_command
from schemas.receipts import MAX_DEAD_LETTER_BYTES, DeadLetterHeaders, Outcome, Reason, Receipt, decode_receipt
from schemas.spec import MAX_SPEC_BYTES
from schemas.topics import COMMANDS, DAY_MS, RECEIPTS

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = CHECKOUT / "examples" / "producers"


@cache
def page() -> str:
    return (CHECKOUT / "docs" / "producers.md").read_text("utf-8")


def blocks(*languages: str) -> list[str]:
    return re.findall(rf"```(?:{'|'.join(languages)})\n(.*?)```", page(), re.DOTALL)


def test_its_code_is_that_of_the_examples() -> None:
    """Line by line; the examples themselves run against a real worker in tests/integration/test_producers.py."""
    texts = [path.read_text("utf-8") for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".java")]
    found = blocks("python", "java")
    assert len(found) == 3
    for block in found:
        assert any(block in text for text in texts), block


def test_its_commands_are_read_and_its_receipt_is_one() -> None:
    """Strictly, like every other."""
    documents: list[dict[str, Any]] = [json.loads(block) for block in blocks("json")]
    *commands, receipt = documents
    assert [type(parse_command(each).command).__name__ for each in commands] == [
        "SubmitBacktest",
        "CancelBacktest",
        "DeleteBacktest",
    ]
    assert isinstance(decode_receipt(json.dumps(receipt).encode()), Receipt)


def table(head: str) -> list[list[str]]:
    """Return the cells of the table whose first column is named so."""
    rows = page().split(f"| {head} |", 1)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_every_outcome_and_every_reason_is_explained() -> None:
    """Once each."""
    assert sorted(row[0].strip("` |") for row in table("outcome")) == sorted(Outcome)
    assert sorted(row[0].strip("` |") for row in table("reason")) == sorted(Reason)
    assert {each for row in table("reason") for each in row[1].split(", ")} <= set(Outcome)


@pytest.mark.parametrize(
    ("says", "bytes_"),
    [
        ("256 KiB of JSON", MAX_COMMAND_BYTES),
        ("canonical form (RFC 8785) | 64 KiB", MAX_SPEC_BYTES),
        ("first 128 KiB", MAX_DEAD_LETTER_BYTES),
    ],
)
def test_its_sizes_are_the_constants(says: str, bytes_: int) -> None:
    """In KiB."""
    number = re.search(r"(\d+) KiB", says)
    assert says in page() and number is not None and int(number[1]) * 1024 == bytes_


def test_its_times_and_headers_are_those_of_the_topics() -> None:
    """Retention, the broker's limit, and what a dead letter carries."""
    assert COMMANDS.settings["retention.ms"] == str(7 * DAY_MS) and "nobody reads | 7 days" in page()
    assert RECEIPTS.settings["retention.ms"] == str(30 * DAY_MS) and "dead letters | 30 days" in page()
    assert int(COMMANDS.settings["max.message.bytes"]) == 272 * 1024 and "above 272 KiB" in page()
    paragraph = page().split("## Dead letters")[1]
    assert all(f"`{name}`" in paragraph for name in DeadLetterHeaders.__struct_fields__)
