"""This module holds what is new of one run, once for all who follow it.

A client has no queue of its own, only a place (its cursor). It reads on from the feed's last messages; one that fell behind
them, because it is slow or was away, is brought up from the read model to where the feed is, page by page.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from projections import stream_queries
from projections.queries import Query
from schemas.run_state import RunStatus
from web.answers import milliseconds
from web.models.backtests import BacktestRow
from web.models.rows import Fill, Position
from web.stream.cursor import RunCursor

KEPT_MESSAGES = 64  # of one run: a client may be so many changes behind before the read model is asked for it
FILLS = 1_000  # of one message
MARKS = 2_000
POSITIONS = 500

ROW_COLUMNS = tuple(BacktestRow.model_fields)
FILL_COLUMNS = tuple(Fill.model_fields)
POSITION_COLUMNS = tuple(Position.model_fields)

Ask = Callable[[Query], Awaitable[list[dict[str, Any]]]]

encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event without its id."""

    name: str
    data: bytes


def frame(event: Event, identity: str | None) -> bytes:
    """Return the event as it is sent."""
    label = b"" if identity is None else b"id: %s\n" % identity.encode()
    return b"event: %s\n%sdata: %s\n\n" % (event.name.encode(), label, event.data)


@dataclass(frozen=True, slots=True)
class Message:
    """What happened between two places; whoever is at ``before`` and takes all of it is at ``after``."""

    before: RunCursor
    after: RunCursor
    events: tuple[Event, ...]
    is_last: bool


class RunFeed:
    """The last messages of one run."""

    def __init__(self, backtest_id: str, ask: Ask) -> None:
        self.backtest_id = backtest_id
        self.head = RunCursor()
        self.is_over = False
        self._ask = ask
        self._kept: deque[Message] = deque(maxlen=KEPT_MESSAGES)

    async def open(self) -> None:
        """Begin where the run is now."""
        row = await self._row()
        marks = await self._ask(stream_queries.last_mark(self.backtest_id))
        self.head = RunCursor(row["last_sequence"] if row else 0, marks[0]["mark"] or 0)
        self.is_over = row is not None and RunStatus(row["status"]).is_finished

    async def advance(self) -> bool:
        """Read what is new, and say whether there was anything."""
        before = self.head
        async for message in self._between(self.head, None):
            self._kept.append(message)
            self.head = message.after
            self.is_over = message.is_last
        return self.head != before

    async def since(self, cursor: RunCursor) -> AsyncIterator[Message]:
        """Yield what came after a place, up to where the feed is."""
        at = cursor
        while at != self.head:
            kept = next((message for message in self._kept if message.before == at), None)
            if kept is not None:
                at = kept.after
                yield kept
                continue
            moved = False
            async for message in self._between(at, self.head):
                at, moved = message.after, True
                yield message
            if not moved:  # ahead of the read model, which was rebuilt, or of another run of this id
                return

    async def present(self) -> Event | None:
        """Return the run's row as it is now."""
        row = await self._row()
        return None if row is None else self._event("state", {"row": row})

    async def _row(self) -> dict[str, Any] | None:
        rows = await self._ask(stream_queries.rows([self.backtest_id], ROW_COLUMNS))
        return rows[0] if rows else None

    async def _between(self, start: RunCursor, until: RunCursor | None) -> AsyncIterator[Message]:
        """Read messages from a place up to another one; None: to where the read model is."""
        row = await self._row()
        if row is None:
            return
        last = row["last_sequence"] if until is None else until.sequence
        is_over = RunStatus(row["status"]).is_finished
        at = start
        while True:
            fills = await self._ask(stream_queries.fills_after(self.backtest_id, at.sequence, last, FILLS, FILL_COLUMNS))
            marks = await self._ask(stream_queries.marks_after(self.backtest_id, at.mark, MARKS))
            if until is not None:
                marks = [mark for mark in marks if mark["mark"] <= until.mark]
            upto = fills[-1]["sequence"] if len(fills) == FILLS else last
            after = RunCursor(max(at.sequence, upto), marks[-1]["mark"] if marks else at.mark)
            if after == at:
                return
            has_more = len(fills) == FILLS or len(marks) == MARKS
            events = [self._event("fills", {"items": fills})] if fills else []
            events += await self._positions(at, upto)
            events += [self._event("equity", _columns(marks))] if marks else []
            if not has_more:
                events.append(self._event("state", {"row": row}))
            yield Message(at, after, tuple(events), is_last=is_over and not has_more)
            at = after
            if not has_more:
                return

    async def _positions(self, at: RunCursor, upto: int) -> list[Event]:
        query = stream_queries.positions_changed(self.backtest_id, at.sequence, upto, POSITIONS, POSITION_COLUMNS)
        changed = await self._ask(query)
        if not changed:
            return []
        return [self._event("positions", {"items": changed, "is_complete": len(changed) < POSITIONS})]

    def _event(self, name: str, document: dict[str, Any]) -> Event:
        return Event(name, encode({"backtest_id": self.backtest_id, **document}))


def _columns(marks: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("equity", "cash", "exposure", "drawdown")
    return {
        "first_mark": marks[0]["mark"],
        "time_ms": [milliseconds(mark["time"]) for mark in marks],
        **{name: [mark[name] for mark in marks] for name in names},
    }
