"""A reader that waits for its command is told when the tables do not get there."""

from __future__ import annotations

from typing import Any, cast

import pytest

from web.freshness import wait_until_shown
from web.problems import ProblemError
from web.services import Services


class Answers:
    """A read model that shows the command at the given question."""

    def __init__(self, shown_at: int) -> None:
        self.asked, self.shown_at = 0, shown_at

    async def ask(self, _: object) -> list[dict[str, Any]]:
        self.asked += 1
        return [{"is_shown": self.asked >= self.shown_at}]


async def test_a_command_that_is_not_projected_is_503_with_its_offset() -> None:
    with pytest.raises(ProblemError, match="offset 7 of the commands topic, about 'bt-1'") as told:
        await wait_until_shown(cast(Services, Answers(10**9)), "bt-1", 7, patience_seconds=0.0)
    assert told.value.status == 503


async def test_the_wait_ends_with_the_first_answer_that_shows_it() -> None:
    answers = Answers(3)
    await wait_until_shown(cast(Services, answers), "bt-1", 7, patience_seconds=60.0)
    assert answers.asked == 3
