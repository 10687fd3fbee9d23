"""The local stack keeps its promises: data survives SIGKILL, addresses stay, and nothing is left running."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from botocore.exceptions import ClientError

from backtape.stack import Endpoints, LocalStack, NotRunning, processes
from backtape.stack.errors import ServiceDied
from backtape.stack.service import wait_until
from tests.shared_stack import CHECKOUT, JARS, new_folder

pytestmark = pytest.mark.real

BUCKET = "backtape"


@pytest.fixture(scope="module")
def victim() -> Iterator[LocalStack]:
    """A running stack whose services may be killed."""
    stack = LocalStack(new_folder(), jars=JARS)
    stack.start()
    yield stack
    stack.remove()
    shutil.rmtree(stack.state)


async def test_kafka_keeps_a_record_through_sigkill(victim: LocalStack) -> None:
    """An acknowledged record is there after kill and restart, at the same address."""
    before = victim.endpoints()
    admin = AIOKafkaAdminClient(bootstrap_servers=before.kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=before.kafka_bootstrap, acks="all") as producer:
        await producer.send_and_wait("kept", b"record")

    victim.kafka.kill()
    assert not victim.kafka.is_running
    await asyncio.to_thread(victim.kafka.start)

    assert victim.endpoints() == before
    async with AIOKafkaConsumer("kept", bootstrap_servers=before.kafka_bootstrap, auto_offset_reset="earliest") as consumer:
        record = await asyncio.wait_for(consumer.getone(), 20)
    assert record.value == b"record"


async def test_postgres_keeps_a_row_through_sigkill(victim: LocalStack) -> None:
    """A committed row is there after kill and restart, at the same address."""
    before = victim.endpoints()
    connection = await asyncpg.connect(before.database_url)
    await connection.execute("CREATE TABLE kept (value text); INSERT INTO kept VALUES ('row')")

    victim.postgres.kill()
    connection.terminate()
    victim.postgres.start()

    assert victim.endpoints() == before
    connection = await asyncpg.connect(before.database_url)
    assert await connection.fetchval("SELECT value FROM kept") == "row"
    await connection.close()


def test_s3_keeps_an_object_through_sigkill(victim: LocalStack) -> None:
    """A stored object is there after kill and restart, at the same address."""
    before = victim.endpoints()
    with s3_client(before) as client:
        client.put_object(Bucket=BUCKET, Key="kept/object", Body=b"bytes")

    victim.s3.kill()
    victim.s3.start()

    assert victim.endpoints() == before
    with s3_client(before) as client:
        assert client.get_object(Bucket=BUCKET, Key="kept/object")["Body"].read() == b"bytes"


def test_conditional_put_has_one_winner(victim: LocalStack) -> None:
    """The first conditional PUT of a key gives 200, the next 412; so manifests are written once."""
    with s3_client(victim.endpoints()) as client:
        first = client.put_object(Bucket=BUCKET, Key="once", Body=b"a", IfNoneMatch="*")
        assert first["ResponseMetadata"]["HTTPStatusCode"] == 200
        with pytest.raises(ClientError) as second:
            client.put_object(Bucket=BUCKET, Key="once", Body=b"b", IfNoneMatch="*")
        assert second.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
        assert client.get_object(Bucket=BUCKET, Key="once")["Body"].read() == b"a"


def test_frozen_service_runs_but_is_silent_until_thawed(victim: LocalStack) -> None:
    """SIGSTOP is not death: the process stays, its answers stop, and come back."""
    pid = victim.s3.pid
    victim.s3.freeze()
    assert victim.s3.is_running
    assert not victim.s3.answers()
    victim.s3.thaw()
    wait_until(victim.s3.answers, seconds=10, what="the thawed server answers")
    assert victim.s3.pid == pid


def test_two_stacks_run_side_by_side(victim: LocalStack, endpoints: Endpoints) -> None:
    """Stacks with different state folders share no address, and both serve."""
    other = victim.endpoints()
    for field in ("kafka_bootstrap", "database_url", "s3_endpoint"):
        assert getattr(other, field) != getattr(endpoints, field)
    with s3_client(other) as here, s3_client(endpoints) as there:
        here.put_object(Bucket=BUCKET, Key="side", Body=b"here")
        with pytest.raises(ClientError):
            there.get_object(Bucket=BUCKET, Key="side")


def test_starting_a_running_stack_changes_nothing(victim: LocalStack) -> None:
    """A second start, also by another object on the same folder, finds the same processes."""
    pids = [service.pid for service in victim.services]
    again = LocalStack(victim.state, jars=JARS)
    assert again.start() == victim.endpoints()
    assert [service.pid for service in again.services] == pids


def test_stop_leaves_no_process_and_restart_keeps_the_address(make_stack: Callable[[], LocalStack]) -> None:
    """After stop all descendants are gone too, and the next start comes back where it was."""
    postgres = make_stack().postgres
    postgres.start()
    url, family = postgres.url, processes.family_of(known(postgres.process))
    assert len(family) > 1
    postgres.stop()
    assert not any(processes.is_alive(member) for member in family)
    postgres.start()
    assert postgres.url == url


def test_endpoints_of_a_stopped_stack_say_what_to_do(make_stack: Callable[[], LocalStack]) -> None:
    """Nobody gets the address of a server that is not there."""
    with pytest.raises(NotRunning, match=r"missing: kafka, postgres, s3.*backtape up"):
        make_stack().endpoints()


def test_recycled_pid_is_not_ours() -> None:
    """A process with our server's pid and another start time is neither seen as running nor signalled."""
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with stranger:
        ours = processes.Identity(stranger.pid, known(processes.start_time(stranger.pid)) - 1)
        assert not processes.is_alive(ours)
        processes.kill([ours])
        assert stranger.poll() is None


