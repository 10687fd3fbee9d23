"""This module holds the processes as commands, the database's upgrade that they need, and the export of the schemas."""

from pathlib import Path

import typer

from backtape.cli.app import app, db_app, schema_app, settings
from backtape.cli.output import say


def _run_role(name: str) -> None:
    from consumers.logs import set_up_logs
    from consumers.settings import load_settings

    loaded = load_settings()
    set_up_logs(loaded)
    from consumers import wiring
    from consumers.shell import run_role

    raise typer.Exit(run_role(loaded, getattr(wiring, f"{name}_role")(loaded)))


@app.command()
def worker() -> None:
    """Service: take commands, run backtests, append events.

    Ends by SIGTERM. Its settings are environment variables: docs/settings.md.
    """
    _run_role("worker")


@app.command()
def projector() -> None:
    """Service: fold the log into PostgreSQL.

    Ends by SIGTERM. Its settings are environment variables: docs/settings.md.
    """
    _run_role("projector")


@app.command()
def compactor() -> None:
    """Service: turn finished backtests into Parquet snapshots.

    Ends by SIGTERM. Its settings are environment variables: docs/settings.md.
    """
    _run_role("compactor")


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Create missing topics, bring the database to this version. Safe to repeat."""
    from backtape.prepare import prepare

    prepare(settings(), report=say)


@schema_app.command("export")
def schema_export(
    folder: Path = typer.Argument(help="Where to write: schemas/*.json, asyncapi.json, openapi.json, settings.md."),
) -> None:
    """Write the JSON Schemas, the AsyncAPI and OpenAPI documents and the table of settings."""
    from backtape.schema_export import export

    for path in export(folder):
        say(str(path))
