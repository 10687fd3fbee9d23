"""This module runs audits that were asked for from the web: one at a time in the whole installation, in a process of its own.

What was asked for and what came of it is in ``backtape_control.audits``. The process that holds the lock runs them; when it
dies, another web process takes over, and begins what was under way anew.
"""

import asyncio
import contextlib
import json
from typing import Any

import structlog

from adapters.control.audits import AuditBook
from adapters.errors import AdapterError
from web.config import WebConfig
from web.processes import Finished, run_cli

log = structlog.get_logger()

AUDIT_SECONDS = 2 * 3_600.0
LOOK_SECONDS = 5.0  # for audits that another web process was asked for
VERDICTS = ("proven", "different", "not_tried")


class Audits:
    """The queue of audits."""

    def __init__(self, config: WebConfig, book: AuditBook) -> None:
        self._config = config
        self._book = book
        self._asked = asyncio.Event()

    async def last(self, backtest_id: str) -> dict[str, Any] | None:
        return await self._book.last(backtest_id)

    async def count_open(self) -> int:
        return await self._book.count_open()

    def none(self, backtest_id: str) -> dict[str, Any]:
        """Return what is told of a backtest without an audit."""
        absent = dict.fromkeys(("verdict", "requested_by", "requested_at", "started_at", "finished_at"))
        return {"backtest_id": backtest_id, "state": "none", "findings": [], "detail": "", **absent}

    async def request(self, backtest_id: str, *, requested_by: str) -> dict[str, Any]:
        """Queue an audit, unless one waits or runs."""
        found = await self._book.request(backtest_id, requested_by)
        self._asked.set()
        return found

    async def run(self) -> None:
        """Run audits until cancelled."""
        while True:
            try:
                async with self._book.leading() as is_leader:
                    while is_leader:
                        await self._next()
            except AdapterError as error:
                log.warning("audits_wait", error=str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def _next(self) -> None:
        self._asked.clear()
        backtest_id = await self._book.take_next()
        if backtest_id is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), LOOK_SECONDS)
            return
        await self._book.finish(backtest_id, **await self._audited(backtest_id))

    async def _audited(self, backtest_id: str) -> dict[str, Any]:
        try:
            finished = await run_cli(["audit", backtest_id, "--json"], self._config.environment, seconds=AUDIT_SECONDS)
        except TimeoutError:
            return _failed(f"no answer within {AUDIT_SECONDS:g} s")
        outcome = _outcome(finished)
        log.info("audited", backtest_id=backtest_id, state=outcome["state"], verdict=outcome["verdict"])
        return outcome


def _outcome(finished: Finished) -> dict[str, Any]:
    try:
        (document,) = json.loads(finished.stdout)
        if document["verdict"] in VERDICTS:
            return {"state": "done", "verdict": document["verdict"], "findings": document["findings"], "detail": ""}
    except (ValueError, KeyError, TypeError):
        pass
    return _failed(finished.reason)


def _failed(detail: str) -> dict[str, Any]:
    return {"state": "failed", "verdict": None, "findings": [], "detail": detail}
