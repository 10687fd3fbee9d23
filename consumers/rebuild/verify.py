"""This module compares two generations of the read model in one snapshot, and says what differs."""

from dataclasses import dataclass

from adapters.errors import ConfigurationError
from adapters.postgres_generations import Generations
from projections.digests import compared_count_sql, compared_tables, differences_sql
from schemas.generations import Generation

SHOWN = 100  # differences of one table

_COLUMNS = """
    SELECT t.table_name, array_agg(t.column_name::text ORDER BY t.ordinal_position) AS names
    FROM information_schema.columns AS t JOIN information_schema.columns AS o
      ON o.table_schema = $2 AND o.table_name = t.table_name AND o.column_name = t.column_name AND o.data_type = t.data_type
    WHERE t.table_schema = $1 GROUP BY t.table_name
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """Rows of one backtest (or, for messages, of one partition) that are not the same in both generations."""

    table: str
    key: str
    old_rows: int
    new_rows: int

    def __str__(self) -> str:
        rows = f"{self.old_rows} rows" if self.old_rows == self.new_rows else f"{self.old_rows} rows became {self.new_rows}"
        return f"{self.table}, {self.key}: {rows}, and they differ"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was compared. ``backtests`` are those of both together; ``compared`` are at the same sequence in both."""

    backtests: int
    compared: int
    only_old: int
    only_new: int
    new_columns: tuple[str, ...]  # table.column that only the new generation has: nothing to compare with
    differences: tuple[Difference, ...]

    @property
    def is_same(self) -> bool:
        return not self.differences and not self.only_old


async def verify(generations: Generations, old: Generation, new: Generation, only: str | None = None) -> Verified:
    """Compare the tables of two generations (or one table), wherever both are at the same place of the log.

    A backtest that only the new generation has is newer, or was missing; one that only the old one has is a difference.
    """
    async with generations.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        both = {row["table_name"]: row["names"] for row in await connection.fetch(_COLUMNS, old.schema, new.schema)}
        made = {row["table_name"]: row["names"] for row in await connection.fetch(_COLUMNS, new.schema, new.schema)}
        if "backtests" not in both:
            raise ConfigurationError(f"generations {old} and {new} have no table in common")
        counts = await connection.fetchrow(compared_count_sql(old.schema, new.schema))
        differences = [
            Difference(table, row["key"], row["old_rows"], row["new_rows"])
            for table in compared_tables()
            if table in both and only in (None, table)
            for row in await connection.fetch(differences_sql(table, old.schema, new.schema, both[table], limit=SHOWN))
        ]
    fresh = [
        f"{table}.{name}"
        for table, names in sorted(made.items())
        if only in (None, table)
        for name in names
        if name not in both.get(table, ())
    ]
    return Verified(
        backtests=counts["backtests"],
        compared=counts["compared"],
        only_old=counts["only_old"],
        only_new=counts["only_new"],
        new_columns=tuple(fresh),
        differences=tuple(differences),
    )
