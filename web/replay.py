"""This module shows a backtest as it stood after one of its events, folded from its log up to there."""

import asyncio
from typing import Any

from projections.replay import ReplayError
from projections.replay import replay as replay_commits
from projections.replay_state import document, point_of
from schemas.commit import decode_commit
from schemas.errors import FieldError
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
    return {**document(state), "last_sequence": row["last_sequence"], "event": _event(bodies, state.sequence)}


def _event(bodies: list[bytes], sequence: int) -> dict[str, Any] | None:
    for body in reversed(bodies):
        commit = decode_commit(body)
        for event in commit.events:
            if event.sequence == sequence:
                return event_answer(event, commit.number)
    return None
