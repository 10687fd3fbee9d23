"""This module gives each test of the worker a system of its own, and ends its workers."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.unit.worker.harness import System


@pytest_asyncio.fixture
async def system() -> AsyncIterator[System]:
    """Two partitions on the memory log."""
    made = System()
    yield made
    for member in made.members:
        await member.close()
