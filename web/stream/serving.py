"""This module serves one event stream: what the hub has, as server-sent events, to one client."""

import time
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from adapters.errors import AdapterError
from web.access import Principal
from web.lookup import seen_row
from web.problems import ProblemError
from web.services import Services
from web.stream.cursor import RunCursor, shared_id
from web.stream.feed import Event, RunFeed, encode, frame

BEAT_SECONDS = 3.0  # so often the lag is told, by the clock; proxies cut what is silent for a minute
CHECK_SECONDS = 60.0  # so long a revoked key's stream may still run
RETRY_MS = 2_000  # what a browser waits before it connects again
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def event_stream(
    services: Services, principal: Principal, followed: dict[str, RunCursor | None], *, is_list_wanted: bool, is_single: bool
) -> StreamingResponse:
    """Answer a stream. Raises ProblemError 404 for the single run that is not seen, 503 when there are too many streams."""
    if services.hub.streams >= services.config.max_streams:
        raise ProblemError(
            503, "too_many_streams", f"{services.config.max_streams} streams are open", headers={"Retry-After": "10"}
        )
    unseen = set()
    for name in followed:
        try:
            await seen_row(services, principal, name)
        except ProblemError:
            if is_single:
                raise
            unseen.add(name)  # one page's old address must not cut all the others off
    stream = _Stream(services, principal, followed, unseen, is_list_wanted=is_list_wanted, is_single=is_single)
    return StreamingResponse(stream.frames(), media_type="text/event-stream", headers=HEADERS)


class _Stream:
    """What one client has been told."""

    def __init__(
        self,
        services: Services,
        principal: Principal,
        followed: dict[str, RunCursor | None],
        unseen: set[str],
        *,
        is_list_wanted: bool,
        is_single: bool,
    ) -> None:
        self._services = services
        self._principal = principal
        self._followed = {name: cursor for name, cursor in followed.items() if name not in unseen}
        self._unseen = unseen
        self._cursors: dict[str, RunCursor] = {}
        self._is_list_wanted = is_list_wanted
        self._is_single = is_single
        self._ended: set[str] = set()

    async def frames(self) -> AsyncIterator[bytes]:
        hub = self._services.hub
        yield b"retry: %d\n\n" % RETRY_MS
        with hub.client() as client:
            number = hub.number
            feeds = {name: await hub.follow(name, client) for name in self._followed}
            for name, feed in feeds.items():
                async for told in self._begin(name, feed):
                    yield told
            for name in sorted(self._unseen):
                yield frame(Event("gone", encode({"backtest_id": name})), None)
            yield self._lag()
            told_at = time.monotonic()
            checked_at = time.monotonic()
            while True:
                for name, feed in feeds.items():
                    async for told in self._news(name, feed):
                        yield told
                if self._is_single and self._ended:
                    return
                if self._is_list_wanted and number != hub.number:
                    told, number = hub.rows_frame(number, self._principal.only_of), hub.number
                    yield told
                await client.wait(BEAT_SECONDS)
                if time.monotonic() - told_at >= BEAT_SECONDS:
                    told_at = time.monotonic()
                    yield self._lag()
                if time.monotonic() - checked_at > CHECK_SECONDS:
                    checked_at = time.monotonic()
                    if not await self._is_still_known():
                        return

    async def _begin(self, name: str, feed: RunFeed) -> AsyncIterator[bytes]:
        """Tell the run's row, and begin where the run is now unless the client said where it was."""
        self._cursors[name] = feed.head if (given := self._followed[name]) is None else given
        event = await feed.present()
        if event is not None:
            yield frame(event, self._id())

    async def _news(self, name: str, feed: RunFeed) -> AsyncIterator[bytes]:
        async for message in feed.since(self._cursors[name]):
            for event in message.events[:-1]:
                yield frame(event, None)
            self._cursors[name] = message.after
            if message.events:
                # The id comes last: whoever was cut off in the middle is told the whole message again.
                yield frame(message.events[-1], self._id())
        if feed.is_over and name not in self._ended:
            self._ended.add(name)
            yield frame(Event("end", encode({"backtest_id": name})), self._id())

    def _lag(self) -> bytes:
        return frame(Event("lag", encode(self._services.lag.brief())), None)

    def _id(self) -> str:
        return str(next(iter(self._cursors.values()))) if self._is_single else shared_id(self._cursors)

    async def _is_still_known(self) -> bool:
        try:
            return await self._services.keys.is_active(self._principal.key_id)
        except AdapterError:
            return True  # the database does not answer just now: that is no reason to cut anyone off
