"""This module finds a run's commits wherever they lie: in the log, or in the archive where the log is truncated."""

from collections.abc import AsyncIterator

from adapters.errors import AdapterError
from adapters.run_log import RunLogs, StoredCommit
from backtape.read_model import ReadModel
from consumers.settings import Settings
from consumers.wiring import log_reader
from schemas.topics import EVENTS


async def commits_of(settings: Settings, backtest_id: str) -> list[StoredCommit]:
    """Return a run's commits as they are now. Raises NotFoundError when there is none."""
    logs = RunLogs(log_reader(settings), settings.kafka.topic(EVENTS))
    try:
        return await logs.read(backtest_id, start=await first_offset(settings, backtest_id))
    finally:
        await logs.close()


async def follow(settings: Settings, backtest_id: str) -> AsyncIterator[StoredCommit]:
    """Yield a run's commits as they come, up to its end, however long that takes."""
    logs = RunLogs(log_reader(settings), settings.kafka.topic(EVENTS))
    try:
        async for stored in logs.follow(backtest_id, start=await first_offset(settings, backtest_id), waits=True):
            yield stored
    finally:
        await logs.close()


async def first_offset(settings: Settings, backtest_id: str) -> int | None:
    """Return where a run begins. A read model that is away, or does not know it, costs only time."""
    try:
        async with ReadModel(settings.database_url) as model:
            row = await model.backtest(backtest_id)
    except AdapterError:
        return None
    return None if row is None else int(row["first_offset"])
