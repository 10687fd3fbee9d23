"""This module shows a backtest as it stood after one of its events, folded from its log up to there."""

import asyncio
from typing import Any

import msgspec

from projections.replay import ReplayError
from projections.replay import replay as replay_commits
from projections.replay_state import point_of
from schemas.commit import decode_commit
from schemas.errors import FieldError
from schemas.times import format_time
from web.events import bodies_of, event_answer
from web.problems import invalid, invalid_field
from web.services import Services


async def replay(services: Services, row: dict[str, Any], to: str) -> dict[str, Any]:
    """Return the answer ``ReplayAnswer``. Raises ProblemError 422 for a point that the backtest does not have."""
    try:
        sequence, time_ns = point_of(to)
    except FieldError as error:
        raise invalid(*error.problems) from error
    bodies = [body async for body in bodies_of(services, row["backtest_id"], first=1, last=sequence)]
    try:
        state = await asyncio.to_thread(replay_commits, bodies, sequence=sequence, time_ns=time_ns)
    except ReplayError as error:
        raise invalid_field("query.to", to, str(error)) from error
    document: dict[str, Any] = _named(msgspec.to_builtins(state))
    return {**document, "last_sequence": row["last_sequence"], "event": _event(bodies, state.sequence)}


def _event(bodies: list[bytes], sequence: int) -> dict[str, Any] | None:
    for body in reversed(bodies):
        commit = decode_commit(body)
        for event in commit.events:
            if event.sequence == sequence:
                return event_answer(event, commit.number)
    return None


def _named(value: Any) -> Any:
    """Write times as RFC 3339: ``time_ns`` is ``time``, ``opened_ns`` is ``opened_at``."""
    if isinstance(value, dict):
        return dict(_field(name, each) for name, each in value.items())
    return [_named(each) for each in value] if isinstance(value, list | tuple) else value


def _field(name: str, value: Any) -> tuple[str, Any]:
    if not name.endswith("_ns"):
        return name, _named(value)
    plain = name.removesuffix("_ns")
    return (plain if plain == "time" else f"{plain}_at"), format_time(value) if value else None
