"""This module holds the commands about backtests: run, submit, cancel, status, list, events, report."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal

import typer

from backtape.cli.app import app, read_spec, settings, wait_for
from backtape.cli.output import DONE, JSON_OPTION, NO, NOT_TRIED, fail, print_json, say

Status = Literal["queued", "running", "completed", "cancelled", "failed"]

SPEC = typer.Argument(help="A spec as JSON file; - reads stdin.", metavar="SPEC")
ID = typer.Argument(help="The backtest's id.", metavar="ID")
TIMEOUT = typer.Option(None, "--timeout", min=0.1, help="Wait at most so many seconds, then give up with exit code 2.")


@app.command("run")
def run_spec(
    spec: Path = SPEC,
    store: str | None = typer.Option(
        None, "--store", help="Where the data sets lie: s3://…, file:///… or a folder; default: BACKTAPE_S3_URL."
    ),
    report: Path | None = typer.Option(None, "--report", help="Write the HTML report to this file."),
    trades: Path | None = typer.Option(None, "--trades", help="Write the trades to this CSV file."),
    trades_by: str = typer.Option("flat_to_flat", "--trades-by", help="How fills make trades: fifo, lifo or flat_to_flat."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Run a backtest in this process, without any server.

    The same engine and the same events as a worker's. Exit code 1 when the spec is rejected or the strategy fails.
    """
    from backtape import run
    from backtape.cli.results import show_result

    result = _unless_rejected(lambda: run(read_spec(spec), data=store or settings().s3_url))
    if report is not None:
        result.report(report)
        say(f"report: {report}")
    if trades is not None:
        frame = _unless_rejected(lambda: result.trades_by(trades_by))
        frame.to_csv(trades, index=False)
        say(f"trades: {len(frame)} in {trades}")
    show_result(result, as_json=as_json)


@app.command()
def submit(
    spec: Path = SPEC,
    backtest_id: str | None = typer.Option(None, "--id", metavar="ID", help="The backtest's id; default: a new one."),
    submitter: str | None = typer.Option(None, "--submitter", help="Who submits it."),
    priority: int = typer.Option(0, min=-100, max=100, help="Higher runs first."),
    wait: bool = typer.Option(False, "--wait", help="Wait for its receipt and its end, and show the result."),
    timeout: float | None = TIMEOUT,
    as_json: bool = JSON_OPTION,
) -> None:
    """Publish a SubmitBacktest command.

    Prints the backtest's id. With --wait: exit code 1 when the command is rejected, or the backtest fails or is cancelled.
    """
    from backtape.cli.results import show_backtest
    from backtape.cli.waiting import wait_for_result
    from backtape.client import Client

    document, used = read_spec(spec), settings()

    async def send() -> Any:
        async with Client(used) as client:
            return await client.submit(document, backtest_id=backtest_id, submitter=submitter, priority=priority)

    sent = _unless_rejected(lambda: wait_for(send()))
    say(f"submitted as {sent.backtest_id} (command {sent.command_id}, partition {sent.partition}, offset {sent.offset})")
    if not wait:
        _print_sent(sent, as_json=as_json)
        return
    row = within(timeout, wait_for_result(used, sent), f"no end of {sent.backtest_id}")
    show_backtest(row, as_json=as_json)
    raise typer.Exit(_code_of(row))


@app.command()
def cancel(
    backtest_id: str = ID,
    reason: str = typer.Option("", help="Why."),
    wait: bool = typer.Option(False, "--wait", help="Wait for the command's receipt; exit code 1 when it is rejected."),
    timeout: float | None = TIMEOUT,
    as_json: bool = JSON_OPTION,
) -> None:
    """Publish a CancelBacktest command."""
    from backtape.cli.waiting import wait_for_receipt
    from backtape.client import Client

    used = settings()

    async def send() -> Any:
        async with Client(used) as client:
            return await client.cancel(backtest_id, reason=reason)

    sent = _unless_rejected(lambda: wait_for(send()))
    say(f"cancel of {sent.backtest_id} published (command {sent.command_id}, partition {sent.partition}, offset {sent.offset})")
    if not wait:
        _print_sent(sent, as_json=as_json)
        return
    receipt = within(timeout, wait_for_receipt(used, sent), f"no receipt for command {sent.command_id}")
    if as_json:
        print_json(receipt)
    else:
        say(f"{receipt['outcome']}" + (f": {receipt['detail']}" if receipt["detail"] else ""))


def _print_sent(sent: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "backtest_id": sent.backtest_id,
                "command_id": sent.command_id,
                "partition": sent.partition,
                "offset": sent.offset,
            }
        )
    else:
        typer.echo(sent.backtest_id)


@app.command()
def status(
    backtest_id: str | None = typer.Argument(
        None, metavar="ID", help="The backtest's id; without: how many backtests are in each state."
    ),
    wait: bool = typer.Option(False, "--wait", help="Wait until it has ended; exit code 1 when it failed or was cancelled."),
    watch: bool = typer.Option(False, "--watch", help="As --wait, and say how far it is each time that changes."),
    timeout: float | None = TIMEOUT,
    as_json: bool = JSON_OPTION,
) -> None:
    """Show one backtest as the read model has it, or totals."""
    from backtape.cli.results import say_progress, show_backtest, show_totals
    from backtape.cli.waiting import read_backtest, wait_for_end
    from backtape.read_model import ReadModel

    used = settings()
    if backtest_id is None:
        if wait or watch:
            fail(f"--{'wait' if wait else 'watch'} needs a backtest's id")

        async def read() -> dict[str, Any]:
            async with ReadModel(used.database_url) as model:
                return await model.totals()

        show_totals(wait_for(read()), as_json=as_json)
        return
    row = wait_for(read_backtest(used, backtest_id))
    if wait or watch:
        tell = say_progress if watch else None
        row = within(timeout, wait_for_end(used, backtest_id, tell=tell), f"no end of {backtest_id}")
    show_backtest(row, as_json=as_json)
    raise typer.Exit(_code_of(row) if wait or watch else DONE)


