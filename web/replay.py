"""This module shows a backtest as it stood after one of its events."""

from typing import Any

from web.problems import ProblemError
from web.services import Services


async def replay(services: Services, row: dict[str, Any], to: str) -> dict[str, Any]:
    """Return the answer ``ReplayAnswer``."""
    raise ProblemError(501, "not_built", "replay is not there yet")
