"""This module holds the commands about what lies outside the log's way: snapshots and dead letters."""

from typing import Any

import typer

from backtape.cli.app import app, settings, wait_for
from backtape.cli.output import DONE, JSON_OPTION, NO, console, fail, print_json, say, table


@app.command()
def snapshot(
    once: bool = typer.Option(False, "--once", help="Snapshot every finished backtest of the log, then end."),
    collect: bool = typer.Option(False, "--collect", help="Delete files that no snapshot refers to and none ever will."),
    grace_days: float = typer.Option(7.0, "--grace-days", min=0, max=3_650, help="With --collect: younger files stay."),
    dry_run: bool = typer.Option(False, "--dry-run", help="With --collect: only say what would be deleted."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Snapshot finished backtests, as a job that ends.

    The service that does so all the time is `backtape compactor`. Both may run at once, and the job may be repeated: a run that
    has its snapshot is passed over. Exit code 1 when a run of the log could not be snapshotted because its log is broken.
    """
    if once == collect:
        fail("say --once or --collect for a job that ends; the service is: backtape compactor")
    if collect:
        _collect(grace_days, is_dry=dry_run, as_json=as_json)
        return
    import msgspec

    from consumers.wiring import snapshot_job

    done = wait_for(snapshot_job(settings(), on_progress=_progress))
    if as_json:
        print_json(msgspec.to_builtins(done))
    else:
        say(f"{done.snapshots} finished backtests have their snapshot, {done.bytes:,} bytes; {done.open_runs} have not ended yet")
        for line in done.refused:
            say(f"refused: {line}")
    raise typer.Exit(NO if done.refused_count else DONE)


def _collect(grace_days: float, *, is_dry: bool, as_json: bool) -> None:
    import time

    import msgspec

    from consumers.wiring import blob_store
    from snapshots.orphans import collect_orphans

    now_ms, grace_ms = int(time.time() * 1_000), int(grace_days * 86_400_000)
    found = collect_orphans(blob_store(settings()), now_ms=now_ms, grace_ms=grace_ms, deletes=not is_dry)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    what = "would be deleted" if is_dry else "deleted"
    say(f"{found.files:,} files, {found.bytes:,} bytes: {found.collected:,} of them, {found.collected_bytes:,} bytes, {what}")
    say(f"kept: {found.young:,} younger than {grace_days:g} days, {found.unfinished:,} of backtests that have no snapshot yet")
    for line in found.unreadable:
        say(f"left: {line}")


def _progress(done: int, total: int) -> None:
    if console(is_error=True).is_terminal:
        console(is_error=True).print(f"{done:,} of {total:,} records", end="\r")


@app.command()
def archive(
    truncate: bool = typer.Option(False, "--truncate", help="Then delete from Kafka what is done with and older than the grace."),
    grace_days: float = typer.Option(7.0, "--grace-days", min=0, max=3_650, help="Events younger than this stay in Kafka."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Copy the log into the blob store, as a job that ends.

    The compactor does so all the time; both may run at once. With --truncate the events topic is cut behind what is archived,
    read back just now, in the read model, in a snapshot, and older than the grace. Readers go on in the archive.
    """
    import msgspec

    from consumers.archive_job import archive_job

    used = settings()
    done = wait_for(archive_job(used, truncates=truncate, grace_days=grace_days))
    if as_json:
        print_json({**msgspec.to_builtins(done), "oldest_unarchived_ms": done.oldest_unarchived_ms})
        return
    rows = [
        (each.topic, each.partition, each.next_offset, each.end, each.ranges, each.records, each.bytes) for each in done.reaches
    ]
    numbers = ("partition", "archived to", "end", "new ranges", "records", "bytes")
    table("Archive", ("topic", *numbers), rows, right=numbers)
    if truncate:
        cut = [(each.partition, each.before, each.beginning, each.deleted, each.held_by) for each in done.truncations]
        offsets = ("partition", "began at", "begins at", "deleted")
        table("Events topic in Kafka", (*offsets, "held by"), cut, right=offsets)


@app.command()
def restore(as_json: bool = JSON_OPTION) -> None:
    """Build a lost Kafka again from the archive.

    For a Kafka that is gone: topics are created and filled with events, receipts, dead letters and run state from the blob store,
    snapshots are announced again. Stop our processes first. A lost database is made anew beside it, and the projector fills it. A
    read model that is still there follows from the lost log: backtape rebuild. May be repeated.
    """
    import msgspec

    from backtape.prepare import prepare
    from consumers.restore_job import restore_job
    from schemas.times import format_time

    used = settings()
    prepare(used, report=say)
    done = wait_for(restore_job(used, report=say))
    if as_json:
        print_json(msgspec.to_builtins(done))
        return
    numbers = ("partition", "archived to", "commits", "receipts", "dead letters", "runs", "open runs")
    rows = [
        (each.partition, each.archived_to, each.events, each.receipts, each.dead_letters, each.runs, each.open_count,
         format_time(each.last_timestamp_ms * 1_000_000), each.log_id)
        for each in done.partitions
    ]  # fmt: skip
    table("Restored", (*numbers, "newest commit", "log"), rows, right=numbers)
    for each in done.partitions:
        for backtest_id in each.open_runs:
            say(f"open, goes on: {backtest_id}")


@app.command("dead-letters")
def dead_letters(
    limit: int = typer.Option(50, min=1, max=100_000, help="At most so many, newest first."), as_json: bool = JSON_OPTION
) -> None:
    """Show what could not be read as a command, and why."""
    from backtape.read_model import ReadModel

    async def read() -> list[dict[str, Any]]:
        async with ReadModel(settings().database_url) as model:
            return await model.dead_letters(limit=limit)

    rows = wait_for(read())
    if as_json:
        print_json(rows)
        return
    cells = [
        (row["recorded_at"], row["partition"], row["command_offset"], row["length"], row["reason"], row["detail"]) for row in rows
    ]
    columns = ("time (UTC)", "partition", "offset", "bytes", "reason", "detail")
    table("Dead letters", columns, cells, right=("partition", "offset", "bytes"))