@app.command("list")
def list_backtests(
    status: Status | None = typer.Option(None, help="Only those in this state."),
    strategy: str | None = typer.Option(None, help="Only those with this strategy."),
    symbol: str | None = typer.Option(None, help="Only those that trade this symbol."),
    submitter: str | None = typer.Option(None, help="Only those of this submitter."),
    tag: str | None = typer.Option(None, help="Only those with this tag in their spec."),
    text: str | None = typer.Option(None, help="Only those with words in id, strategy, data set, … that begin like these."),
    limit: int = typer.Option(50, min=1, max=100_000, help="At most so many, newest first."),
    as_json: bool = JSON_OPTION,
) -> None:
    """List backtests, newest first."""
    from backtape.cli.results import show_results
    from backtape.read_model import ReadModel
    from projections.queries import BacktestFilter

    wanted = BacktestFilter(
        statuses=(status,) if status else (), strategy=strategy, symbol=symbol, submitter=submitter, tag=tag, text=text
    )

    async def read() -> list[dict[str, Any]]:
        async with ReadModel(settings().database_url) as model:
            return await model.backtests(wanted, limit=limit)

    rows = wait_for(read())
    if as_json:
        print_json(rows)
    else:
        show_results("Backtests", rows)


@app.command()
def events(
    backtest_id: str = ID,
    first: str | None = typer.Option(None, "--from", metavar="SEQUENCE|TIME", help="Begin at this sequence or market time."),
    last: str | None = typer.Option(None, "--to", metavar="SEQUENCE|TIME", help="End after this sequence or market time."),
    kind: list[str] = typer.Option([], "--type", help="Only events of this type, such as OrderFilled; may be repeated."),
    follow: bool = typer.Option(False, "--follow", "-f", help="Wait for further events, up to the backtest's end."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show a backtest's events, read from the log itself.

    Where the log is truncated they are read from the archive.
    """
    from backtape.cli.events import choice_of, follow_events, print_events

    choice = choice_of(first=first, last=last, kinds=kind)
    if follow:
        if as_json:
            fail("--follow has no end that --json could wait for: leave one of them out")
        wait_for(follow_events(settings(), backtest_id, choice))
        return
    print_events(_commits_of(backtest_id), choice, as_json=as_json)


@app.command()
def replay(
    backtest_id: str = ID,
    to: str | None = typer.Option(
        None, "--to", metavar="SEQUENCE|TIME", help="After this event, or after all up to this market time; default: the end."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show orders, positions, cash and equity at one point.

    It is folded from the log, or from the archive where the log is truncated. Exit code 1 when the log has no such point.
    """
    from backtape.cli.replay import show_replay
    from projections.replay import ReplayError
    from projections.replay import replay as replay_commits
    from projections.replay_state import point_of

    sequence, time_ns = point_of(to)
    bodies = [stored.body for stored in _commits_of(backtest_id)]
    try:
        state = replay_commits(bodies, sequence=sequence, time_ns=time_ns)
    except ReplayError as error:
        fail(str(error), NO)
    show_replay(state, as_json=as_json)


@app.command()
def report(
    backtest_id: str = ID,
    output: Path | None = typer.Option(None, "-o", "--output", metavar="FILE", help="Where to write it; default: ID.html."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Write a backtest's report as one HTML file.

    It needs nothing else. Everything in it follows from the log; the prices come from the very version of the data set that the
    run used.
    """
    from backtape.cli.report import bars_of
    from backtape.result import Result

    commits = _commits_of(backtest_id)
    target = output or Path(f"{backtest_id}.html")
    Result([stored.body for stored in commits], bars_of(settings(), commits)).report(target)
    if as_json:
        print_json({"backtest_id": backtest_id, "report": str(target), "bytes": target.stat().st_size})
    else:
        say(f"report: {target}")


def _commits_of(backtest_id: str) -> list[Any]:
    """Read a run's log, or the archive where the log is truncated."""
    from adapters.errors import NotFoundError
    from backtape.run_records import commits_of

    try:
        return wait_for(commits_of(settings(), backtest_id))
    except NotFoundError as error:
        fail(str(error), NO)


def _unless_rejected(call: Callable[[], Any]) -> Any:
    """Return what the call returns; a spec that a worker would reject is a no, not a failure to try."""
    from schemas.errors import FieldError, TooLargeError

    try:
        return call()
    except (FieldError, TooLargeError) as error:
        fail(str(error), NO)


def within(seconds: float | None, coroutine: Coroutine[Any, Any, Any], what: str) -> Any:
    import asyncio

    try:
        return wait_for(asyncio.wait_for(coroutine, seconds))
    except TimeoutError:
        fail(f"{what} within {seconds:g} s", NOT_TRIED)


def _code_of(row: dict[str, Any]) -> int:
    return DONE if row["status"] == "completed" else NO
