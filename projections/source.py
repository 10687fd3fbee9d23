"""This module says where a commit lies: the part of a row that is not in the commit's bytes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """Where a commit was read, and when it was written: the record's timestamp, in nanoseconds since 1970 UTC."""

    log_id: str | None
    partition: int
    offset: int
    recorded_ns: int
