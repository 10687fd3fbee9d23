"""This module gives the tests real servers: one stack for the whole run, and a corner of it for each test.

Nothing skips for lack of a server: where the stack cannot start, the tests that need it fail and say why.
"""

from __future__ import annotations

import dataclasses
import gc
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from backtape.stack import Endpoints, LocalStack
from tests.shared_stack import JARS, new_folder, shared_stack

if TYPE_CHECKING:
    from tests.web_service import Service


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the garbage collector out of the reports.

    In CPython 3.11 `ast.parse` breaks when a callback of the collector runs inside it (Hypothesis has one), and pytest parses the
    source of every failed test: now and then a failure would end the whole run without a word about it.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """The running stack that all tests share. Do not kill or freeze its services: take `make_stack` for that."""
    with shared_stack() as running:
        yield running


@pytest.fixture(scope="session")
def endpoints(stack: LocalStack) -> Endpoints:
    """Where the shared stack is."""
    return stack.endpoints()


@pytest.fixture(scope="session")
def service(stack: LocalStack) -> Iterator[Service]:
    """The whole system, for the tests of its HTTP API and of its dashboard alike: it takes long to start."""
    from tests.web_service import running_service  # most runs of a few tests need nothing of the web

    with running_service(stack) as running:
        yield running


@pytest.fixture
def make_stack() -> Iterator[Callable[[], LocalStack]]:
    """A factory of stacks of the test's own, not yet started; they end and are removed with the test."""
    made: list[LocalStack] = []

    def make() -> LocalStack:
        made.append(LocalStack(new_folder(), jars=JARS))
        return made[-1]

    yield make
    for stack in made:
        stack.remove()
        shutil.rmtree(stack.state, ignore_errors=True)


@pytest.fixture
def database(stack: LocalStack) -> Iterator[str]:
    """The URL of a fresh, empty database; dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    created = stack.postgres.execute(f"CREATE DATABASE {name}", database="postgres")
    assert created.returncode == 0, created.stderr
    yield stack.postgres.url.rpartition("/")[0] + f"/{name}"
    dropped = stack.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)", database="postgres")
    assert dropped.returncode == 0, dropped.stderr


@pytest.fixture
def bucket_prefix() -> str:
    """A prefix of S3 keys that no other test uses, without slashes at its ends."""
    return f"test-{uuid.uuid4().hex[:16]}"


@pytest.fixture
def topic_prefix() -> str:
    """A prefix of topic names, groups and transactional ids that no other test uses."""
    return f"test-{uuid.uuid4().hex[:16]}"


@pytest.fixture
def own_endpoints(endpoints: Endpoints, database: str, bucket_prefix: str) -> Endpoints:
    """The shared servers, with a database and an S3 prefix of the test's own."""
    return dataclasses.replace(endpoints, database_url=database, s3_url=f"{endpoints.s3_url}/{bucket_prefix}")
