"""This module holds the command that brings in results of other systems: import-results."""

from typing import Any

import typer

from backtape.cli.app import app, settings, wait_for
from backtape.cli.output import DONE, JSON_OPTION, NO, STDERR, fail, print_json, say


@app.command("import-results")
def import_results(
    source: str = typer.Argument(help="A file or folder of JSON or JSON lines, or s3://bucket/prefix.", metavar="SOURCE"),
    to: str | None = typer.Option(None, "--to", metavar="URL", help="The installation's blob store; default: BACKTAPE_S3_URL."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only read and check every document; no server is needed."),
    resume: bool = typer.Option(False, "--resume", help="Go on where an import of this source was interrupted."),
    submitter: str | None = typer.Option(None, "--submitter", help="Who imports them."),
    batch: int = typer.Option(2_000, "--batch", min=1, max=2_000, help="Documents that are written together."),
    patience: float = typer.Option(60.0, "--patience", min=1, help="Seconds without any new receipt after which to give up."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Bring in results that other systems have computed.

    Each document is checked, converted to Parquet, read back, and entered into the log by a command. What is refused is printed,
    a line for each problem: file, place in it, value, what is allowed. The source is only read. Exit code 0: all documents are
    imported, now or before; 1: some are refused; 2: it could not be tried, or not to the end.
    """
    from consumers.importer.report import ImportReport

    used = settings()
    if to is not None and to.rstrip("/") != used.s3_url.rstrip("/") and not dry_run:
        fail(f"--to: {to!r} is not allowed: this installation's store is {used.s3_url} (BACKTAPE_S3_URL)")
    report: ImportReport = wait_for(_import(used, source, dry_run, resume, submitter, batch, patience))
    _show(report, is_dry=dry_run, as_json=as_json)
    raise typer.Exit(NO if report.refused else DONE)


async def _import(used: Any, source: str, is_dry: bool, resumes: bool, submitter: str | None, batch: int, patience: float) -> Any:
    from adapters.clock import SystemClock
    from adapters.documents import open_documents
    from consumers.importer.job import Destination, ImportJob
    from consumers.importer.registry import InstalledRegistry
    from consumers.wiring import blob_store

    documents = open_documents(source, options=used.s3)
    if is_dry:
        return await ImportJob(documents, None, say=_say).run()
    registry = InstalledRegistry(used, clock=SystemClock(), patience_seconds=patience)
    try:
        written = Destination(blob_store(used), registry, submitter=submitter, batch_documents=batch)
        return await ImportJob(documents, written, say=_say).run(resumes=resumes)
    finally:
        await registry.close()


def _say(line: str) -> None:
    say(line)
    STDERR.file.flush()


def _show(report: Any, *, is_dry: bool, as_json: bool) -> None:
    import msgspec

    if as_json:
        print_json({"is_dry_run": is_dry, **msgspec.to_builtins(report)})
        return
    for each in report.refusals:
        typer.echo(str(each))
    would = "would be imported" if is_dry else "imported"
    before = f" ({report.resumed:,} of them by the attempt before)" if report.resumed else ""
    say(
        f"{report.documents:,} documents in {report.files:,} files: {report.imported:,} {would}{before}, "
        f"{report.already:,} were there already, {report.refused:,} refused"
    )
    say(
        f"{report.trades:,} trades, {report.orders:,} orders, {report.fills:,} fills, {report.marks:,} points of equity; "
        f"sum of PnL {report.pnl:,.2f}, of commissions {report.commission:,.2f}"
    )
