"""Everything that can be wrong with a command, each by name, through a real worker and a real projector.

Each case gets a receipt, and a dead letter where nothing could be read: looked up in SQL, at the end compared with the topics.
After each of them a good command is answered by the same worker, and every record that went in has exactly one answer.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import shutil
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.producer import message_accumulator, producer
from aiokafka.record import default_records
from confluent_kafka import Producer

from adapters.errors import FatalError, RetryableError
from adapters.kafka import KafkaAppender
from adapters.ports import Headers
from backtape.client import now
from backtape.data import generate_dataset
from backtape.local import ConsumerProcess
from backtape.prepare import prepare
from backtape.read_model import ReadModel
from backtape.stack import LocalStack
from consumers.settings import Settings, load_settings
from consumers.wiring import blob_store
from projections.queries import Query
from schemas.ids import sha256
from schemas.partitioning import home_partition
from schemas.receipts import MAX_DEAD_LETTER_BYTES, DeadLetterHeaders, decode_receipt
from schemas.topics import COMMANDS, DEAD_LETTERS, RECEIPTS
from tests.pipeline import look_again, processes, records_of
from tests.shared_stack import new_folder

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

PARTITIONS = 2
BARS = 300
LONG_BARS = 400_000  # as plain Python some ten seconds: time enough to cancel
PATIENCE_SECONDS = 60.0
INFLATED_BYTES = 100_000_000
PARTITION_UA = -1  # librdkafka: by the key

SentHeaders = list[tuple[str, str | bytes | None]]

ANSWER = """
SELECT partition, command_offset, outcome, reason, detail, command_type, backtest_id FROM backtape.commands
WHERE partition = $1 AND command_offset = $2
"""
LETTER = (
    "SELECT reason, detail, length, sha256, beginning FROM backtape.dead_letters WHERE partition = $1 AND command_offset = $2"
)


# --- a worker and a projector for the whole module -------------------------------------------------------------------


@dataclass
class Site:
    """The processes, and the way in and out."""

    settings: Settings
    workers: dict[str, ConsumerProcess]
    appender: KafkaAppender
    model: ReadModel
    sent: list[tuple[int, int]]

    async def send(
        self, key: bytes | None, value: bytes | None, *, partition: int | None = None, headers: Headers = ()
    ) -> tuple[int, int]:
        """Put a record on the commands topic, by default where its key belongs, and return partition and offset."""
        number = partition if partition is not None else home_partition(key or b"", PARTITIONS)
        offset = await self.appender.append(self.settings.kafka.topic(COMMANDS), key, value, partition=number, headers=headers)
        self.sent.append((number, offset))
        return number, offset

    async def ask(self, key: bytes | None, value: bytes | None, **where: Any) -> dict[str, Any]:
        """Send a record and return its answer."""
        return await self.answer(await self.send(key, value, **where))

    async def answer(self, place: tuple[int, int]) -> dict[str, Any]:
        """Wait for the answer in SQL."""
        return await self.row(ANSWER, *place)

    async def row(self, sql: str, *arguments: Any) -> dict[str, Any]:
        """Wait for the first row of a query."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (rows := await self.model.ask(Query(sql, arguments))):
                await look_again()
        return rows[0]

    async def end_of(self, backtest_id: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.model.wait_for_end(backtest_id)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(stack: LocalStack) -> AsyncIterator[Site]:
    name = f"bad_input_{uuid.uuid4().hex[:8]}"
    folder = new_folder()
    assert stack.postgres.execute(f"CREATE DATABASE {name}", database="postgres").returncode == 0
    endpoints = stack.endpoints()
    environment = {
        **endpoints.environment(),
        "BACKTAPE_DATABASE_URL": stack.postgres.url.rpartition("/")[0] + f"/{name}",
        "BACKTAPE_S3_URL": f"{endpoints.s3_url}/{name}",
        "BACKTAPE_TOPIC_PREFIX": name,
        "BACKTAPE_PARTITIONS": str(PARTITIONS),
        "BACKTAPE_SIMULATIONS": "1",
        "BACKTAPE_CACHE_DIR": str(folder / "cache"),
        "NUMBA_DISABLE_JIT": "1",  # compiling takes longer than these few bars
    }
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        settings = load_settings()
        await asyncio.to_thread(prepare, settings, report=lambda line: None)
        store = blob_store(settings)
        generate_dataset(store, dataset="bars", bars=BARS, seed=1)
        generate_dataset(store, dataset="many-bars", bars=LONG_BARS, seed=1)
        try:
            with processes(folder, environment, {"worker": "worker", "projector": "projector"}) as workers:
                async with ReadModel(settings.database_url) as model:
                    site = Site(
                        settings=settings,
                        workers=workers,
                        appender=KafkaAppender(settings.kafka),
                        model=model,
                        sent=[],
                    )
                    yield site
                    await site.appender.close()
        finally:
            stack.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)", database="postgres")
            shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def still_at_work(site: Site) -> AsyncIterator[None]:
    """After each test the same worker, never restarted, carries out the next good command on each partition."""
    pids = {name: process.pid for name, process in site.workers.items()}
    yield
    places = [await site.send(*good(partition)) for partition in range(PARTITIONS)]
    for place in places:
        assert (await site.answer(place))["outcome"] == "accepted"
    assert {name: process.pid for name, process in site.workers.items()} == pids
    assert all(process.is_running for process in site.workers.values())


