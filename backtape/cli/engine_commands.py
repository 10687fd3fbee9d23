"""This module holds the commands about the engine's rules: conformance, check-lookahead."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from backtape.cli.app import app, read_spec, settings
from backtape.cli.output import JSON_OPTION, NO, NOT_TRIED, fail, print_json, say, table

if TYPE_CHECKING:
    from schemas.market_data import Market
    from schemas.spec import BacktestSpec


@app.command()
def conformance(
    paths: list[Path] = typer.Argument(help="Files of cases, or folders of them.", metavar="PATH…"),
    as_json: bool = JSON_OPTION,
) -> None:
    """Check the engine against cases with numbers.

    Other engines' numbers, or your own, in JSON files (docs/execution.md).

    Exit code 0: every case passes; 1: one differs; 2: there is no case, or one could not be run and none differs.
    """
    from engine.conformance import run_conformance
    from engine.conformance_report import document_of

    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        fail(f"{', '.join(missing)}: there is no such file or folder")
    results = run_conformance(paths, _market_of)
    if not results:
        fail("there are no cases (*.json) in these folders")
    failed = [result for result in results if not result.passed]
    if as_json:
        print_json(document_of(results))
    elif failed:
        rows = [
            (result.id, result.file, line)
            for result in failed
            for line in ([result.error] if result.error is not None else map(str, result.mismatches))
        ]
        table("Cases that fail", ["case", "file", "what"], rows)
    say(f"{len(results) - len(failed)} of {len(results)} cases pass")
    if any(result.mismatches for result in failed):
        raise typer.Exit(NO)
    if failed:  # with errors alone: they could not be tried
        raise typer.Exit(NOT_TRIED)


@app.command(name="check-lookahead")
def check_lookahead(
    spec: Path = typer.Argument(help="A spec as JSON; '-' reads stdin.", metavar="SPEC"),
    data: str | None = typer.Option(None, "--data", help="Store of data sets; default: the settings'."),
    cuts: int = typer.Option(8, "--cuts", min=1, max=1_000, help="Runs on shortened data, half of them cut behind orders."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Look for a strategy that sees the future.

    It is run again on data that ends earlier, and what it did up to there is compared.

    Exit code 0: it does the same in each; 1: something it did depends on later bars; 2: it could not be tried.
    """
    from backtape.lookahead import lookahead_of

    found = lookahead_of(read_spec(spec), data or settings().s3_url, cuts=cuts)
    if as_json:
        print_json({"looks_ahead": found is not None, "cuts": cuts, "difference": found})
    elif found is None:
        say(f"no look-ahead: {cuts} runs on shortened data did the same, up to where they end")
    else:
        rows = [("all data", found.whole or "nothing"), (f"the first {found.cut} bars", found.truncated or "nothing")]
        table("What it did depends on later bars", ["run on", "event"], rows)
    if found is not None:
        raise typer.Exit(NO)


def _market_of(spec: "BacktestSpec") -> "Market":
    """Return the bars that a case of the kind ``run`` names; without them that case alone can't be run."""
    from adapters.errors import NotFoundError
    from backtape.data.sample_market import sample_market

    try:
        return sample_market(spec)
    except NotFoundError as error:
        raise ValueError(str(error)) from error
