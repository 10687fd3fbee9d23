"""This module holds the commands about this machine: demo, up, down, doctor."""

import os
from typing import Annotated, Any

import typer

from backtape.cli.app import app
from backtape.cli.output import DONE, JSON_OPTION, NO, print_json, say


@app.command()
def demo(
    as_json: bool = JSON_OPTION,
    keep: bool = typer.Option(False, "--keep", help="Leave everything running at the end.", envvar="KEEP"),
) -> None:
    """Show it all on this machine, from start to proof.

    Starts Kafka, PostgreSQL and an S3 server in .backtape/, imports real market data, submits backtests over Kafka, cancels one,
    and proves every result. Ends what it started, unless it is told to keep it; what `backtape up` started goes on.
    """
    from backtape.cli.app import quieten_logs
    from backtape.demo.show import run_demo
    from backtape.local import LocalBacktape

    quieten_logs()
    was_up = any(service.is_running for service in LocalBacktape().stack.services)
    raise typer.Exit(run_demo(as_json=as_json, keep=keep or was_up))


@app.command()
def up(workers: int = typer.Option(2, min=1, max=64, help="How many workers to run.")) -> None:
    """Start servers and processes on this machine.

    They are left running: Kafka, PostgreSQL, an S3 server, workers, a projector, a compactor and the dashboard. State and logs
    are in .backtape/. What already runs stays as it is.
    """
    from backtape.local import LocalBacktape
    from backtape.prepare import prepare
    from consumers.settings import load_settings

    local = LocalBacktape(workers=workers, serves=True)
    endpoints = local.stack.start(report=say, detached=True)
    os.environ.update(local.environment(endpoints))  # whatever other servers the environment names
    prepare(load_settings(), report=say)
    local.start_processes(endpoints, report=say, detached=True)
    say("running; in this folder every command finds it: backtape submit SPEC.json, backtape list, backtape down")
    say("for other programs:")
    for name, value in endpoints.environment().items():
        say(f"  export {name}={value}")
    show_login(endpoints.database_url)


def show_login(database_url: str) -> None:
    """Tell where the dashboard is, and how to get in."""
    from backtape.local import STATE, WEB, web_address
    from backtape.local_login import local_login

    address = web_address()
    assert address is not None, "it was just started"
    login = local_login(database_url, address=address, folder=STATE / WEB)
    say(f"dashboard: {address} (API key for programs: {login.key_file})")
    say(f"open this link once to log your browser in: {login.link}")


@app.command()
def down() -> None:
    """Stop what `up` started; data and logs stay."""
    from backtape.local import LocalBacktape

    LocalBacktape().stop()
    say("stopped")


@app.command()
def doctor(
    s3: Annotated[
        bool, typer.Option("--s3", help="try the bucket of BACKTAPE_S3_URL instead: write, read, race, delete below doctor/")
    ] = False,
    as_json: bool = JSON_OPTION,
) -> None:
    """Say what is wrong here, or with S3, and what helps."""
    from backtape.cli.doctor import examine_all, examine_bucket, show

    checks = examine_bucket() if s3 else examine_all()
    if as_json:
        print_json([_document(each) for each in checks])
    else:
        show(checks)
    raise typer.Exit(DONE if all(each.ok or each.is_optional for each in checks) else NO)


def _document(check: Any) -> dict[str, Any]:
    return {
        "name": check.name, "ok": check.ok, "is_optional": check.is_optional, "detail": check.detail, "remedy": check.remedy,
    }  # fmt: skip