# --- commands --------------------------------------------------------------------------------------------------------


def submit(backtest_id: str, **changes: Any) -> dict[str, Any]:
    """Return a good submit, with parts of its spec, or of itself, exchanged."""
    spec: dict[str, Any] = {
        "data": {"dataset": "bars", "symbols": ["SIM"], "timeframe": "1m"},
        "strategy": {"name": "buy_and_hold", "parameters": {}},
    }
    command = {"type": "SubmitBacktest", "command_id": str(uuid.uuid4()), "backtest_id": backtest_id, "issued_at": now()}
    for name, value in changes.items():
        if name in ("data", "strategy"):
            spec[name] = {**spec[name], **value}
        elif name in ("account", "tags", "seed", "nonsense"):
            spec[name] = value
        else:
            command[name] = value
    return {**command, "spec": spec}


def cancel(backtest_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "CancelBacktest", "command_id": str(uuid.uuid4()), "backtest_id": backtest_id, "issued_at": now(), **changes,
    }  # fmt: skip


def encoded(command: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return a command's key and value."""
    return command["backtest_id"].encode(), json.dumps(command).encode()


def good(partition: int) -> tuple[bytes, bytes]:
    """Return the key and the value of a good command that belongs to a partition."""
    while True:
        backtest_id = f"good-{uuid.uuid4().hex[:12]}"
        if home_partition(backtest_id.encode(), PARTITIONS) == partition:
            return encoded(submit(backtest_id))


# --- what can't be read ----------------------------------------------------------------------------------------------

UNREADABLE = {
    "not_json": (b'{"type": "SubmitBacktest", ', "not_json", "not JSON: EOF"),
    "not_utf8": (b'{"type": "Submit\xff"}', "not_json", "not UTF-8: byte 16 is 0xff"),
    "no_object": (b"[1, 2]", "not_json", "a command is a JSON object, not list"),
    "empty": (b"", "not_json", "not JSON: EOF"),
    "tombstone": (None, "not_json", "not JSON: EOF"),
    "nul": (b"\0\0\0", "not_json", "not JSON"),
    "deep": (b"[" * 100_000, "not_json", "not JSON: recursion limit exceeded"),
    "half_a_character": (b'{"type": "\\ud800"}', "not_json", "not JSON"),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_what_cannot_be_read_is_kept_with_its_reason(site: Site, name: str) -> None:
    """Its bytes, its length and the reason are a dead letter; the receipt says dead."""
    value, reason, detail = UNREADABLE[name]
    place = await site.send(b"unreadable", value)
    row = await site.answer(place)
    assert (row["outcome"], row["reason"], row["backtest_id"]) == ("dead", reason, None)
    assert detail in row["detail"]
    letter = await site.row(LETTER, *place)
    assert (letter["reason"], letter["length"], letter["sha256"]) == (reason, len(value or b""), sha256(value or b""))


async def test_a_command_of_a_megabyte_is_refused_by_kafka_where_it_is_not_compressed(site: Site) -> None:
    """The producer hears it at once, and what it sends next arrives."""
    appender = KafkaAppender(site.settings.kafka)
    with pytest.raises((FatalError, RetryableError), match="MessageSizeTooLarge"):
        await appender.append(site.settings.kafka.topic(COMMANDS), b"large", b" " * 1_000_000, partition=0)
    key, value = good(0)
    offset = await appender.append(site.settings.kafka.topic(COMMANDS), key, value, partition=0)
    site.sent.append((0, offset))
    assert (await site.answer((0, offset)))["outcome"] == "accepted"
    await appender.close()


@pytest.mark.parametrize("length", [300_000, 1_000_000, INFLATED_BYTES])
async def test_a_large_command_that_was_compressed_is_a_dead_letter(site: Site, length: int) -> None:
    """It passes the broker, whose limit is on compressed bytes; even 100 MB of zeros end no worker."""
    place = await asyncio.to_thread(send_compressed, site.settings, b"inflated", b"\0" * length)
    site.sent.append(place)
    row = await site.answer(place)
    assert (row["outcome"], row["reason"]) == ("dead", "too_large")
    assert row["detail"] == f"command: {length} bytes are not allowed: at most 262144"
    letter = await site.row(LETTER, *place)
    assert (letter["reason"], letter["length"]) == ("too_large", length)


@pytest.mark.parametrize("where", ["key", "header", "header, misrouted"])
async def test_a_record_that_is_large_beside_its_value_stops_nobody(site: Site, where: str) -> None:
    """A key of 2 MB, or such a header, passes the broker when it is compressed; what is written of it must pass it again."""
    large = b"\0" * 2_000_000
    key, value = encoded(submit(f"large-{where.replace(', ', '-')}"))
    home = home_partition(key, PARTITIONS)
    place = await asyncio.to_thread(
        send_compressed,
        site.settings,
        large if where == "key" else key,
        value,
        headers=[] if where == "key" else [("large", large)],
        partition=PARTITION_UA if where == "key" else home if where == "header" else 1 - home,
    )
    site.sent.append(place)
    row = await site.answer(place)
    assert (row["outcome"], row["reason"]) == ("dead", "too_large")
    assert re.fullmatch(r"key and headers: 20\d{5} bytes are not allowed: at most 8192", row["detail"])


def send_compressed(
    settings: Settings, key: bytes, value: bytes, *, headers: SentHeaders | None = None, partition: int = PARTITION_UA
) -> tuple[int, int]:
    assert len(gzip.compress(value, 6)) < 262_144
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "compression.type": "gzip",
            "message.max.bytes": 2 * INFLATED_BYTES,
            "partitioner": "murmur2_random",
        }
    )
    places: list[tuple[int, int]] = []

    def delivered(error: Any, message: Any) -> None:
        assert error is None, error
        places.append((message.partition(), message.offset()))

    topic = settings.kafka.topic(COMMANDS)
    producer.produce(topic, key=key, value=value, headers=headers or [], on_delivery=delivered, partition=partition)
    assert producer.flush(30) == 0
    return places[0]


