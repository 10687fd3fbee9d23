"""This module holds the commands about backtests: run, submit, cancel, status, list, events, audit, report."""

import json
from pathlib import Path
from typing import Any

import typer

from backtape.cli.app import app, read_spec, settings, wait_for
from backtape.cli.output import (
    DONE,
    JSON_OPTION,
    NO,
    NOT_TRIED,
    STDOUT,
    fail,
    number,
    percent,
    print_json,
    say,
    table,
)

SPEC = typer.Argument(help="A spec as JSON file; - reads stdin.")
ID = typer.Argument(help="The backtest's id.", metavar="ID")


@app.command("run")
def run_spec(
    spec: Path = SPEC,
    store: str | None = typer.Option(None, help="Where the data sets lie: s3://… or file:///…; default: BACKTAPE_S3_URL."),
    report: Path | None = typer.Option(None, help="Write an HTML report to this file."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Run a backtest in this process, without any server: the same engine and the same events."""
    from backtape import run
    from backtape.cli.results import show_result

    result = run(read_spec(spec), data=store or settings().s3_url)
    if report is not None:
        result.report(str(report))
        say(f"report: {report}")
    show_result(result, as_json=as_json)


@app.command()
def submit(
    spec: Path = SPEC,
    backtest_id: str | None = typer.Option(None, "--id", help="The backtest's id; default: a new one."),
    submitter: str | None = typer.Option(None, help="Who submits it."),
    priority: int = typer.Option(0, min=-100, max=100, help="Higher runs first."),
    wait: bool = typer.Option(False, "--wait", help="Wait until it has ended, and show the result."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Publish a SubmitBacktest command."""
    from backtape.client import Client

    document = read_spec(spec)

    async def send() -> Any:
        async with Client(settings()) as client:
            return await client.submit(document, backtest_id=backtest_id, submitter=submitter, priority=priority)

    sent = wait_for(send())
    say(f"submitted as {sent.backtest_id} (command {sent.command_id}, partition {sent.partition}, offset {sent.offset})")
    if wait:
        _show_status(sent.backtest_id, wait=True, as_json=as_json)
    elif as_json:
        print_json(_sent(sent))
    else:
        STDOUT.print(sent.backtest_id)


@app.command()
def cancel(backtest_id: str = ID, reason: str = typer.Option("", help="Why."), as_json: bool = JSON_OPTION) -> None:
    """Publish a CancelBacktest command."""
    from backtape.client import Client

    async def send() -> Any:
        async with Client(settings()) as client:
            return await client.cancel(backtest_id, reason=reason)

    sent = wait_for(send())
    say(f"cancel of {sent.backtest_id} published (command {sent.command_id})")
    if as_json:
        print_json(_sent(sent))


def _sent(sent: Any) -> dict[str, Any]:
    return {
        "backtest_id": sent.backtest_id, "command_id": sent.command_id, "partition": sent.partition, "offset": sent.offset,
    }  # fmt: skip


@app.command()
def status(
    backtest_id: str | None = typer.Argument(None, help="The backtest's id; without: how many there are in each state."),
    wait: bool = typer.Option(False, "--wait", help="Wait until it has ended."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show one backtest as the read model has it."""
    if backtest_id is not None:
        _show_status(backtest_id, wait=wait, as_json=as_json)
        return
    from backtape.read_model import ReadModel

    async def read() -> dict[str, Any]:
        async with ReadModel(settings().database_url) as model:
            return await model.totals()

    counts = wait_for(read())
    if as_json:
        print_json(counts)
    else:
        table("Backtests", ("what", "number"), counts.items(), right=("number",))


def _show_status(backtest_id: str, *, wait: bool, as_json: bool) -> None:
    from backtape.read_model import ReadModel

    async def read() -> dict[str, Any] | None:
        async with ReadModel(settings().database_url) as model:
            return await (model.wait_for_end(backtest_id) if wait else model.backtest(backtest_id))

    row = wait_for(read())
    if row is None:
        fail(f"the read model has no backtest {backtest_id!r}", NO)
    if as_json:
        print_json(row)
    else:
        table(backtest_id, ("field", "value"), [(name, _cell(value)) for name, value in row.items() if value is not None])
    raise typer.Exit(NO if row["status"] in ("failed", "cancelled") and wait else DONE)


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value


@app.command("list")
def list_backtests(
    status: str | None = typer.Option(None, help="Only those in this state."),
    limit: int = typer.Option(50, min=1, max=10_000, help="At most so many, newest first."),
    as_json: bool = JSON_OPTION,
) -> None:
    """List backtests, newest first."""
    from backtape.read_model import ReadModel

    async def read() -> list[dict[str, Any]]:
        async with ReadModel(settings().database_url) as model:
            return await model.backtests(status=status, limit=limit)

    rows = wait_for(read())
    if as_json:
        print_json(rows)
        return
    show_results("Backtests", rows)


def show_results(title: str, rows: list[dict[str, Any]]) -> None:
    """Print the table of results."""
    columns = ("backtest", "strategy", "symbols", "status", "return", "Sharpe", "drawdown", "trades", "fills", "final equity")
    cells = [
        (
            row["backtest_id"],
            row["strategy"],
            " ".join(row["symbols"]),
            _status(row),
            percent(row["total_return"]),
            number(row["sharpe"]),
            percent(row["max_drawdown"]),
            row["trades"],
            row["fills"],
            number(row["final_equity"]),
        )
        for row in rows
    ]
    table(title, columns, cells, right=columns[4:])


def _status(row: dict[str, Any]) -> str:
    if row["status"] == "running" and row["bars"]:
        return f"running {100 * row['bars_done'] / row['bars']:.0f} %"
    return str(row["failure_reason"] or "failed") if row["status"] == "failed" else str(row["status"])


@app.command()
def events(
    backtest_id: str = ID,
    first: int | None = typer.Option(None, "--from", min=1, help="First sequence to show."),
    last: int | None = typer.Option(None, "--to", min=1, help="Last sequence to show."),
    kind: list[str] = typer.Option([], "--type", help="Only events of this type; may be repeated."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show a backtest's events, read from the log."""
    from backtape.cli.events import print_events
    from backtape.proof.run_log import RunLogs

    async def read() -> list[Any]:
        logs = RunLogs(settings().kafka)
        try:
            return await logs.read(backtest_id)
        finally:
            await logs.close()

    print_events(wait_for(read()), first=first, last=last, kinds=set(kind), as_json=as_json)


@app.command()
def audit(
    backtest_id: str | None = typer.Argument(None, help="The backtest's id.", metavar="ID"),
    everything: bool = typer.Option(False, "--all", help="Every finished backtest of the read model."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Prove results: the log's chain and its re-run, byte for byte; the SQL rows and the Parquet files against the log."""
    from backtape.cli.audit import exit_code, show_audits
    from backtape.proof.audit import audit_runs

    if (backtest_id is None) == (not everything):
        fail("name one backtest, or say --all", NOT_TRIED)
    audits = wait_for(audit_runs(settings(), None if everything else [str(backtest_id)], report=say))
    show_audits(audits, as_json=as_json)
    raise typer.Exit(exit_code(audits))
