"""This module waits in the read model for what becomes of a command and of a backtest.

It looks when the projector announces that something changed (the Changes port), and every few seconds besides: an announcement
that was lost then costs only that time.
"""

from collections.abc import Callable
from contextlib import aclosing
from typing import Any, NoReturn

from backtape.cli.output import NO, fail
from backtape.client import Sent
from backtape.read_model import ReadModel, looks
from consumers.settings import Settings
from projections import queries

GOOD = ("accepted", "duplicate")


async def wait_for_receipt(settings: Settings, sent: Sent) -> dict[str, Any]:
    """Return the receipt of a command once it is there; the command ends with exit code 1 when it says no."""
    async with ReadModel(settings.database_url) as model, aclosing(looks(settings.database_url, sent.backtest_id)) as moments:
        async for _ in moments:
            for row in await model.ask(queries.commands(backtest_id=sent.backtest_id)):
                if row["command_id"] == sent.command_id and row["outcome"] != "forwarded":
                    if row["outcome"] not in GOOD:
                        fail(f"{row['outcome']} ({row['reason']}): {row['detail']}", NO)
                    return row
    raise AssertionError("looking ends with what was looked for")


async def wait_for_result(settings: Settings, sent: Sent) -> dict[str, Any]:
    """Return the row of a submitted backtest once it has ended."""
    await wait_for_receipt(settings, sent)
    return await wait_for_end(settings, sent.backtest_id)


async def wait_for_end(
    settings: Settings, backtest_id: str, *, tell: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Return a backtest's row once it has ended.

    tell : called with the row each time that it has changed
    """
    async with ReadModel(settings.database_url) as model:
        return await model.wait_for_end(backtest_id, tell=tell)


async def read_backtest(settings: Settings, backtest_id: str) -> dict[str, Any]:
    """Return a backtest's row; where there is none, the command ends and says what became of its commands."""
    async with ReadModel(settings.database_url) as model:
        row = await model.backtest(backtest_id)
        if row is None:
            _say_why_not(backtest_id, await model.commands(backtest_id))
        return row


def _say_why_not(backtest_id: str, commands: list[dict[str, Any]]) -> NoReturn:
    refused = next((row for row in commands if row["outcome"] not in (*GOOD, "forwarded")), None)
    why = "" if refused is None else f"; its last command was {refused['outcome']} ({refused['reason']}): {refused['detail']}"
    fail(f"the read model has no backtest {backtest_id!r}{why}", NO)
