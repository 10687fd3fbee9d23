"""This module keeps all event streams of the process going: one look at the read model for whatever is followed.

The projector tells by a notification which runs changed; besides, the hub looks every two seconds by itself, so that a lost
notification costs no more than that. What is followed by nobody is not looked at.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from adapters.errors import AdapterError
from adapters.ports import Changed
from projections import stream_queries
from web.stream.feed import ROW_COLUMNS, Ask, Event, RunFeed, encode, frame

log = structlog.get_logger()

LOOK_SECONDS = 2.0
REST_SECONDS = 0.1  # between two looks, so that a busy projector is not asked more often than a page can show
RECENT_SECONDS = 60.0
MAX_ROWS = 500  # more changed at once: the pages read their lists again
KEPT_BATCHES = 128


@dataclass(frozen=True, slots=True)
class RowsBatch:
    """Rows of the list that changed: each with whose it is, and its JSON. None: too many, read the list again."""

    number: int
    rows: tuple[tuple[str | None, bytes], ...] | None


class Client:
    """One stream: it is woken when there may be something for it."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def wait(self, seconds: float) -> None:
        """Wait to be woken, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for would make a task for each wait of each stream
                await self._wake.wait()
        self._wake.clear()


class Hub:
    """Feeds by run, and the changes of the list, for the clients of this process."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._feeds: dict[str, RunFeed] = {}
        self._followers: dict[str, set[Client]] = {}
        self._clients: set[Client] = set()
        self._batches: deque[RowsBatch] = deque(maxlen=KEPT_BATCHES)
        self._number = 0
        self._frames: dict[tuple[int, str | None], bytes] = {}  # what was told behind a number, to whom: many ask the same
        self._dirty: set[str] = set()
        self._look_at_all = False
        self._something = asyncio.Event()
        self._sequences: dict[str, int] = {}  # of runs that were open at the last look
        self._opening: dict[str, asyncio.Lock] = {}

    @property
    def streams(self) -> int:
        return len(self._clients)

    @property
    def number(self) -> int:
        """The number of the last batch of rows."""
        return self._number

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """Count a stream for as long as it lasts."""
        made = Client()
        self._clients.add(made)
        try:
            yield made
        finally:
            self._clients.discard(made)
            for name in [name for name, followers in self._followers.items() if made in followers]:
                self._followers[name].discard(made)
                if not self._followers[name]:
                    del self._followers[name]
                    self._feeds.pop(name, None)
                    self._opening.pop(name, None)

    async def follow(self, backtest_id: str, client: Client) -> RunFeed:
        """Return the feed of a run, open where the run is now."""
        self._followers.setdefault(backtest_id, set()).add(client)
        async with self._opening.setdefault(backtest_id, asyncio.Lock()):
            feed = self._feeds.get(backtest_id)
            if feed is None:
                feed = RunFeed(backtest_id, self._ask)
                await feed.open()
                self._feeds[backtest_id] = feed
        return feed

    def rows_since(self, number: int) -> list[RowsBatch] | None:
        """Return the batches behind a number; None when some of them are not kept any more."""
        if number == self._number:
            return []
        kept = [batch for batch in self._batches if batch.number > number]
        return kept if kept and kept[0].number == number + 1 else None

    def rows_frame(self, number: int, only_of: str | None) -> bytes:
        """Return the server-sent event of the rows behind a number that one sees; a comment where one sees none of them."""
        key = (number, only_of)
        if key not in self._frames:
            self._frames[key] = self._framed(number, only_of)
        return self._frames[key]

    def _framed(self, number: int, only_of: str | None) -> bytes:
        batches = self.rows_since(number)
        if batches is None or any(batch.rows is None for batch in batches):
            return frame(Event("reload", b"{}"), None)
        rows = [body for batch in batches for submitter, body in batch.rows or () if only_of is None or submitter == only_of]
        return frame(Event("rows", b'{"items":[' + b",".join(rows) + b"]}"), None) if rows else b": \n\n"

    def notice(self, changed: Changed) -> None:
        """Take what the projector announced."""
        if changed.everything:
            self._look_at_all = True
        self._dirty |= changed.ids
        if self._look_at_all or self._dirty:
            self._something.set()

    async def run(self) -> None:
        """Look whenever there is a notification, and every two seconds, until cancelled."""
        looked_at = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._something.wait(), LOOK_SECONDS)
            self._something.clear()
            now = time.monotonic()
            is_due = self._look_at_all or now - looked_at >= LOOK_SECONDS
            if is_due:
                looked_at, self._look_at_all = now, False
            try:
                await self.look(is_whole=is_due)
            except AdapterError as error:
                log.warning("streams_wait", error=str(error))
                self._look_at_all = True
            await asyncio.sleep(REST_SECONDS)

    async def look(self, *, is_whole: bool) -> None:
        """Tell all clients what changed.

        is_whole : look for what no notification has named, too
        """
        dirty, self._dirty = self._dirty, set()
        if not self._clients:
            self._sequences.clear()
            return
        if is_whole:
            dirty |= await self._found()
        await self._tell_rows(dirty)
        for name in sorted(dirty & self._feeds.keys()):
            feed = self._feeds.get(name)
            if feed is not None and await feed.advance():
                for client in self._followers.get(name, ()):
                    client.wake()

    async def _found(self) -> set[str]:
        """Return the runs that have changed since the last whole look."""
        rows = await self._ask(stream_queries.open_or_recent(RECENT_SECONDS, 10 * MAX_ROWS))
        present = {row["backtest_id"]: row["last_sequence"] for row in rows}
        gone = self._sequences.keys() - present.keys()
        behind = [name for name, feed in self._feeds.items() if name not in present and not feed.is_over]
        heads = await self._ask(stream_queries.heads(behind)) if behind else []
        changed = {name for name, sequence in present.items() if self._sequences.get(name) != sequence}
        if not self._sequences and self._number == 0:
            changed &= self._feeds.keys()  # the first look: whoever has just come has read the list
        self._sequences = present
        return (
            changed
            | gone
            | {row["backtest_id"] for row in heads if row["last_sequence"] > self._feeds[row["backtest_id"]].head.sequence}
        )

    async def _tell_rows(self, names: set[str]) -> None:
        if not names:
            return
        rows = None
        if len(names) <= MAX_ROWS:
            found = await self._ask(stream_queries.rows(sorted(names), ROW_COLUMNS))
            rows = tuple((row["submitter"], encode(row)) for row in found)
        self._number += 1
        self._frames.clear()
        self._batches.append(RowsBatch(self._number, rows))
        for client in self._clients:
            client.wake()
