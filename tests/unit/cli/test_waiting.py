"""Waiting for a receipt: what counts as an answer, and which answers are a no."""

from collections.abc import AsyncGenerator
from typing import Any, ClassVar

import pytest

from backtape.cli import waiting
from backtape.cli.output import CommandError
from backtape.client import Sent
from consumers.settings import load_settings

SENT = Sent(command_id="c1", backtest_id="b", partition=0, offset=0)


class Model:
    """A read model that knows more at each look."""

    looks: ClassVar[list[list[dict[str, Any]]]] = []

    def __init__(self, url: str) -> None:
        self._looks = iter(self.looks)

    async def __aenter__(self) -> "Model":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def ask(self, query: object) -> list[dict[str, Any]]:
        return next(self._looks)

    async def commands(self, backtest_id: str) -> list[dict[str, Any]]:
        return next(self._looks)

    async def backtest(self, backtest_id: str) -> dict[str, Any] | None:
        return None


async def _always(database_url: str, backtest_id: str) -> AsyncGenerator[None]:
    while True:
        yield


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> type[Model]:
    monkeypatch.setattr(waiting, "ReadModel", Model)
    monkeypatch.setattr(waiting, "looks", _always)
    return Model


def receipt(outcome: str, command_id: str = "c1") -> dict[str, Any]:
    return {"command_id": command_id, "outcome": outcome, "reason": "why", "detail": "in words"}


async def test_the_command_s_own_last_receipt_is_the_answer(model: type[Model]) -> None:
    """Not that of another command, and not that it was forwarded."""
    model.looks = [[], [receipt("rejected", "c0")], [receipt("forwarded")], [receipt("forwarded"), receipt("accepted")]]
    assert (await waiting.wait_for_receipt(load_settings(), SENT))["outcome"] == "accepted"


@pytest.mark.parametrize("outcome", ["rejected", "expired", "queue_full", "dead"])
async def test_a_refusal_is_a_no(model: type[Model], outcome: str) -> None:
    model.looks = [[receipt(outcome)]]
    with pytest.raises(CommandError, match=f"{outcome} \\(why\\): in words") as caught:
        await waiting.wait_for_receipt(load_settings(), SENT)
    assert caught.value.code == 1


async def test_an_unknown_backtest_comes_with_what_became_of_its_command(model: type[Model]) -> None:
    model.looks = [[receipt("rejected")]]
    with pytest.raises(CommandError, match="no backtest 'b'; its last command was rejected \\(why\\): in words"):
        await waiting.read_backtest(load_settings(), "b")
