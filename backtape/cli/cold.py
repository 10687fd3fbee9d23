"""This module holds the commands about what lies outside the log's way: snapshots and dead letters."""

from typing import Any

import typer

from backtape.cli.app import app, settings, wait_for
from backtape.cli.output import JSON_OPTION, NOT_TRIED, fail, print_json, say, table


@app.command()
def snapshot(
    once: bool = typer.Option(False, "--once", help="Snapshot every finished backtest, then end."), as_json: bool = JSON_OPTION
) -> None:
    """Write snapshots of finished backtests as a job that ends. As a service: backtape compactor."""
    if not once:
        fail("say --once for a job that ends; the service is: backtape compactor", NOT_TRIED)
    from consumers.wiring import snapshot_job

    done = wait_for(snapshot_job(settings()))
    if as_json:
        print_json(done)
    else:
        say(f"snapshots: {done}")


@app.command("dead-letters")
def dead_letters(limit: int = typer.Option(50, min=1, max=10_000), as_json: bool = JSON_OPTION) -> None:
    """Show what could not be read from the commands topic, with the reasons."""
    from backtape.read_model import ReadModel

    async def read() -> list[dict[str, Any]]:
        async with ReadModel(settings().database_url) as model:
            return await model.dead_letters(limit=limit)

    rows = wait_for(read())
    if as_json:
        print_json(rows)
        return
    table("Dead letters", tuple(rows[0]) if rows else ("dead letters",), [tuple(row.values()) for row in rows])
