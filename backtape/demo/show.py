"""This module runs the demo from nothing to proven results, and shows it."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from backtape.cli.audit import show_audits
from backtape.cli.local import show_login
from backtape.cli.output import console, print_json, say, table
from backtape.cli.results import show_results
from backtape.demo.drive import Submitted, follow, submit_all
from backtape.demo.runs import LONG_BARS, LONG_DATASET, LONG_SEED
from backtape.local import STATE, LocalBacktape
from backtape.proof.audit import Audit, audit_runs
from backtape.proof.rerun import Verdict
from consumers.settings import Settings, load_settings

Seconds = dict[str, float]


def run_demo(*, as_json: bool, keep: bool) -> int:
    """Run the demo and return the exit code: 0 when every finished run was proven."""
    local = LocalBacktape(STATE, serves=keep)
    seconds: Seconds = {}
    try:
        with _timed(seconds, "stack"):
            say("[1/5] starting Kafka, PostgreSQL and an S3 server on this machine")
            endpoints = local.stack.start(report=_indented, detached=keep)
            os.environ.update(local.environment(endpoints))  # whatever other servers the environment names
            settings = load_settings()
            _prepare(settings)
        with _timed(seconds, "data"):
            say("[2/5] importing market data")
            _import(settings)
        with _timed(seconds, "processes"):
            say("[3/5] starting two workers, a projector and a compactor" + (", and the dashboard" if keep else ""))
            local.start_processes(endpoints, report=_indented, detached=keep)
        say("[4/5] backtests go in over Kafka")
        with _timed(seconds, "backtests"):
            sent, rows = asyncio.run(_submit_and_follow(settings, as_json=as_json))
        with _timed(seconds, "audit"):
            say("[5/5] proving every finished run: log, SQL, Parquet")
            audits = asyncio.run(audit_runs(settings, sent.backtest_ids, report=lambda line: None))
        facts = asyncio.run(_facts(settings, sent))
        seconds["total"] = sum(seconds.values())
        _show(local, sent, rows, audits, facts, seconds, as_json=as_json, keep=keep)
        if keep:
            show_login(endpoints.database_url)
        return 0 if all(audit.verdict is Verdict.PROVEN for audit in audits) else 1
    finally:
        if not keep:
            local.stop()


@contextlib.contextmanager
def _timed(seconds: Seconds, name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - began, 2)


def _indented(line: str) -> None:
    say(f"      {line}")


def _prepare(settings: Settings) -> None:
    from backtape.prepare import prepare

    prepare(settings, report=_indented)


def _import(settings: Settings) -> None:
    from backtape.data import generate_dataset, import_samples
    from consumers.wiring import blob_store

    store = blob_store(settings)
    for imported in import_samples(store):
        manifest = imported.manifest
        symbols = " ".join(file.symbol for file in manifest.files)
        _indented(f"{manifest.dataset} version {manifest.version}: {symbols}, {sum(file.rows for file in manifest.files):,} bars")
    generated = generate_dataset(store, dataset=LONG_DATASET, bars=LONG_BARS, seed=LONG_SEED).manifest
    _indented(f"{generated.dataset} version {generated.version}: {LONG_BARS:,} generated bars, for the run that is cancelled")


# --- following ----------------------------------------------------------------------------------------------------


async def _submit_and_follow(settings: Settings, *, as_json: bool) -> tuple[Submitted, list[dict[str, Any]]]:
    sent = await submit_all(settings, _indented)
    if as_json or not console(is_error=True).is_terminal:
        return sent, await follow(settings, sent, lambda rows: None)
    with Live(console=console(is_error=True), refresh_per_second=8, transient=True) as live:
        return sent, await follow(settings, sent, lambda rows: live.update(progress_view(rows)))


def progress_view(rows: list[dict[str, Any]]) -> Group:
    """Return the live view: one line a backtest, from the read model."""
    grid = Table.grid(padding=(0, 2))
    for row in sorted(rows, key=lambda each: str(each["backtest_id"])):
        bars = row["bars"] or 1
        bar = ProgressBar(total=bars, completed=min(row["bars_done"] or 0, bars), width=30)
        equity = row["final_equity"] if row["final_equity"] is not None else row["equity"]
        grid.add_row(f"      {row['backtest_id']}", str(row["status"]), bar, "" if equity is None else f"{equity:,.2f}")
    return Group(Text("      status from the read model", style="dim"), grid)


# --- the end ------------------------------------------------------------------------------------------------------


async def _facts(settings: Settings, sent: Submitted) -> dict[str, Any]:
    """Read from SQL what became of the commands."""
    from backtape.read_model import ReadModel

    async with ReadModel(settings.database_url) as model:
        return {
            "events": sum(row["last_sequence"] for row in await model.named(sent.backtest_ids)),
            "commands": [row for each in (*sent.backtest_ids, sent.rejected) for row in reversed(await model.commands(each))],
            "dead_letters": [
                row for row in await model.dead_letters() if (row["partition"], row["command_offset"]) == sent.unreadable
            ],
        }


def _show(
    local: LocalBacktape,
    sent: Submitted,
    rows: list[dict[str, Any]],
    audits: list[Audit],
    facts: dict[str, Any],
    seconds: Seconds,
    *,
    as_json: bool,
    keep: bool,
) -> None:
    if as_json:
        print_json(summary(sent, rows, audits, facts, seconds))
        return
    console().print()
    show_results("Results, from SQL", rows)
    refused = [row for row in facts["commands"] if row["outcome"] not in ("accepted", "duplicate")]
    columns = ("backtest", "outcome", "reason", "detail")
    table(
        "Commands that were not simply carried out",
        columns,
        [(row["backtest_id"], row["outcome"], row["reason"], row["detail"]) for row in refused]
        + [("–", "dead letter", row["reason"], row["detail"]) for row in facts["dead_letters"]],
    )
    console().print(f"(the forwarded command was sent by {sent.other_client})\n", soft_wrap=True)
    show_audits(audits, as_json=False)
    _try_next(local, sent, rows, keep=keep)
    phases = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    say(f"\nseconds: {phases}")


def summary(
    sent: Submitted, rows: list[dict[str, Any]], audits: list[Audit], facts: dict[str, Any], seconds: Seconds
) -> dict[str, Any]:
    """Return the demo's result as one JSON document."""
    shown = (
        "status", "strategy", "symbols", "fills", "trades", "final_equity", "total_return", "sharpe", "max_drawdown",
        "manifest_key",
    )  # fmt: skip
    receipts: dict[str, int] = {}
    for row in facts["commands"]:
        receipts[row["outcome"]] = receipts.get(row["outcome"], 0) + 1
    proven = sum(audit.verdict is Verdict.PROVEN for audit in audits)
    return {
        "backtests": [
            {"id": row["backtest_id"], "events": row["last_sequence"], **{name: row[name] for name in shown}} for row in rows
        ],
        "events": facts["events"],
        "dead_letters": len(facts["dead_letters"]),
        "receipts": receipts,
        "rejected": sent.rejected,
        "audit": {"proven": proven, "failed": len(audits) - proven},
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }


