"""This module reads a backtest's events from the log, commit by commit, where the read model says that they lie."""

import json
from collections.abc import AsyncIterator
from typing import Any, get_args

import msgspec
import pyarrow as pa

from adapters.errors import NotFoundError
from adapters.ports import TopicPartition
from projections import queries
from schemas.commit import Commit, decode_commit
from schemas.events import AnyEvent, Event
from schemas.ids import sha256
from schemas.times import format_time
from schemas.topics import EVENTS
from web.problems import ProblemError, invalid_field
from web.services import Services

FETCHED = 100  # records that are read together: commits of one run often follow each other
KINDS = tuple(sorted(kind.__name__ for kind in get_args(AnyEvent)))
EVENT_SCHEMA = pa.schema(
    [
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("ns", tz="UTC")),
        pa.field("type", pa.string(), nullable=False),
        pa.field("commit", pa.int64(), nullable=False),
        pa.field("data", pa.string(), nullable=False),  # JSON
    ]
)


def check_types(kinds: list[str]) -> None:
    """Refuse a type of event that does not exist: no output would look like an answer."""
    for kind in kinds:
        if kind not in KINDS:
            raise invalid_field("query.type", kind, f"one of {', '.join(KINDS)}")


async def bodies_of(services: Services, backtest_id: str, *, first: int, last: int | None) -> AsyncIterator[bytes]:
    """Yield the commits that hold events from one sequence to another, as bytes, in order.

    Raises ProblemError 410 for those that the log does not hold any more.
    """
    places = await services.ask(queries.commits(backtest_id, first_sequence=first, last_sequence=last))
    topic = services.config.kafka.topic(EVENTS)
    fetched: dict[int, bytes | None] = {}
    for place in places:
        if place["offset"] not in fetched:
            source = TopicPartition(topic, place["partition"])
            try:
                records = await services.log.read(source, place["offset"], max_records=FETCHED)
            except NotFoundError as error:
                raise _gone(place, str(error)) from error
            fetched = {record.offset: record.value for record in records}
        body = fetched.get(place["offset"])
        if body is None or sha256(body) != place["digest"]:
            raise _gone(place, "another record lies there")
        yield body


def _gone(place: dict[str, Any], why: str) -> ProblemError:
    return ProblemError(410, "not_in_the_log", f"the log does not hold commit {place['number']} where the read model says: {why}")


async def event_page(
    services: Services, row: dict[str, Any], *, kinds: set[str], first: int, last: int | None, limit: int
) -> dict[str, Any]:
    """Return the answer ``EventPage``."""
    items: list[dict[str, Any]] = []
    async for body in bodies_of(services, row["backtest_id"], first=first, last=last):
        commit = decode_commit(body)
        for event in _chosen(commit, kinds=kinds, first=first, last=last):
            if len(items) == limit:
                return {"items": items, "next_cursor": str(items[-1]["sequence"]), "last_sequence": row["last_sequence"]}
            items.append(event_answer(event, commit.number))
    return {"items": items, "next_cursor": None, "last_sequence": row["last_sequence"]}


async def event_batches(
    services: Services, backtest_id: str, *, kinds: set[str], first: int, last: int | None
) -> AsyncIterator[pa.RecordBatch]:
    """Yield the events as columns, a batch for each commit."""
    async for body in bodies_of(services, backtest_id, first=first, last=last):
        commit = decode_commit(body)
        events = [event_answer(event, commit.number) for event in _chosen(commit, kinds=kinds, first=first, last=last)]
        times = [event.time_ns or None for event in _chosen(commit, kinds=kinds, first=first, last=last)]
        columns = [
            pa.array([event["sequence"] for event in events], pa.int64()),
            pa.array(times, pa.int64()).cast(pa.timestamp("ns", tz="UTC")),
            pa.array([event["type"] for event in events], pa.string()),
            pa.array([event["commit"] for event in events], pa.int64()),
            pa.array([json.dumps(event["data"], separators=(",", ":")) for event in events], pa.string()),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=EVENT_SCHEMA)


def event_answer(event: Event, commit: int) -> dict[str, Any]:
    """Return the answer ``Event``."""
    fields = msgspec.to_builtins(event)
    kind, sequence, time_ns = (fields.pop(name) for name in ("type", "sequence", "time_ns"))
    return {
        "sequence": sequence,
        "time": format_time(time_ns) if time_ns else None,
        "type": kind,
        "commit": commit,
        "data": fields,
    }


def _chosen(commit: Commit, *, kinds: set[str], first: int, last: int | None) -> list[Event]:
    return [
        event
        for event in commit.events
        if event.sequence >= first and (last is None or event.sequence <= last) and (not kinds or type(event).__name__ in kinds)
    ]
