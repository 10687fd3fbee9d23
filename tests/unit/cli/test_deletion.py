"""The delete command: which backtests it chooses, and what it refuses."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from backtape.cli import deletion
from backtape.cli.output import CommandError
from projections.queries import Query
from tests.unit.cli.conftest import Cli

MOMENT = datetime(2026, 1, 5, tzinfo=UTC)


class Model:
    """A read model with so many finished backtests, one a minute."""

    asked: ClassVar[list[Query]] = []

    def __init__(self, url: str) -> None:
        self.rows = [
            {"backtest_id": f"bt-{number:04d}", "finished_at": MOMENT - timedelta(minutes=number)} for number in range(2_500)
        ]

    async def __aenter__(self) -> "Model":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def ask(self, query: Query) -> list[dict[str, Any]]:
        self.asked.append(query)
        start = sum(len(page) for page in self.pages)
        page = self.rows[start : start + deletion.PAGE]
        self.pages.append(page)
        return page

    pages: ClassVar[list[list[dict[str, Any]]]] = []


def test_a_dry_run_says_which_and_sends_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, page by page."""
    monkeypatch.setattr("backtape.read_model.ReadModel", Model)
    Model.asked.clear()
    Model.pages.clear()
    said = cli("delete", "--keep", "10", "--dry-run", "--json")
    assert said.code == 0
    assert said.document["is_dry_run"] is True
    assert said.document["backtests"] == [f"bt-{number:04d}" for number in range(2_500)]
    assert [query.arguments for query in Model.asked[1:]] == [
        (10, MOMENT - timedelta(minutes=999), "bt-0999", 1_000),
        (10, MOMENT - timedelta(minutes=1_999), "bt-1999", 1_000),
    ]


@pytest.mark.parametrize("arguments", [(), ("bt-1", "--keep", "3"), ("--older-than", "90d", "--keep", "3")])
def test_one_way_to_say_which(cli: Cli, arguments: tuple[str, ...]) -> None:
    """Not two that contradict each other, and not all by leaving it out."""
    said = cli("delete", *arguments)
    assert (said.code, "say either an ID, or --older-than, or --keep" in said.err) == (2, True)


def test_an_age_has_a_number_and_a_unit() -> None:
    """Hours, days, weeks."""
    assert [deletion.age_of(text) for text in ("12h", "90d", "8w")] == [
        timedelta(hours=12), timedelta(days=90), timedelta(weeks=8),
    ]  # fmt: skip
    for wrong in ("90", "d", "1.5d", "-3d", "90 d", "9999999d"):
        with pytest.raises(CommandError, match="is not allowed: a number and h, d or w"):
            deletion.age_of(wrong)
