"""This module lists the questions about the whole: commands and dead letters, how far the log was read, what stands still."""

from collections.abc import Sequence

from projections.queries.query import After, Conditions, Order, Query, page_of

COMMAND_COLUMNS = """
    recorded_at, outcome, command_type, command_id, backtest_id, submitter, issued_at, reason, detail,
    partition, command_offset, receipt_offset
"""
LETTER_COLUMNS = "recorded_at, reason, detail, partition, command_offset, letter_offset, length, sha256, beginning"


def commands(
    *, backtest_id: str | None = None, outcome: str | None = None, submitter: str | None = None, after: After | None = None,
    limit: int = 100,
) -> Query:  # fmt: skip
    """What came in and what became of it, the newest first; sorted by ``recorded_at``, keys ``partition, receipt_offset``."""
    conditions = Conditions()
    conditions.add("backtest_id = {}", backtest_id)
    conditions.add("outcome = {}", outcome)
    conditions.add("submitter = {}", submitter)
    order = Order("recorded_at", ("partition", "receipt_offset"), descending=True)
    return page_of("commands", conditions, order, after, limit, columns=COMMAND_COLUMNS)


def receipt(*, partition: int, command_offset: int) -> Query:
    """What became of the command at this place of the commands topic. No row: its receipt was not read yet.

    A misrouted command is forwarded: it then has another place, and another row.
    """
    return Query(
        f"SELECT {COMMAND_COLUMNS} FROM backtape.commands WHERE partition = $1 AND command_offset = $2",
        (partition, command_offset),
    )


def receipts(places: Sequence[tuple[int, int]]) -> Query:
    """What became of the commands at these places (partition, offset); no row for one whose receipt was not read yet."""
    return Query(
        "SELECT partition, command_offset, outcome, reason, detail FROM backtape.commands"
        " WHERE (partition, command_offset) IN (SELECT * FROM unnest($1::integer[], $2::bigint[]))",
        ([partition for partition, _ in places], [offset for _, offset in places]),
    )


def receipt_counts() -> Query:
    """How many commands had each outcome."""
    return Query("SELECT outcome, count(*) AS count FROM backtape.commands GROUP BY outcome ORDER BY outcome")


def dead_letters(*, after: After | None = None, limit: int = 100) -> Query:
    """What could not be read as a command, the newest first; sorted by ``recorded_at``, keys ``partition, letter_offset``."""
    order = Order("recorded_at", ("partition", "letter_offset"), descending=True)
    return page_of("dead_letters", Conditions(), order, after, limit, columns=LETTER_COLUMNS)


def dead_letter(*, partition: int, letter_offset: int) -> Query:
    """One dead letter, with the first 4 KiB of its bytes."""
    return Query(
        f"SELECT {LETTER_COLUMNS} FROM backtape.dead_letters WHERE partition = $1 AND letter_offset = $2",
        (partition, letter_offset),
    )


def positions_of_sources() -> Query:
    """How far each source has been read."""
    return Query(
        "SELECT topic, partition, log_id, next_offset, recorded_at, updated_at FROM backtape.projection_state ORDER BY 1, 2"
    )


def health() -> Query:
    """How far each source has been read, and how far behind its log's end that was when the projector last looked."""
    return Query("SELECT * FROM backtape.projection_health ORDER BY topic, partition")


def is_projected(*, topic: str, partition: int, offset: int) -> Query:
    """One row with ``is_projected``: whether the record at this offset is in the tables. For ``?min_offset=``.

    topic : full name, such as backtape.events
    """
    return Query(
        "SELECT coalesce((SELECT next_offset > $3 FROM backtape.projection_state WHERE topic = $1 AND partition = $2), false)"
        " AS is_projected",
        (topic, partition, offset),
    )


def quarantine() -> Query:
    """Records that could not be projected, and why."""
    return Query('SELECT topic, partition, "offset", backtest_id, recorded_at, reason FROM backtape.quarantine ORDER BY 1, 2, 3')


def archived() -> Query:
    """How far the archive reaches and what it takes up: one row per topic, partition and log; of these the newest log last."""
    return Query(
        "SELECT topic, partition, log_id, count(*) AS ranges, sum(records)::bigint AS records, sum(bytes)::bigint AS bytes,"
        " sum(raw_bytes)::bigint AS raw_bytes, min(first_offset) AS first_offset, max(next_offset) AS next_offset,"
        " max(last_recorded_at) AS archived_until, max(announced_at) AS announced_at"
        " FROM backtape.archived_ranges GROUP BY topic, partition, log_id ORDER BY topic, partition, max(announced_at), log_id"
    )


def archived_ranges(*, topic: str, partition: int, log_id: str, after: After | None = None, limit: int = 100) -> Query:
    """The archived ranges of one log's partition in order; key ``first_offset``."""
    conditions = Conditions()
    conditions.add("topic = {}", topic)
    conditions.add("partition = {}", partition)
    conditions.add("log_id = {}", log_id)
    return page_of("archived_ranges", conditions, Order(None, ("first_offset",)), after, limit)


def snapshots(*, after: After | None = None, limit: int = 100) -> Query:
    """Snapshots in the blob store; key ``backtest_id``."""
    return page_of("snapshots", Conditions(), Order(None, ("backtest_id",)), after, limit)
