"""This module holds the routes of the event streams."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from web.access import Anyone
from web.models.common import BacktestIdPath
from web.problems import invalid_field
from web.services import Wired
from web.stream.cursor import RunCursor, parse_cursor, parse_shared
from web.stream.serving import event_stream

router = APIRouter(prefix="/api", tags=["live"])

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=16_384, description="where an earlier stream ended; it goes on from there"),
]
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "events without end", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}
MAX_FOLLOWED = 100
Followed = Annotated[
    list[str], Query(max_length=MAX_FOLLOWED, description="backtests to follow closely: ID, or ID@SEQUENCE to go on after it")
]


@router.get("/backtests/{backtest_id}/stream", response_class=StreamingResponse, responses=STREAM, summary="Follow one backtest")
async def follow(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired, last_event_id: LastEventId = None,
    after: Annotated[int | None, Query(ge=0, description="as Last-Event-ID, where a client can't set headers")] = None,
) -> StreamingResponse:  # fmt: skip
    """Server-sent events of one backtest; ids are sequences of its log.

    `state` (the row of the list), `fills`, `positions` (those that changed), `equity` (columns of new marks; `first_mark` tells
    their place), `lag` (how far the read model is behind, every few seconds), `end` (nothing more will come: close it).
    It begins with `state`; then, without a Last-Event-ID, with what comes from now on, and with one, with what came after it.
    """
    given = last_event_id if last_event_id is not None else None if after is None else str(after)
    cursor = parse_cursor(given) if given else None
    if given and cursor is None:
        raise invalid_field("header.Last-Event-ID", given, "a sequence is needed")
    return await event_stream(services, principal, {backtest_id: cursor}, is_list_wanted=False, is_single=True)


@router.get("/stream", response_class=StreamingResponse, responses=STREAM, summary="Follow many backtests by one stream")
async def follow_many(
    principal: Anyone, services: Wired, last_event_id: LastEventId = None,
    ids: Followed = [],  # noqa: B006
    changes: Annotated[bool, Query(description="whether the rows of all backtests that change are told as well")] = True,
) -> StreamingResponse:  # fmt: skip
    """One stream for all that a browser shows, since it may have only six connections to a server.

    `rows` (rows of the list that changed: `items`), `reload` (more changed than is told: read the list again), `lag`; and for
    each followed backtest the events of its own stream, with its id in them; `gone` for one that is not there or not seen.
    An event's id holds the sequence of each of them.
    """
    followed: dict[str, RunCursor | None] = {}
    for each in ids:
        name, _, sequence = each.partition("@")
        cursor = parse_cursor(sequence) if sequence else None
        if sequence and cursor is None:
            raise invalid_field("query.ids", each, "ID or ID@SEQUENCE is needed")
        followed[name] = cursor
    for name, cursor in parse_shared(last_event_id or "").items():
        if name in followed:
            followed[name] = cursor
    return await event_stream(services, principal, followed, is_list_wanted=changes, is_single=False)
