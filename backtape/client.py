"""This module sends commands: what the command line's submit and cancel do, for programs that have Backtape at hand.

Other systems need nothing of ours to do the same: docs/producers.md.
"""

import uuid
from typing import Any

from adapters.command_publisher import CommandPublisher, Sent, now
from consumers.settings import Settings

__all__ = ["Client", "Sent", "now"]


class Client:
    """Publishes commands. Use as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._publisher = CommandPublisher(settings.kafka, partitions=settings.partitions)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._publisher.close()

    async def submit(
        self, spec: dict[str, Any], *, backtest_id: str | None = None, submitter: str | None = None, priority: int = 0
    ) -> Sent:
        """Ask for a backtest. Without an id a new one is made.

        Raises FieldError or TooLargeError when the spec does not follow its schema: nothing is sent then.
        """
        command: dict[str, Any] = {"type": "SubmitBacktest", "backtest_id": backtest_id or str(uuid.uuid4()), "spec": spec}
        if submitter is not None:
            command["submitter"] = submitter
        if priority:
            command["priority"] = priority
        return await self.send(command)

    async def cancel(self, backtest_id: str, *, reason: str = "") -> Sent:
        """Ask for a backtest's end."""
        return await self.send({"type": "CancelBacktest", "backtest_id": backtest_id, "reason": reason})

    async def delete(self, backtest_id: str, *, reason: str = "", submitter: str | None = None) -> Sent:
        """Ask for the removal of a finished backtest."""
        command = {"type": "DeleteBacktest", "backtest_id": backtest_id, "reason": reason}
        return await self.send(command if submitter is None else {**command, "submitter": submitter})

    async def send(self, command: dict[str, Any]) -> Sent:
        """Complete a command with its id and time, check it, and publish it to its home partition."""
        return await self._publisher.send(command)
