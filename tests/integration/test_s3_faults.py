"""This module tells what the S3 store does when the server conflicts, throttles, loses answers or is away.

Neither moto nor the local stack's server ever answers 409 or 503, so those answers are injected in front of moto.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import boto3
import botocore.exceptions as boto
import pytest

from adapters.errors import ConfigurationError, FatalError, NotFoundError, OutcomeUnknownError, RetryableError
from adapters.s3 import S3Provider
from adapters.s3_options import S3Options
from tests.contract.moto_server import moto_environment


class Time:
    """Time that passes when the store waits, so that budgets are tried without waiting."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds

    def now(self) -> float:
        return self.seconds


Fault = Callable[[Callable[[], Any]], Any]


class Faulty:
    """A client whose next calls of one operation meet these faults, in turn; then all is well."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.faults: dict[str, list[Fault]] = {}
        self.calls: list[str] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.calls.append(operation)
            send = lambda: getattr(self._client, operation)(**arguments)  # noqa: E731
            faults = self.faults.get(operation, [])
            return faults.pop(0)(send) if faults else send()

        return call


def answer(status: int, code: str) -> Fault:
    """The server answers with an error and does nothing."""

    def fault(send: Callable[[], Any]) -> Any:
        response = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise boto.ClientError(response, "PutObject")  # type: ignore[arg-type]

    return fault


def lost_before(send: Callable[[], Any]) -> Any:
    """The connection breaks before the server has done it."""
    raise boto.ConnectionClosedError(endpoint_url="http://s3")


def lost_after(send: Callable[[], Any]) -> Any:
    """The server has done it, and the answer is lost."""
    send()
    raise boto.ReadTimeoutError(endpoint_url="http://s3")


def refused(send: Callable[[], Any]) -> Any:
    """Nobody listens."""
    raise boto.EndpointConnectionError(endpoint_url="http://s3")


CONFLICT = answer(409, "ConditionalRequestConflict")
SLOW = answer(503, "SlowDown")
INTERNAL = answer(500, "InternalError")


@pytest.fixture(scope="module")
def real_client() -> Iterator[Any]:
    with moto_environment() as endpoint:
        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        yield client
        client.close()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def client(real_client: Any) -> Faulty:
    return Faulty(real_client)


@pytest.fixture
def store(client: Faulty, time: Time) -> S3Provider:
    return S3Provider(bucket="bucket", prefix=uuid4().hex, client=client, sleep=time.sleep, now=time.now, budget_seconds=30.0)


WON = [
    [],
    [CONFLICT],
    [CONFLICT] * 5,
    [SLOW],
    [INTERNAL],
    [lost_before],
    [refused] * 3,
    [lost_after],
    [lost_after, CONFLICT, SLOW],
]


@pytest.mark.parametrize("faults", WON, ids=lambda faults: "-".join(getattr(each, "__name__", "?") for each in faults) or "none")
def test_the_only_writer_wins_whatever_happens(store: S3Provider, client: Faulty, faults: list[Fault]) -> None:
    """A conflict is tried again; a lost answer is settled by looking whose object is there."""
    client.faults["put_object"] = list(faults)
    assert store.put_if_absent("m.json", b"ours") is True
    assert store.get("m.json") == b"ours"


@pytest.mark.parametrize("same", [True, False], ids=["equal bytes", "other bytes"])
@pytest.mark.parametrize("fault", [lost_before, INTERNAL, CONFLICT, SLOW])
def test_a_writer_that_came_second_loses_whatever_happens(store: S3Provider, client: Faulty, fault: Fault, same: bool) -> None:
    """Also when our answer was lost, and also when the winner's bytes are the same as ours: the token tells."""
    other = S3Provider(bucket="bucket", prefix=store.prefix, client=client._client)

    def overtaken(send: Callable[[], Any]) -> Any:
        assert other.put_if_absent("m.json", b"ours" if same else b"theirs")
        return fault(send)

    client.faults["put_object"] = [overtaken]
    assert store.put_if_absent("m.json", b"ours") is False


def test_a_server_without_metadata_is_settled_by_the_bytes(store: S3Provider, client: Faulty) -> None:
    """Equal bytes count as ours, other bytes do not."""

    def without_metadata(send: Callable[[], Any]) -> Any:
        return send() | {"Metadata": {}}

    for key, others, expected in (("a", b"ours", True), ("b", b"theirs", False)):
        client._client.put_object(Bucket="bucket", Key=store.prefix + key, Body=others)
        client.faults = {"put_object": [lost_before], "head_object": [without_metadata]}
        assert store.put_if_absent(key, b"ours") is expected


def test_a_lost_race_is_not_tried_again(store: S3Provider, client: Faulty) -> None:
    """412 is the answer, not a fault."""
    store.put("m.json", b"first")
    client.calls.clear()
    assert store.put_if_absent("m.json", b"second") is False
    assert client.calls == ["put_object"]


def test_conflicts_have_a_bound(store: S3Provider, client: Faulty, time: Time) -> None:
    """A key that is fought over for longer than the budget: it was not written, so it is safe to try later."""
    client.faults["put_object"] = [CONFLICT] * 1_000
    with pytest.raises(RetryableError, match="ConditionalRequestConflict") as caught:
        store.put_if_absent("m.json", b"ours")
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert 20 < time.seconds <= 30


