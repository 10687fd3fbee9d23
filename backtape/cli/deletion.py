"""This module holds the command that deletes finished backtests: one by its id, or those that are old or too many."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import typer

from backtape.cli.app import app, settings, wait_for
from backtape.cli.backtests import TIMEOUT, within
from backtape.cli.output import JSON_OPTION, fail, print_json, say

UNITS = {"h": "hours", "d": "days", "w": "weeks"}
AGE = re.compile(r"(\d{1,6})([hdw])")
PAGE = 1_000  # ids that are asked for, and deleted, at a time


@app.command()
def delete(
    backtest_id: str | None = typer.Argument(None, metavar="ID", help="The backtest's id; without: --older-than or --keep."),
    older_than: str | None = typer.Option(None, "--older-than", metavar="AGE", help="All that ended so long ago: 12h, 90d, 8w."),
    keep: int | None = typer.Option(None, "--keep", min=0, help="All but so many that ended last."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say which it would be."),
    reason: str = typer.Option("", help="Why."),
    submitter: str | None = typer.Option(None, "--submitter", help="Who deletes them."),
    wait: bool = typer.Option(False, "--wait", help="Wait for each command's receipt; exit code 1 when one is rejected."),
    timeout: float | None = TIMEOUT,
    as_json: bool = JSON_OPTION,
) -> None:
    """Publish DeleteBacktest commands for finished backtests.

    Rows and snapshot go, the log stays until it is truncated behind the archive. There is no way back.
    """
    given = [each is not None for each in (backtest_id, older_than, keep)]
    if sum(given) != 1:
        fail("say either an ID, or --older-than, or --keep")
    before = None if older_than is None else datetime.now(UTC) - age_of(older_than)
    if dry_run:
        found = [backtest_id] if backtest_id is not None else wait_for(_chosen(before, keep))
        _show(found, [], as_json=as_json, is_dry=True)
        return
    work = _delete(backtest_id, before=before, keep=keep, reason=reason, submitter=submitter, wait=wait)
    done = within(timeout, work, "no receipts") if wait else wait_for(work)
    _show([sent.backtest_id for sent, _ in done], [receipt for _, receipt in done if receipt], as_json=as_json)


def age_of(text: str) -> timedelta:
    """Return the time of an age such as 90d. Ends the command for anything else."""
    found = AGE.fullmatch(text)
    if found is None:
        fail(f"--older-than: {text!r} is not allowed: a number and h, d or w, such as 90d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


async def _delete(
    backtest_id: str | None,
    *,
    before: datetime | None,
    keep: int | None,
    reason: str,
    submitter: str | None,
    wait: bool,
) -> list[tuple[Any, dict[str, Any] | None]]:
    """Send the commands, and return what was sent with the receipts. The ids are read before anything is deleted."""
    from backtape.cli.waiting import wait_for_receipt
    from backtape.client import Client

    chosen = [backtest_id] if backtest_id is not None else await _chosen(before, keep)
    used = settings()
    async with Client(used) as client:
        sent = [await client.delete(each, reason=reason, submitter=submitter) for each in chosen]
    return [(each, await wait_for_receipt(used, each) if wait else None) for each in sent]


async def _chosen(before: datetime | None, keep: int | None) -> list[str]:
    from backtape.read_model import ReadModel
    from projections import queries
    from projections.queries import After

    found: list[str] = []
    after: After | None = None
    async with ReadModel(settings().database_url) as model:
        while True:
            page = await model.ask(queries.deletable(finished_before=before, keep=keep, after=after, limit=PAGE))
            found += [row["backtest_id"] for row in page]
            if len(page) < PAGE:
                return found
            after = After(page[-1]["finished_at"], (page[-1]["backtest_id"],))


def _show(backtest_ids: list[str], receipts: list[dict[str, Any]], *, as_json: bool, is_dry: bool = False) -> None:
    if as_json:
        print_json({"backtests": backtest_ids, "is_dry_run": is_dry, "receipts": receipts})
        return
    for each in backtest_ids:
        typer.echo(each)
    say(f"{len(backtest_ids)} {'would be deleted' if is_dry else 'deletes published'}, {len(receipts)} receipts")