# --- what is read and wrong ------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown_command": ({"type": "PauseBacktest"}, "unknown_command", "type: 'PauseBacktest' is not allowed: one of SubmitB"),
    "no_type": ({"type": None}, "unknown_command", "type: None is not allowed"),
    "unknown_field": ({"colour": "red"}, "invalid_field", "colour: 'red' is not allowed: there is no such field"),
    "unknown_spec_field": ({"nonsense": 1}, "invalid_field", "spec.nonsense: 1 is not allowed: there is no such field"),
    "unknown_strategy": ({"strategy": {"name": "martingale"}}, "unknown_strategy", "spec.strategy.name: 'martingale' is not"),
    "unknown_parameter": (
        {"strategy": {"name": "sma_cross", "parameters": {"speed": 3}}},
        "invalid_parameter",
        "spec.strategy.parameters.speed: 3 is not allowed: there is no such parameter; there are fast, slow",
    ),
    "start_after_end": (
        {"data": {"start": "2020-02-01", "end": "2020-01-01"}},
        "invalid_field",
        "start 2020-02-01 must be before end 2020-01-01",
    ),
    "nan_cash": ({"account": {"cash": float("nan")}}, "invalid_field", "spec.account.cash: nan is not allowed"),
    "infinite_cash": ({"account": {"cash": float("inf")}}, "invalid_field", "spec.account.cash: inf is not allowed"),
    "negative_cash": ({"account": {"cash": -1.0}}, "invalid_field", "spec.account.cash: -1.0 is not allowed: Input should be g"),
    "cash_as_text": ({"account": {"cash": "100"}}, "invalid_field", "spec.account.cash: '100' is not allowed"),
    "large_spec": ({"strategy": {"parameters": {"x": "y" * 66_000}}}, "too_large", "spec: 66"),
    "bad_time": ({"issued_at": "yesterday"}, "invalid_field", "issued_at: 'yesterday' is not allowed"),
    "nul_in_text": ({"submitter": "a\0b", "colour": "c\0d"}, "invalid_field", "colour: 'c\\x00d' is not allowed"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_wrong_command_is_rejected_by_field_value_and_what_is_allowed(site: Site, name: str) -> None:
    """The receipt is enough to repair the command."""
    changes, reason, detail = REFUSED[name]
    row = await site.ask(*encoded(submit(f"refused-{name}", **changes)))
    assert (row["outcome"], row["reason"]) == ("rejected", reason)
    assert detail in row["detail"]
    assert row["backtest_id"] == f"refused-{name}"
    assert await site.model.backtest(f"refused-{name}") is None


async def test_a_command_without_key_is_rejected(site: Site) -> None:
    """Nobody could say where it belongs."""
    row = await site.ask(None, encoded(submit("keyless"))[1], partition=1)
    assert (row["outcome"], row["reason"]) == ("rejected", "missing_key")


@pytest.mark.parametrize("key", [b"another-id", b"\xff\xfe", b"", b"nul\0key"])
async def test_a_key_that_is_not_the_backtest_id_is_rejected(site: Site, key: bytes) -> None:
    """Also one that is no text at all."""
    row = await site.ask(key, encoded(submit("wrong-key"))[1])
    assert (row["outcome"], row["reason"]) == ("rejected", "key_mismatch")
    assert "is not the command's backtest_id 'wrong-key'" in row["detail"]


async def test_headers_that_are_not_text_stop_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a value nor a name that is not UTF-8; records before it in the same fetch are not lost."""

    class NotText(str):
        def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:  # what a client in C may send
            return b"\xff\xfe\xfd"

    python_builder = default_records._DefaultRecordBatchBuilderPy  # the other one is in C, and takes text only
    for module in (message_accumulator, producer):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", python_builder)
    headers: Headers = ((NotText("trace"), b"\xff\xfe\x00"), ("", b""))
    names = [f"header-{number}" for number in range(6)]
    commands = [encoded(submit(name)) for name in names]
    places = await asyncio.gather(
        *(site.send(*command, headers=headers if number % 3 == 2 else ()) for number, command in enumerate(commands))
    )
    for place in places:
        assert (await site.answer(place))["outcome"] == "accepted"


# --- repeats and cancels ---------------------------------------------------------------------------------------------


async def test_the_same_command_twice_runs_once(site: Site) -> None:
    """The second is a duplicate, before and after the end of the run."""
    command = encoded(submit("twice"))
    places = [await site.send(*command), await site.send(*command)]
    outcomes = [(await site.answer(place))["outcome"] for place in places]
    assert outcomes == ["accepted", "duplicate"]
    row = await site.end_of("twice")
    assert row["status"] == "completed"
    late = await site.ask(*command)
    assert (late["outcome"], late["reason"]) == ("duplicate", "already_finished")
    assert (await site.model.backtest("twice") or {})["last_sequence"] == row["last_sequence"]


async def test_the_same_id_with_another_spec_is_rejected(site: Site) -> None:
    """What was accepted stays what it was."""
    await site.send(*encoded(submit("once")))
    row = await site.ask(*encoded(submit("once", seed=7)))
    assert (row["outcome"], row["reason"]) == ("rejected", "other_spec")
    assert (await site.end_of("once"))["spec"]["seed"] == 0


async def test_cancels_of_every_state_have_their_answers(site: Site) -> None:
    """Unknown, running, queued, cancelled and finished; a submit after the cancel starts nothing."""
    unknown = await site.ask(*encoded(cancel("never-submitted")))
    assert (unknown["outcome"], unknown["reason"]) == ("rejected", "unknown_backtest")

    await site.end_of(json.loads(await submitted(site, "finished"))["backtest_id"])
    finished = await site.ask(*encoded(cancel("finished")))
    assert (finished["outcome"], finished["reason"]) == ("rejected", "already_finished")

    long = submit("running", data={"dataset": "many-bars"})
    await site.send(*encoded(long))
    await site.row("SELECT 1 FROM backtape.backtests WHERE backtest_id = 'running' AND status = 'running' AND bars_done > 0")
    queued = submit("queued", tags=["waits"])  # the worker's one slot is taken
    await site.send(*encoded(queued))
    for backtest_id, reason in (("queued", "not needed"), ("running", "took too long\0")):
        assert (await site.ask(*encoded(cancel(backtest_id, reason=reason))))["outcome"] == "accepted"
        row = await site.end_of(backtest_id)
        assert (row["status"], row["cancel_reason"]) == ("cancelled", reason.replace("\0", "\ufffd"))
        again = await site.ask(*encoded(cancel(backtest_id)))
        assert (again["outcome"], again["reason"]) == ("duplicate", "already_cancelled")
    assert (await site.model.backtest("queued") or {})["started_at"] is None

    after = await site.ask(*encoded(long))
    assert (after["outcome"], after["reason"]) == ("duplicate", "already_cancelled")
    other = await site.ask(*encoded(submit("queued", seed=1)))
    assert (other["outcome"], other["reason"]) == ("rejected", "other_spec")


async def submitted(site: Site, backtest_id: str) -> bytes:
    """Send a good command, and return its value."""
    key, value = encoded(submit(backtest_id))
    await site.send(key, value)
    return value


@pytest.mark.parametrize("make", [submit, cancel])
async def test_a_command_older_than_the_dedup_window_is_expired(site: Site, make: Any) -> None:
    """Nobody could say whether it was carried out before."""
    row = await site.ask(*encoded(make("old", issued_at="2020-01-01T00:00:00Z")))
    assert (row["outcome"], row["reason"]) == ("expired", "too_old")
    assert row["detail"].startswith("issued_at 2020-01-01T00:00:00Z is more than 30 days before")


# --- data that is not there ------------------------------------------------------------------------------------------

FAILING = {
    "unknown_dataset": ({"dataset": "nothing"}, "unknown_dataset", "spec.data.dataset: there is no data set 'nothing'"),
    "unknown_version": ({"version": 7}, "unknown_dataset", "spec.data.dataset: data set 'bars' has no version 7"),
    "unknown_symbol": ({"symbols": ["SIM", "NIX"]}, "unknown_symbol", "spec.data.symbols: data set bars version 1 has no NIX"),
    "unknown_timeframe": ({"timeframe": "1d"}, "unknown_symbol", "has no SIM in 1d; it has SIM 1m"),
    "no_bars_in_range": ({"start": "2031-01-01"}, "no_data_in_range", "has no bars of SIM from 2031-01-01"),
}


@pytest.mark.parametrize("name", FAILING)
async def test_a_run_without_its_data_fails_with_the_reason(site: Site, name: str) -> None:
    """It was accepted, for intake reads no data; its log ends with what is missing."""
    data, reason, detail = FAILING[name]
    assert (await site.ask(*encoded(submit(f"failing-{name}", data=data))))["outcome"] == "accepted"
    row = await site.end_of(f"failing-{name}")
    assert (row["status"], row["failure_reason"]) == ("failed", reason)
    assert detail in row["failure_detail"]


async def test_a_run_on_bytes_that_are_not_what_was_recorded_fails(site: Site) -> None:
    """The cache is empty: the worker downloads, compares the digest, and keeps nothing."""
    store = blob_store(site.settings)
    manifest = generate_dataset(store, dataset="spoiled", bars=BARS, seed=5).manifest
    key = manifest.files[0].key
    body = bytearray(store.get(key))
    body[len(body) // 2] ^= 1
    store.put(key, bytes(body))
    for backtest_id in ("spoiled-1", "spoiled-2"):
        await site.send(*encoded(submit(backtest_id, data={"dataset": "spoiled"})))
        row = await site.end_of(backtest_id)
        assert (row["status"], row["failure_reason"]) == ("failed", "data_digest_mismatch")
        assert manifest.files[0].sha256 in row["failure_detail"]


# --- the sum of it ---------------------------------------------------------------------------------------------------


async def test_every_record_has_one_answer_and_every_accepted_run_its_end(site: Site) -> None:
    """Nothing was lost, and nothing was answered twice; SQL says what the topics say. (This is the last test of the module.)"""
    for place in site.sent:
        await site.answer(place)
    receipts = [decode_receipt(record.value or b"") for record in await records_of(site.settings, RECEIPTS)]
    assert Counter((each.partition, each.offset) for each in receipts) == Counter(set(site.sent))
    for each in receipts:
        row = await site.answer((each.partition, each.offset))
        assert (row["outcome"], row["reason"], row["detail"] or "") == (each.outcome, each.reason, without_nul(each.detail))
    submits = [each for each in receipts if each.outcome == "accepted" and each.command_type == "SubmitBacktest"]
    for each in submits:
        await site.end_of(str(each.backtest_id))
    totals = await site.model.totals()
    assert (totals["backtests"], totals["quarantined"]) == (len(submits), 0)
    await check_dead_letters(site, [(each.partition, each.offset) for each in receipts if each.outcome == "dead"])


async def check_dead_letters(site: Site, dead: list[tuple[int, int]]) -> None:
    """There is one for each that is dead, with its first bytes and the reason that SQL has."""
    letters = await records_of(site.settings, DEAD_LETTERS)
    headers = [DeadLetterHeaders.from_kafka(list(letter.headers)) for letter in letters]
    assert sorted((each.partition, each.offset) for each in headers) == sorted(dead)
    for each, letter in zip(headers, letters, strict=True):
        body = letter.value or b""
        assert len(body) == min(each.length, MAX_DEAD_LETTER_BYTES)
        assert each.length > len(body) or sha256(body) == each.sha256
        row = await site.row(LETTER, each.partition, each.offset)
        assert (row["reason"], row["detail"], row["length"], row["sha256"]) == (
            each.reason,
            without_nul(each.detail),
            each.length,
            each.sha256,
        )


def without_nul(text: str) -> str:
    """Return what Postgres can hold of a text."""
    return text.replace("\0", "\ufffd")
