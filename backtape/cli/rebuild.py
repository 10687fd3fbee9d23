"""This module holds the command that builds the read model anew, beside the one that people read."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from backtape.cli.app import app, settings
from backtape.cli.output import JSON_OPTION, NO, print_json, say

if TYPE_CHECKING:
    from consumers.rebuild.job import Rebuild, Rebuilt


@app.command()
def rebuild(
    rollback: bool = typer.Option(False, "--rollback", help="Let the generation that was live before be live again."),
    backtest: str | None = typer.Option(None, "--backtest", metavar="ID", help="Make the rows of one backtest anew, in place."),
    only: str | None = typer.Option(None, "--only", metavar="TABLE", help="Make one table anew, such as trades, in place."),
    drop_old: bool = typer.Option(False, "--drop-old", help="Remove the generations that are kept for a rollback."),
    no_swap: bool = typer.Option(False, "--no-swap", help="Build and compare, and leave the views as they are."),
    accept_differences: bool = typer.Option(False, "--accept-differences", help="Swap although rows differ from the live ones."),
    processes: int = typer.Option(0, "--processes", min=0, help="How many processes read the events; 0: one for each core."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Build the SQL tables anew, beside the live ones.

    From the log and the archive; then compare them, swap, and keep the old ones for --rollback.

    Readers see the old tables or the new ones, never a mix. Exit 1: rows differ, nothing was swapped.
    """
    import asyncio

    from consumers.rebuild.job import DifferentError, Rebuild
    from consumers.rebuild.only import TableRebuild

    if backtest is not None:
        _remake(backtest, as_json=as_json)
        return
    job = Rebuild(settings(), report=say, processes=processes or os.cpu_count() or 1)
    try:
        if drop_old and not rollback:
            _tell_dropped(job, as_json=as_json)
            return
        if only is not None:
            one = TableRebuild(settings(), report=say, processes=processes or os.cpu_count() or 1)
            done = asyncio.run(one.run_for(only, accepts_differences=accept_differences))
        else:
            work = job.rollback() if rollback else job.run(accepts_differences=accept_differences, swaps=not no_swap)
            done = asyncio.run(work)
    except DifferentError as error:
        for difference in error.verified.differences:
            say(str(difference))
        if as_json:
            print_json({"swapped": False, "verified": asdict(error.verified)})
        else:
            say("rows differ from the live ones: nothing was swapped (--accept-differences swaps all the same)")
        raise typer.Exit(NO) from None
    _tell(done, only, as_json=as_json)


def _remake(backtest_id: str, *, as_json: bool) -> None:
    import asyncio

    from consumers.rebuild.one import remake_backtest

    done = asyncio.run(remake_backtest(settings(), backtest_id))
    if as_json:
        print_json(asdict(done))
    else:
        say(f"{backtest_id}: {done.rows} rows from {done.commits} commits")
    if done.quarantined:
        say(f"{backtest_id}: the log still holds a commit of it that can't be projected")
        raise typer.Exit(NO)


def _tell_dropped(job: "Rebuild", *, as_json: bool) -> None:
    import asyncio

    dropped = asyncio.run(job.drop_old())
    if as_json:
        print_json({"dropped": [str(each) for each in dropped]})
    else:
        say(f"{len(dropped)} generations dropped")


def _tell(done: "Rebuilt", only: str | None, *, as_json: bool) -> None:
    if as_json:
        document = {
            "only": only,
            "generation": str(done.generation),
            "replaced": str(done.replaced),
            "swapped": done.swap_seconds is not None,
            "events": done.events,
            "fill_seconds": done.fill_seconds,
            "key_seconds": done.key_seconds,
            "swap_seconds": done.swap_seconds,
            "verified": asdict(done.verified) if done.verified is not None else None,
        }
        print_json(document)
        return
    if only is not None:
        say(f"{only} of generation {done.replaced} is made anew")
    elif done.swap_seconds is None:
        say(f"generation {done.generation} is complete and stands by; {done.replaced} is live")
    else:
        say(f"generation {done.generation} is live; {done.replaced} is kept and fed (--rollback, --drop-old)")