def _try_next(local: LocalBacktape, sent: Submitted, rows: list[dict[str, Any]], *, keep: bool) -> None:
    example = sent.ids["aapl-sma"]
    snapshots = local.stack.s3.data / "backtape" / "backtests"
    psql = local.stack.postgres.psql
    start = "" if keep else "  .venv/bin/backtape up                                   # everything again, with this data\n"
    query = f"read_parquet('{_file_of(snapshots / example, 'fills')}')"
    console().print("Snapshots lie here, one folder a run, each named by its manifest.json:")
    console().print(f"  s3://backtape/backtests/  =  {_relative(snapshots)}\n", soft_wrap=True)
    lines = (
        f"{start}"
        f"  .venv/bin/backtape events {example} --type OrderFilled\n"
        f"  .venv/bin/backtape audit {example}\n"
        f'  {_relative(psql)} "{local.stack.postgres.url}" -c "SELECT backtest_id, status, sharpe FROM backtape.backtests"\n'
        f'  .venv/bin/python -c "import duckdb; print(duckdb.sql(\\"SELECT time, side, quantity, price FROM {query} LIMIT 5\\"))"'
    )
    console().print("Try next:", style="bold")
    console().print(lines, markup=False, soft_wrap=True)


def _file_of(folder: Path, table: str) -> Path:
    """Return a table's file, as the run's manifest names it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return folder / next(Path(file["key"]).name for file in manifest["files"] if file["table"] == table)


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
