"""This module lists the commands."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import typer

from backtape.cli.output import JSON_OPTION, NOT_TRIED, fail, print_json, say

Answer = TypeVar("Answer")

app = typer.Typer(
    name="backtape",
    help="An event-sourced backtest engine over Apache Kafka whose results can be proven.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Market data: bring it in, make some, see what there is.", no_args_is_help=True)
db_app = typer.Typer(help="The read model's database.", no_args_is_help=True)
schema_app = typer.Typer(help="What is promised on the wire.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(db_app, name="db")
app.add_typer(schema_app, name="schema")


def run() -> None:
    """Run the command line; errors of the outside world become one line and exit code 2."""
    from adapters.errors import AdapterError
    from backtape.stack.errors import StackError
    from schemas.errors import SchemaError

    try:
        app(standalone_mode=False)
    except typer.Exit as exit_:
        sys.exit(exit_.exit_code)
    except typer.Abort:
        sys.exit(130)
    except (AdapterError, StackError, SchemaError, FileNotFoundError) as error:
        from backtape.cli.output import STDERR

        STDERR.print("error:", str(error), markup=False, soft_wrap=True)
        sys.exit(NOT_TRIED)
    except Exception as error:
        import click

        if isinstance(error, click.ClickException):
            error.show()
            sys.exit(NOT_TRIED)
        raise


def settings() -> Any:
    """Return the settings: the environment's, else those of the local stack in this folder."""
    from backtape.local import use_local_stack
    from consumers.settings import load_settings

    use_local_stack()
    return load_settings()


def wait_for(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine to its end."""
    return asyncio.run(coroutine)


def read_spec(path: Path) -> dict[str, Any]:
    """Read a spec from a JSON file (``-``: from stdin)."""
    import json

    text = sys.stdin.read() if str(path) == "-" else path.read_text()
    try:
        document = json.loads(text)
    except ValueError as error:
        fail(f"{path}: not JSON: {error}")
    if not isinstance(document, dict):
        fail(f"{path}: a spec is a JSON object")
    return document


# --- processes --------------------------------------------------------------------------------------------------


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
    """Run a worker: it takes commands, runs backtests and appends their events. Stops by SIGTERM."""
    _run_role("worker")


@app.command()
def projector() -> None:
    """Run a projector: it folds the log into Postgres. Stops by SIGTERM."""
    _run_role("projector")


@app.command()
def compactor() -> None:
    """Run a compactor: it snapshots finished runs as Parquet. Stops by SIGTERM."""
    _run_role("compactor")


# --- the local stack ----------------------------------------------------------------------------------------------


@app.command()
def up(workers: int = typer.Option(2, min=1, max=64, help="How many workers to run.")) -> None:
    """Start Kafka, Postgres, an S3 server and Backtape's processes on this machine, and leave them running."""
    from backtape.local import LocalBacktape, use_local_stack
    from backtape.prepare import prepare

    local = LocalBacktape(workers=workers)
    endpoints = local.stack.start(report=say, detached=True)
    use_local_stack()
    prepare(settings(), report=say)
    local.start_processes(endpoints, report=say, detached=True)
    say("running; try: backtape submit SPEC.json, backtape list, backtape down")
    for name, value in endpoints.environment().items():
        say(f"  export {name}={value}")


@app.command()
def down() -> None:
    """Stop the local stack and Backtape's processes; their data stays."""
    from backtape.local import LocalBacktape

    LocalBacktape().stop()
    say("stopped")


@app.command()
def doctor(as_json: bool = JSON_OPTION) -> None:
    """Say what is wrong on this machine, and what helps."""
    from backtape.cli.doctor import examine_all, show

    checks = examine_all()
    if as_json:
        print_json([{"name": each.name, "ok": each.ok, "detail": each.detail, "remedy": each.remedy} for each in checks])
    else:
        show(checks)
    raise typer.Exit(0 if all(each.ok or each.is_optional for each in checks) else 1)


@app.command()
def demo(
    as_json: bool = JSON_OPTION,
    keep: bool = typer.Option(False, "--keep", help="Leave everything running at the end.", envvar="KEEP"),
) -> None:
    """Show the main job on this machine: commands go in over Kafka, proven results come out in SQL and Parquet."""
    from backtape.demo.show import run_demo

    raise typer.Exit(run_demo(as_json=as_json, keep=keep))


# --- the database and the schemas ---------------------------------------------------------------------------------


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to this version's tables, and create the topics that are missing. Safe to repeat."""
    from backtape.prepare import prepare

    prepare(settings(), report=say)


@schema_app.command("export")
def schema_export(folder: Path) -> None:
    """Write the JSON Schemas of everything on the wire, and the AsyncAPI document of the topics."""
    from backtape.schema_export import export

    export(folder)


from backtape.cli import backtests, cold, data  # noqa: E402  (they add their commands to the app above)

__all__ = ["app", "backtests", "cold", "data"]
