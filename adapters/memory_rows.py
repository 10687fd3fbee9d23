"""This module keeps the read model in memory: the twin of adapters/postgres.py, for tests and the simulator."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from adapters.errors import DeletedError, FatalError, FencedError, RetryableError
from adapters.ports import NO_EFFECTS, Advance, Effects, LogEnd, SourcePosition, TableWrite, TopicPartition

Row = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryRowStore:
    """The RowStore port on dicts. ``tables[name][key]`` is a row; keys are tuples."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[tuple[Any, ...], Row]] = {}
        self.positions: dict[TopicPartition, SourcePosition] = {}
        self.listeners: list[Callable[[frozenset[str]], None]] = []

    async def open(self, source: TopicPartition, start: int) -> SourcePosition:
        return self.positions.setdefault(source, SourcePosition(source, None, start))

    async def position(self, source: TopicPartition) -> SourcePosition | None:
        return self.positions.get(source)

    async def write(self, advances: Sequence[Advance], writes: Sequence[TableWrite], effects: Effects = NO_EFFECTS) -> None:
        for advance in advances:
            before = advance.before
            if self.positions.get(before.source) != before:
                raise FencedError(f"{before.source.topic}/{before.source.partition} is not at offset {before.next_offset}")
        for source in effects.held:
            if source not in self.positions:
                raise RetryableError(f"{source.topic}/{source.partition} was not opened yet")
        gone = effects.alive & {row["backtest_id"] for row in self.tables.get("deleted_backtests", {}).values()}
        if gone:
            raise DeletedError(f"backtests {', '.join(sorted(gone)[:3])} were deleted while this batch was made")
        changed = {write.table: dict(self.tables.get(write.table, {})) for write in writes}
        for write in writes:
            _write(changed[write.table], write)
        self.tables.update(changed)
        for advance in advances:
            self.positions[advance.before.source] = advance.after
        for tell in list(self.listeners):
            tell(effects.changed)

    async def read(
        self, table: str, columns: Sequence[str], *, where: str, values: Sequence[str], only: str | None = None
    ) -> list[tuple[Any, ...]]:
        rows = self.tables.get(table, {})
        found = [
            (key, row) for key, row in rows.items() if row[where] in values and (only is None or row[only])
        ]  # fmt: skip
        return [tuple(row[name] for name in columns) for _, row in sorted(found, key=lambda pair: pair[0])]

    async def observe(self, ends: Sequence[LogEnd]) -> None:
        rows = self.tables.setdefault("log_ends", {})
        for each in ends:
            key = (each.source.topic, each.source.partition)
            observed = _stored(each.observed_ms * 1_000_000, "timestamptz")
            if key in rows and rows[key]["observed_at"] > observed:
                continue
            oldest = each.oldest_unread_ms
            rows[key] = {
                "topic": key[0], "partition": key[1], "log_end": each.end, "observed_at": observed,
                "oldest_unread_at": None if oldest is None else _stored(oldest * 1_000_000, "timestamptz"),
            }  # fmt: skip

    async def close(self) -> None:
        pass


def _write(rows: dict[tuple[Any, ...], Row], write: TableWrite) -> None:
    for row in _dicts(write):
        key = tuple(row[name] for name in write.key)
        if write.kind == "delete":
            for place in [place for place, each in rows.items() if all(each[name] == row[name] for name in write.key)]:
                del rows[place]
            continue
        if write.kind == "insert" and key in rows:
            raise FatalError(f"{write.table}: {key} is there already")
        if write.kind == "update" and key not in rows:
            raise FatalError(f"{write.table}: {key} changes, but is not there")
        rows[key] = rows.get(key, {}) | row


def _dicts(write: TableWrite) -> list[Row]:
    rows = [row for chunk in write.packed for row in msgspec.msgpack.decode(chunk)]
    assert len(rows) == write.count, "a write says how many rows it has"
    return [
        {column[0]: _stored(value, column[1]) for value, column in zip(row, write.columns, strict=True) if column is not None}
        for row in rows
    ]


def _stored(value: Any, kind: str) -> Any:
    """Return the value as a database would give it back."""
    if value is None:
        return None
    match kind:
        case "timestamptz":
            return _EPOCH + timedelta(microseconds=value // 1_000)
        case "int8" | "int4" if not -(1 << 63) <= value < 1 << 63:
            raise FatalError(f"{value} does not fit {kind}")
        case "float8":
            return float(value)
        case "text":
            return value.replace("\0", "\ufffd")
        case _:
            return value