def test_an_outcome_that_stays_unknown_is_said(store: S3Provider, client: Faulty) -> None:
    """The answer was lost and the server is away since."""
    client.faults["put_object"] = [lost_after, *[refused] * 1_000]
    with pytest.raises(OutcomeUnknownError, match="no success in"):
        store.put_if_absent("m.json", b"ours")


PART_BYTES = 5 * 1024 * 1024
LARGE = b"0123456789abcdef" * (PART_BYTES // 8)  # of two parts
STEPS = ("create_multipart_upload", "upload_part", "complete_multipart_upload")


@pytest.mark.parametrize("fault", [SLOW, INTERNAL, lost_before, lost_after, refused])
@pytest.mark.parametrize("step", STEPS)
def test_a_large_object_outlives_a_fault_at_each_step(store: S3Provider, client: Faulty, step: str, fault: Fault) -> None:
    """Also when the answer to the last step is lost: the upload is gone because it is an object."""
    store.part_bytes = PART_BYTES
    client.faults[step] = [fault] * (1 if fault is lost_after else 3)
    store.put("large", LARGE)
    assert client.faults[step] == [] and store.get("large") == LARGE


def test_each_part_carries_its_sha_256(store: S3Provider, client: Faulty) -> None:
    """What the server keeps is the SHA-256 of the parts' own."""
    store.part_bytes = PART_BYTES
    store.put("large", LARGE)
    parts = [hashlib.sha256(LARGE[at : at + PART_BYTES]).digest() for at in (0, PART_BYTES)]
    told = base64.b64encode(hashlib.sha256(b"".join(parts)).digest()).decode()
    assert (store.kept_as("large").checksum or "").startswith(f"SHA-256 {told}")


@pytest.mark.parametrize("step", STEPS[1:])
def test_an_upload_that_can_not_be_finished_is_taken_back(store: S3Provider, client: Faulty, step: str) -> None:
    """Neither an object nor parts stay."""
    store.part_bytes = PART_BYTES
    client.faults[step] = [answer(403, "AccessDenied")]
    with pytest.raises(ConfigurationError, match=r"multipart PUT .*large"):
        store.put("large", LARGE)
    assert store.head("large") is None
    assert client._client.list_multipart_uploads(Bucket="bucket", Prefix=store.prefix).get("Uploads", []) == []


def test_an_object_that_changes_while_it_is_read_is_no_mixture(store: S3Provider, client: Faulty) -> None:
    """Pieces are of one version, or an error."""
    store.part_bytes = PART_BYTES
    store.put("large", LARGE)
    pieces = store.pieces("large")
    next(pieces)
    store.put("large", LARGE[::-1])
    with pytest.raises(FatalError, match="large"):
        next(pieces)


CALLS: dict[str, Callable[[S3Provider], Any]] = {
    "put_object": lambda store: store.put("k", b"1"),
    "get_object": lambda store: store.get("k"),
    "head_object": lambda store: store.head("k"),
    "list_objects_v2": lambda store: list(store.list("")),
    "delete_object": lambda store: store.delete("k"),
}


@pytest.mark.parametrize("fault", [SLOW, INTERNAL, lost_before, lost_after, refused])
@pytest.mark.parametrize("operation", CALLS)
def test_every_call_outlives_a_fault_of_the_moment(
    store: S3Provider, client: Faulty, time: Time, operation: str, fault: Fault
) -> None:
    """Tried again after a growing wait with jitter."""
    store.put("k", b"1")
    client.faults[operation] = [fault] * 3
    CALLS[operation](store)
    assert client.faults[operation] == []
    assert len(time.waits) == 3 and time.waits[2] > time.waits[0]


@pytest.mark.parametrize("operation", CALLS)
def test_a_server_that_stays_away_is_retryable_after_the_budget(
    store: S3Provider, client: Faulty, time: Time, operation: str
) -> None:
    """The error names the object and the last fault; the budget is in seconds."""
    client.faults[operation] = [refused] * 1_000
    with pytest.raises(RetryableError, match="Could not connect"):
        CALLS[operation](store)
    assert 20 < time.seconds <= 30


FINAL = [
    (answer(403, "AccessDenied"), ConfigurationError, "refuses these credentials"),
    (answer(404, "NoSuchBucket"), ConfigurationError, "no such bucket"),
    (answer(400, "InvalidRequest"), FatalError, "InvalidRequest"),
]


@pytest.mark.parametrize("fault, error, message", FINAL)
@pytest.mark.parametrize("operation", ["put_object", "get_object"])
def test_what_another_try_would_not_change_is_raised_at_once(
    store: S3Provider, client: Faulty, time: Time, operation: str, fault: Fault, error: type[Exception], message: str
) -> None:
    """Rights, buckets and requests that are wrong."""
    client.faults[operation] = [fault]
    with pytest.raises(error, match=message):
        CALLS[operation](store)
    assert time.waits == []


def test_a_deleted_object_is_not_found_when_it_is_read(store: S3Provider) -> None:
    """The name tells bucket and prefix."""
    with pytest.raises(NotFoundError, match=rf"s3://bucket/{store.prefix}gone"):
        store.get("gone")


def test_missing_credentials_are_a_setting_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(ConfigurationError, match="credentials"):
        S3Provider(bucket="bucket", options=S3Options(endpoint="http://127.0.0.1:1")).get("k")


def test_the_server_checks_the_bytes_it_gets(store: S3Provider, client: Faulty) -> None:
    """Every upload carries its SHA-256."""
    store.put("k", b"1")
    head = client._client.head_object(Bucket="bucket", Key=store.prefix + "k", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s="  # of b"1"
