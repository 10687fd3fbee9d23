"""This module listens for notifications of PostgreSQL, and connects again when it was cut off."""

import asyncio
import contextlib
from collections.abc import Callable

import asyncpg
import structlog

from adapters.postgres_session import CONNECT_SECONDS

log = structlog.get_logger()

RETRY_SECONDS = 2.0


class PostgresListener:
    """Calls ``on_payload`` for each notification of a channel; None: some may have been missed.

    Notifications only hasten what a look at the tables would tell as well: nothing may rest on them alone.
    """

    def __init__(self, database_url: str, channel: str, on_payload: Callable[[str | None], None]) -> None:
        self._url = database_url
        self._channel = channel
        self._on_payload = on_payload

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                log.warning("listener_waits", channel=self._channel, error=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(
            self._url, timeout=CONNECT_SECONDS, server_settings={"application_name": "backtape web"}
        )
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_lost(_: object) -> None:
            if not lost.done():
                lost.set_result(None)

        def on_notice(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            self._on_payload(str(payload))

        connection.add_termination_listener(on_lost)
        try:
            await connection.add_listener(self._channel, on_notice)
            self._on_payload(None)
            await lost
        finally:
            with contextlib.suppress(Exception):
                connection.terminate()
