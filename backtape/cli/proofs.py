"""This module holds the command that proves results: audit."""

import typer

from backtape.cli.app import app, settings, wait_for
from backtape.cli.output import JSON_OPTION, fail, say


@app.command()
def audit(
    backtest_id: str | None = typer.Argument(None, help="The backtest's id.", metavar="ID"),
    everything: bool = typer.Option(False, "--all", help="Every finished backtest of the read model."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Prove results: re-run, and compare log, SQL and Parquet.

    The log's chain and its re-run, byte for byte; then the SQL rows and the Parquet files against the log. Exit code 0: all is
    proven; 1: something differs; 2: something could not be tried, and nothing differs. An imported result can't be proven: asked
    for by its id it gives 2 at best; --all checks what can be checked of it, and counts it apart.
    """
    from backtape.cli.audit import exit_code, show_audits
    from backtape.proof.audit import audit_runs

    if (backtest_id is None) == (not everything):
        fail("name one backtest, or say --all")
    audits = wait_for(audit_runs(settings(), None if everything else [str(backtest_id)], report=say))
    show_audits(audits, as_json=as_json)
    raise typer.Exit(exit_code(audits, of_all=everything))
