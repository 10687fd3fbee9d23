"""This module lets a reader wait until the read model has what came of a command: ``?min_offset=``, to read one's own writes.

Receipts and events lie on two topics, of which either may be read first. So a command is in the tables when its receipt is, and
the backtest is what an accepted command makes of it: there, over, or gone.
"""

import asyncio
import time
from typing import Annotated

from fastapi import Depends, Query, Request

from projections import run_queries
from web.access import Anyone
from web.problems import ProblemError
from web.services import Services, Wired

PATIENCE_SECONDS = 10.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.005, 0.1

MinOffset = Annotated[
    int | None,
    Query(
        ge=0,
        description="wait, up to 10 seconds, until the answer shows what came of the command at this offset of the commands topic"
        " (run-async tells it), or of a later one about this backtest",
    ),
]


async def _fresh(request: Request, principal: Anyone, services: Wired, min_offset: MinOffset = None) -> None:
    """Wait for a command. The principal is asked for so that nobody unknown can let a request wait."""
    if min_offset is not None:
        backtest_id = request.path_params.get("task_id") or request.path_params["backtest_id"]
        await wait_until_shown(services, backtest_id, min_offset, patience_seconds=PATIENCE_SECONDS)


Fresh = Depends(_fresh)


async def wait_until_shown(services: Services, backtest_id: str, min_offset: int, *, patience_seconds: float) -> None:
    """Return when the command's effect is in the tables. Raises ProblemError 503 when that takes too long."""
    pause, ends_at = FIRST_PAUSE_SECONDS, time.monotonic() + patience_seconds
    while not await is_shown(services, backtest_id, min_offset):
        if time.monotonic() + pause > ends_at:
            detail = f"offset {min_offset} of the commands topic, about {backtest_id!r}, is not in the tables after "
            raise ProblemError(503, "not_projected", f"{detail}{patience_seconds:g} seconds", headers={"Retry-After": "2"})
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def is_shown(services: Services, backtest_id: str, min_offset: int) -> bool:
    rows = await services.ask(run_queries.answered(backtest_id, min_offset))
    return bool(rows) and bool(rows[0]["is_shown"])
