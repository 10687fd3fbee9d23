"""This module writes the queries that compare two generations of the read model, table by table, inside the database.

Each backtest's rows of a table have a count and a digest: the exclusive or of one 64-bit hash for each row, over the columns that
both generations have. A backtest is compared where both have projected it to the same sequence; what came as single messages
is compared as far as both have read its topic. Run them in one snapshot (REPEATABLE READ).
"""

from collections.abc import Iterable, Sequence

from projections.tables import RUN_TABLES

# Tables whose rows are messages: the column with the message's offset, and the end of its topic's name.
MESSAGE_TABLES = {
    "commands": ("receipt_offset", "receipts"),
    "dead_letters": ("letter_offset", "dead-letters"),
    "deleted_backtests": ("receipt_offset", "receipts"),
}


def compared_tables() -> tuple[str, ...]:
    """Return the names of the tables that are compared."""
    return (*(table.name for table in RUN_TABLES), *MESSAGE_TABLES)


def compared_count_sql(old: str, new: str) -> str:
    """Return a query for one row: backtests of both, those at the same sequence, those that only one has.

    One that only the old tables have counts where the new ones are past its first commit and know of no deletion: projectors may
    have gone on with the old ones.
    """
    return f"""
        SELECT count(*) AS backtests, count(*) FILTER (WHERE o.last_sequence = n.last_sequence) AS compared,
               count(*) FILTER (
                   WHERE n.backtest_id IS NULL AND o.first_offset < p.next_offset
                   AND NOT EXISTS (SELECT FROM {new}.deleted_backtests AS d WHERE d.backtest_id = o.backtest_id)
               ) AS only_old,
               count(*) FILTER (WHERE o.backtest_id IS NULL) AS only_new
        FROM {old}.backtests AS o FULL JOIN {new}.backtests AS n ON o.backtest_id = n.backtest_id
        LEFT JOIN {new}.projection_state AS p ON p.topic LIKE '%.events' AND p.partition = o.partition
    """


def differences_sql(table: str, old: str, new: str, columns: Iterable[str], *, limit: int) -> str:
    """Return a query for the keys whose rows differ, with the number of rows on both sides.

    columns : those that both have
    """
    if table in MESSAGE_TABLES:
        return _messages_sql(table, old, new, list(columns), limit)
    hashed = _hashed(columns)
    same = (
        f"SELECT o.backtest_id FROM {old}.backtests AS o JOIN {new}.backtests AS n ON o.backtest_id = n.backtest_id"
        " WHERE o.last_sequence = n.last_sequence"
    )
    sides = [
        f"SELECT t.backtest_id AS key, count(*) AS rows, bit_xor({hashed}) AS digest FROM {schema}.{table} AS t"
        f" WHERE t.backtest_id IN (SELECT backtest_id FROM same) GROUP BY t.backtest_id"
        for schema in (old, new)
    ]
    return f"WITH same AS MATERIALIZED ({same}), {_joined(sides, limit)}"


def _messages_sql(table: str, old: str, new: str, columns: Sequence[str], limit: int) -> str:
    offset, topic = MESSAGE_TABLES[table]
    read = (
        f"SELECT o.partition, least(o.next_offset, n.next_offset) AS bound FROM {old}.projection_state AS o"
        f" JOIN {new}.projection_state AS n ON o.topic = n.topic AND o.partition = n.partition WHERE o.topic LIKE '%.{topic}'"
    )
    sides = [
        f"SELECT t.partition::text AS key, count(*) AS rows, bit_xor({_hashed(columns)}) AS digest FROM {schema}.{table} AS t"
        f" JOIN read ON read.partition = t.partition AND t.{offset} < read.bound GROUP BY t.partition"
        for schema in (old, new)
    ]
    return f"WITH read AS MATERIALIZED ({read}), {_joined(sides, limit)}"


def _hashed(columns: Iterable[str]) -> str:
    return f"hash_record_extended(ROW({', '.join(f't.{_quoted(name)}' for name in columns)}), 0)"


def _joined(sides: Sequence[str], limit: int) -> str:
    return (
        f"o AS ({sides[0]}), n AS ({sides[1]})"
        " SELECT coalesce(o.key, n.key) AS key, coalesce(o.rows, 0) AS old_rows, coalesce(n.rows, 0) AS new_rows"
        " FROM o FULL JOIN n ON o.key = n.key"
        f" WHERE (o.rows, o.digest) IS DISTINCT FROM (n.rows, n.digest) ORDER BY 1 LIMIT {limit}"
    )


def _quoted(name: str) -> str:
    return f'"{name}"'
