"""What docs/producers.md promises to other systems, done by its own examples, with a real worker at the other end."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from adapters.kafka import KafkaAppender, KafkaLogReader, create_topics, read_all
from adapters.kafka_address import KafkaAddress
from adapters.ports import Headers, Record, TopicPartition
from backtape.local import ConsumerProcess
from backtape.stack import Endpoints
from backtape.stack.jars import class_path
from examples.producers import confluent_producer
from schemas.commit import decode_commit
from schemas.partitioning import home_partition
from schemas.receipts import DeadLetterHeaders, Outcome, Receipt, decode_receipt
from schemas.topics import COMMANDS, DEAD_LETTERS, EVENTS, RECEIPTS, Topic
from tests.shared_stack import JARS, new_folder

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = CHECKOUT / "examples" / "producers"
PARTITIONS = 4
PREFIX = f"producers-{os.getpid()}"
PATIENCE_SECONDS = 60.0

pytestmark = pytest.mark.real


class NotText(str):
    """A header's name whose bytes are no UTF-8."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


# --- a worker for all tests of this module ------------------------------------------------------------------------------


class Site:
    """Topics with a prefix of their own, and what lies on them."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.address = KafkaAddress(endpoints.kafka_bootstrap, PREFIX)
        self.environment = {
            **endpoints.environment(),
            "BACKTAPE_TOPIC_PREFIX": PREFIX,
            "BACKTAPE_PARTITIONS": str(PARTITIONS),
            "BACKTAPE_SIMULATIONS": "1",
            "NUMBA_DISABLE_JIT": "1",  # compiling takes a while, and no run of these tests comes as far as its first bar
        }

    async def records(self, topic: Topic, numbers: Iterable[int] = range(PARTITIONS)) -> list[Record]:
        reader = KafkaLogReader(self.address)
        try:
            return await self._read(reader, topic, numbers)
        finally:
            await reader.close()

    async def _read(self, reader: KafkaLogReader, topic: Topic, numbers: Iterable[int]) -> list[Record]:
        name = self.address.topic(topic)
        return [record for number in numbers async for record in read_all(reader, TopicPartition(name, number), 0)]

    async def at_home(self, topic: Topic, backtest_id: str, count: int) -> list[Record]:
        """Wait for so many records of this key on its home partition."""
        reader = KafkaLogReader(self.address)
        home = [home_partition(backtest_id.encode(), PARTITIONS)]
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    found = await self._read(reader, topic, home)
                    ours = [record for record in found if record.key == backtest_id.encode()]
                    if len(ours) >= count:
                        return ours
        finally:
            await reader.close()

    async def receipts(self, backtest_id: str, count: int) -> list[Receipt]:
        """Wait for so many receipts on the home partition of a backtest, and return all that are there."""
        return [decode_receipt(record.value or b"") for record in await self.at_home(RECEIPTS, backtest_id, count)]

    async def send(self, key: bytes | None, value: bytes | None, *, headers: Headers = (), partition: int | None = None) -> int:
        appender = KafkaAppender(self.address)
        try:
            return await appender.append(self.address.topic(COMMANDS), key, value, headers=headers, partition=partition)
        finally:
            await appender.close()


@pytest.fixture(scope="module")
def site(endpoints: Endpoints) -> Iterator[Site]:
    made = Site(endpoints)
    asyncio.run(create_topics(made.address, partitions=PARTITIONS))
    folder = new_folder()
    worker = ConsumerProcess(folder / "worker", role="worker", name="worker", environment=made.environment)
    worker.start()
    try:
        yield made
    finally:
        worker.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def java_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Java example, compiled against the client's jar that the local stack has."""
    target = tmp_path_factory.mktemp("classes")
    sources = [str(path) for path in (EXAMPLES / "java").rglob("*.java")]
    command = ["javac", "-Xlint:all", "-Werror", "--release", "17", "-cp", class_path(JARS, "kafka"), "-d", str(target), *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def run(command: list[str], site: Site) -> tuple[int, dict[str, Any]]:
    """Run an example and return its exit code and the receipt that it printed."""
    done = subprocess.run(
        command, env={**os.environ, **site.environment}, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


# --- the examples -----------------------------------------------------------------------------------------------------


async def check_twice(command: list[str], backtest_id: str, site: Site) -> None:
    code, receipt = await asyncio.to_thread(run, [*command, backtest_id], site)
    assert (code, receipt["outcome"], receipt["command_type"]) == (0, "accepted", "SubmitBacktest")
    assert receipt["partition"] == home_partition(backtest_id.encode(), PARTITIONS)
    code, receipt = await asyncio.to_thread(run, [*command, backtest_id], site)
    assert (code, receipt["outcome"]) == (0, "duplicate")
    assert [each.outcome for each in await site.receipts(backtest_id, 2)] == ["accepted", "duplicate"], "none was forwarded"
    commits = await site.at_home(EVENTS, backtest_id, 1)
    assert decode_commit(commits[0].value or b"").backtest_id == backtest_id


async def test_the_aiokafka_example_submits_and_gets_its_receipt(site: Site) -> None:
    """Its default partitioner sends the command home."""
    await check_twice([sys.executable, str(EXAMPLES / "aiokafka_producer.py")], "from-aiokafka", site)


async def test_the_confluent_example_submits_and_gets_its_receipt(site: Site) -> None:
    """With the partitioner that it sets."""
    await check_twice([sys.executable, str(EXAMPLES / "confluent_producer.py")], "from-confluent", site)


async def test_the_java_example_submits_and_gets_its_receipt(site: Site, java_classes: Path) -> None:
    """With the client's defaults."""
    path = os.pathsep.join([str(java_classes), class_path(JARS, "kafka")])
    code, receipt = await asyncio.to_thread(run, ["java", "-cp", path, "SubmitBacktest", "from-java"], site)
    assert (code, receipt["outcome"], receipt["submitter"]) == (0, "accepted", "java example")
    assert [each.outcome for each in await site.receipts("from-java", 1)] == ["accepted"], "it was not forwarded"


async def test_a_command_that_was_hashed_differently_is_forwarded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """confluent-kafka's defaults: one step and one receipt more, the same result."""
    monkeypatch.setattr(confluent_producer, "PREFIX", PREFIX)
    monkeypatch.setitem(confluent_producer.CONSUMER, "bootstrap.servers", site.address.bootstrap)
    # CRC32 of this id, modulo 4 partitions, is not murmur2's: checked by the receipts below.
    backtest_id = "hashed-otherwise-0"
    command = confluent_producer.submit_command(backtest_id)
    settings = {"bootstrap.servers": site.address.bootstrap}
    receipt = await asyncio.to_thread(confluent_producer.submit, command, settings)
    home = home_partition(backtest_id.encode(), PARTITIONS)
    assert (receipt["outcome"], receipt["partition"]) == ("accepted", home)
    receipts = [decode_receipt(record.value or b"") for record in await site.records(RECEIPTS)]
    found = {each.outcome: each.partition for each in receipts if each.backtest_id == backtest_id}
    assert set(found) == {Outcome.FORWARDED, Outcome.ACCEPTED} and found[Outcome.FORWARDED] != home


# --- what the page says of bad commands ---------------------------------------------------------------------------------


async def test_what_cannot_be_read_becomes_a_dead_letter_and_the_next_command_works(site: Site) -> None:
    """Not JSON; JSON that is not UTF-8; a command above 256 KiB that passes the broker because it was compressed."""
    bad = [b"{", b'{"a": "\xff"}']
    for body in bad:
        await site.send(b"dead-1", body)
    command = confluent_producer.submit_command("after-the-dead")
    await site.send(b"after-the-dead", json.dumps(command).encode())
    assert (await site.receipts("after-the-dead", 1))[0].outcome == "accepted"
    letters = await site.at_home(DEAD_LETTERS, "dead-1", len(bad))
    assert [letter.value for letter in letters] == bad
    assert {DeadLetterHeaders.from_kafka(list(letter.headers)).reason for letter in letters} == {"not_json"}


async def test_headers_are_not_read_whatever_they_are(site: Site) -> None:
    """Bytes that are no text stand in many tracing headers."""
    command = confluent_producer.submit_command("with-headers")
    await site.send(b"with-headers", json.dumps(command).encode(), headers=(("trace", b"\xff\xfe\x00"), ("", b"")))
    assert (await site.receipts("with-headers", 1))[0].outcome == "accepted"


async def test_a_header_name_that_is_not_utf8_stops_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka calls it text but does not check it, and a client in C sends any bytes."""
    for module in (message_accumulator, producer):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    command = confluent_producer.submit_command("odd-header")
    for _ in range(2):
        await site.send(b"odd-header", json.dumps(command).encode(), headers=((NotText("x"), b"1"),))
    found = await site.receipts("odd-header", 2)
    assert [each.outcome for each in found] == ["accepted", "duplicate"]


async def test_a_rejection_says_field_value_and_what_is_allowed(site: Site) -> None:
    """So that a producer's log is enough to repair the command."""
    command = confluent_producer.submit_command("wrong-cash")
    command["spec"]["account"] = {"cash": -1}
    await site.send(b"wrong-cash", json.dumps(command).encode())
    (receipt,) = await site.receipts("wrong-cash", 1)
    assert (receipt.outcome, receipt.reason) == ("rejected", "invalid_field")
    assert receipt.detail == "spec.account.cash: -1 is not allowed: Input should be greater than 0"
