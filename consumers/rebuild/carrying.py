"""This module carries over what a new generation can't read from the log: messages that Kafka has deleted by their age."""

from dataclasses import dataclass

from projections.digests import MESSAGE_TABLES


@dataclass(frozen=True, slots=True)
class Carried:
    """A table whose rows are messages of one topic."""

    name: str
    topic: str


def carry_sql(old: str, new: str) -> list[tuple[Carried, str]]:
    """Return for each such table the statement that copies its rows from before an offset ($2) of a partition ($1).

    ``{names}`` in the statement stands for the columns that both generations have.
    """
    return [
        (
            Carried(table, topic),
            f"INSERT INTO {new}.{table} ({{names}}) SELECT {{names}} FROM {old}.{table} WHERE partition = $1 AND {offset} < $2",
        )
        for table, (offset, topic) in MESSAGE_TABLES.items()
    ]
