"""This module holds the commands about what lies outside the log's way: snapshots and dead letters."""

from typing import Any

import typer

from backtape.cli.app import app, settings, wait_for
from backtape.cli.output import DONE, JSON_OPTION, NO, STDERR, fail, print_json, say, table


@app.command()
def snapshot(
    once: bool = typer.Option(False, "--once", help="Snapshot every finished backtest of the log, then end."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Snapshot finished backtests, as a job that ends.

    The service that does so all the time is `backtape compactor`. Both may run at once, and the job may be repeated: a run that
    has its snapshot is passed over. Exit code 1 when a run of the log could not be snapshotted because its log is broken.
    """
    if not once:
        fail("say --once for a job that ends; the service is: backtape compactor")
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


def _progress(done: int, total: int) -> None:
    if STDERR.is_terminal:
        STDERR.print(f"{done:,} of {total:,} records", end="\r")


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
