"""This module is ``replay`` as promised to users: the state of a run at one point, by folding its log."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from projections.replay import replay as replay_commits
from projections.replay_state import Point, Replayed, point_of

if TYPE_CHECKING:
    from backtape.result import Result
    from consumers.settings import Settings


def replay(run: "str | Result | Iterable[bytes]", *, to: Point = None, settings: "Settings | None" = None) -> Replayed:
    """Return working orders, positions, cash and equity of a run at one point.

    run : a backtest's id (its log is read, or the archive where the log is truncated), a Result, or a run's commits as bytes
    to : a sequence: after that event; a time (RFC 3339 text, or a datetime with a zone): after everything that happened at or
        before it; None: at the end
    settings : where the servers are; None: what the environment says
    Raises FieldError for another ``to``, ReplayError for a point that the log does not hold, NotFoundError for an unknown id.
    """
    sequence, time_ns = point_of(to)
    if isinstance(run, str):
        bodies: Iterable[bytes] = asyncio.run(_bodies(run, settings))
    else:
        bodies = run.commits if hasattr(run, "commits") else run
    return replay_commits(bodies, sequence=sequence, time_ns=time_ns)


async def _bodies(backtest_id: str, settings: "Settings | None") -> list[bytes]:
    from backtape.run_records import commits_of
    from consumers.settings import load_settings

    return [stored.body for stored in await commits_of(settings or load_settings(), backtest_id)]
