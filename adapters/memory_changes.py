"""This module tells what changed in a read model in memory: the twin of adapters/postgres_changes.py."""

from adapters.changes import Gathered, changed_of, payload_of
from adapters.memory_rows import MemoryRowStore
from adapters.ports import Changed


class MemoryChanges:
    """The Changes port on a MemoryRowStore."""

    def __init__(self, store: MemoryRowStore) -> None:
        self._store = store
        self._is_listening = False
        self._gathered = Gathered()

    async def wait(self, seconds: float) -> Changed:
        if not self._is_listening:
            self._is_listening = True
            self._store.listeners.append(self._told)
            self._gathered.add(Changed(everything=True))
        return await self._gathered.take(seconds)

    async def close(self) -> None:
        if self._is_listening:
            self._store.listeners.remove(self._told)
            self._is_listening = False

    def _told(self, backtest_ids: frozenset[str]) -> None:
        self._gathered.add(changed_of(payload_of(backtest_ids)))