def test_service_that_dies_at_start_quotes_its_log(make_stack: Callable[[], LocalStack]) -> None:
    """The error carries the server's own words."""
    postgres = make_stack().postgres
    postgres.start()
    postgres.stop()
    with (postgres.data / "postgresql.conf").open("a") as configuration:
        configuration.write("no_such_setting = 1\n")
    with pytest.raises(ServiceDied, match="no_such_setting"):
        postgres.start()


START_AND_WAIT = """
import sys
from pathlib import Path
from backtape.stack import LocalStack
LocalStack(Path(sys.argv[1]), jars=Path(sys.argv[2])).start()
print("started", flush=True)
sys.stdin.read()
"""


def test_dead_parent_leaves_no_process(make_stack: Callable[[], LocalStack]) -> None:
    """SIGKILL of the process that started the stack ends Kafka, Postgres with its backends, and S3."""
    stack = make_stack()
    parent = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, str(stack.state), str(JARS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        families = [member for service in stack.services for member in processes.family_of(known(service.process))]
        assert len(families) >= 4
        parent.send_signal(signal.SIGKILL)
    assert processes.wait_gone(families, 10)


def test_detached_service_outlives_its_parent(make_stack: Callable[[], LocalStack]) -> None:
    """What `backtape up` starts is still there when the command has ended."""
    stack = make_stack()
    script = (
        "import sys; from pathlib import Path; from backtape.stack import LocalStack\n"
        "postgres = LocalStack(Path(sys.argv[1])).postgres; postgres.outlives_parent = True; postgres.start()"
    )
    subprocess.run([sys.executable, "-c", script, str(stack.state)], cwd=CHECKOUT, check=True)
    assert stack.postgres.answers()
    os.kill(known(stack.postgres.pid), 0)


def known(value: Any) -> Any:
    """Return what must be there."""
    assert value is not None
    return value


@contextmanager
def s3_client(endpoints: Endpoints) -> Iterator[Any]:
    """Open a client of the S3 server, closed afterwards."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoints.s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=endpoints.s3_access_key,
        aws_secret_access_key=endpoints.s3_secret_key,
    )
    try:
        yield client
    finally:
        client.close()


def test_environment_names_every_address() -> None:
    """What a process of ours needs is in its environment."""
    endpoints = Endpoints(
        kafka_bootstrap="k", database_url="d", s3_url="u", s3_endpoint="e", s3_access_key="a", s3_secret_key="s"
    )
    assert set(dataclasses.astuple(endpoints)) <= set(endpoints.environment().values())


def test_state_folder_may_contain_spaces(make_stack: Callable[[], LocalStack]) -> None:
    """A checkout's path is its user's choice."""
    outer = make_stack().state
    stack = LocalStack(Path(outer) / "with a space", jars=JARS)
    try:
        stack.postgres.start()
        stack.s3.start()
        assert stack.postgres.answers() and stack.s3.answers()
    finally:
        stack.remove()
