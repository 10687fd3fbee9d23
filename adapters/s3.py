"""This module keeps blobs in S3, or a server that speaks its protocol. It alone imports boto3.

Retries are ours, not botocore's, because a conditional PUT must not be repeated blindly: when the answer to the first try was
lost, the second one is refused by our own object (412), and botocore would report that we lost a race which we have won.
So every conditional PUT carries a token of its own in the object's metadata, and after a lost answer the object that is there
says whose it is.
"""

import base64
import hashlib
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import boto3
import botocore.config
import botocore.exceptions as boto

from adapters.blob_keys import check_key
from adapters.errors import AdapterError, ConfigurationError, FatalError, NotFoundError, OutcomeUnknownError, RetryableError
from adapters.ports import BlobInfo

Answer = TypeVar("Answer")

DEFAULT_REGION = "us-east-1"
CONNECT_SECONDS = 3.0
READ_SECONDS = 20.0
CONNECTIONS = 16  # of one store: the threads of one process that may talk at a time
FIRST_DELAY_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 5.0
TOKEN = "backtape-writer"

# Errors that name a fault of the moment. Everything of status 500 and above counts as well.
_MOMENTARY = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequests",
        "RequestTimeout",
        "BadDigest",
        "RequestTimeTooSkewed",
        "OperationAborted",
        "XAmzContentSHA256Mismatch",
        "ExpiredToken",
    }
)
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_URL = re.compile(r"^s3://([a-z0-9][a-z0-9.\-]{1,61}[a-z0-9])(?:/([^?#]*))?$")


@dataclass(slots=True)
class Attempts:
    """What one call has tried so far, and how long it may go on."""

    what: str
    budget_seconds: float
    sleep: Callable[[float], None]
    now: Callable[[], float]
    count: int = 0
    is_ambiguous: bool = False  # a try ended without an answer: it may have had its effect
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.now()

    def wait_or_raise(self, error: Exception) -> None:
        """Wait before the next try, longer each time and by chance, or raise when the budget is spent."""
        self.count += 1
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2**self.count) * random.uniform(0.5, 1.0)
        spent = self.now() - self.started
        if spent + delay > self.budget_seconds:
            kind = OutcomeUnknownError if self.is_ambiguous else RetryableError
            raise kind(f"{self.what}: no success in {self.count} tries over {spent:.1f} s, the last: {error}") from error
        self.sleep(delay)


class S3BlobStore:
    """Blobs in one bucket below one prefix. Safe for threads; a process that was forked makes its own."""

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str = "",
        endpoint: str | None = None,
        region: str | None = None,
        budget_seconds: float = 30.0,
        client: Any = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.url = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self.budget_seconds = budget_seconds
        self.endpoint = endpoint
        self._client = client if client is not None else _client(endpoint=endpoint, region=region)
        self._sleep = sleep
        self._now = now

    @classmethod
    def of_url(
        cls, url: str, *, endpoint: str | None = None, region: str | None = None, budget_seconds: float = 30.0
    ) -> "S3BlobStore":
        """Return the store of an ``s3://bucket/prefix`` URL. Raises ConfigurationError for any other form."""
        match = _URL.match(url)
        if match is None:
            raise ConfigurationError(f"blob store {url!r}: s3://bucket or s3://bucket/prefix is needed")
        prefix = (match[2] or "").strip("/")
        try:
            if prefix:
                check_key(prefix)
        except ValueError as error:
            raise ConfigurationError(f"blob store {url!r}: {error}") from error
        return cls(bucket=match[1], prefix=prefix, endpoint=endpoint, region=region, budget_seconds=budget_seconds)

    def put(self, key: str, data: bytes) -> None:
        self._tried(f"PUT {self._name(key)}", lambda: self._client.put_object(**self._upload(key, data)))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        token = uuid.uuid4().hex
        attempts = self._attempts(f"conditional PUT {self._name(key)}")
        while True:
            try:
                self._client.put_object(**self._upload(key, data), IfNoneMatch="*", Metadata={TOKEN: token})
                return True
            except Exception as error:
                if _status(error) == 412:
                    return attempts.is_ambiguous and self._is_ours(key, data, token=token)
                if _status(error) != 409:  # 409: another conditional PUT of this key is under way; the next try will know
                    _raise_if_final(error, attempts.what)
                    attempts.is_ambiguous |= _may_have_happened(error)
                attempts.wait_or_raise(error)

    def get(self, key: str) -> bytes:
        def read() -> bytes:
            body = self._client.get_object(Bucket=self.bucket, Key=self._full(key))["Body"]
            return bytes(body.read())

        return self._tried(f"GET {self._name(key)}", read)

    def head(self, key: str) -> BlobInfo | None:
        try:
            answer = self._head(key)
        except NotFoundError:
            return None
        return BlobInfo(key=key, bytes=int(answer["ContentLength"]), modified_ms=_milliseconds(answer["LastModified"]))

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        request: dict[str, Any] = {"Bucket": self.bucket, "Prefix": self.prefix + prefix}
        while True:
            page = self._tried(f"LIST {self.url}/{prefix}", lambda: self._client.list_objects_v2(**request))
            for each in page.get("Contents", []):
                key, modified_ms = each["Key"].removeprefix(self.prefix), _milliseconds(each["LastModified"])
                yield BlobInfo(key=key, bytes=int(each["Size"]), modified_ms=modified_ms)
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        try:
            self._tried(f"DELETE {self._name(key)}", lambda: self._client.delete_object(Bucket=self.bucket, Key=self._full(key)))
        except NotFoundError:
            return

    def presigned(self, key: str, seconds: int) -> str | None:
        url: str = self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": self._full(key)}, ExpiresIn=seconds
        )
        return url

    def _is_ours(self, key: str, data: bytes, *, token: str) -> bool:
        """Say whether the object that is there is the one we sent when the answer was lost.

        A server that drops metadata is settled by the bytes: equal ones count as ours, which is right for every key whose
        bytes follow from the key, and the best that can be known for the others.
        """
        try:
            written = self._head(key).get("Metadata", {}).get(TOKEN)
            return written == token if written is not None else self.get(key) == data
        except NotFoundError:  # there when we tried, deleted since
            return False

    def _head(self, key: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._tried(
            f"HEAD {self._name(key)}", lambda: self._client.head_object(Bucket=self.bucket, Key=self._full(key))
        )
        return answer

    def _upload(self, key: str, data: bytes) -> dict[str, Any]:
        """Return the arguments of a PUT whose bytes the server checks against their SHA-256."""
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        return {
            "Bucket": self.bucket,
            "Key": self._full(key),
            "Body": data,
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": checksum,
        }

    def _full(self, key: str) -> str:
        return self.prefix + check_key(key)

    def _name(self, key: str) -> str:
        return f"{self.url}/{key}"

    def _attempts(self, what: str) -> Attempts:
        return Attempts(what=what, budget_seconds=self.budget_seconds, sleep=self._sleep, now=self._now)

    def _tried(self, what: str, send: Callable[[], Answer]) -> Answer:
        """Send until it works, the fault is final, or the budget is spent. For calls that may be repeated."""
        attempts = self._attempts(what)
        while True:
            try:
                return send()
            except Exception as error:
                _raise_if_final(error, what)
                attempts.wait_or_raise(error)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


def _client(*, endpoint: str | None, region: str | None) -> Any:
    session = boto3.session.Session(region_name=region)
    settings = botocore.config.Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1},
        max_pool_connections=CONNECTIONS,
        request_checksum_calculation="when_required",  # ours is sent as a header: servers other than AWS know it
        signature_version="s3v4",  # of presigned addresses too, which would otherwise be of version 2 beside some endpoints
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    region = session.region_name or DEFAULT_REGION
    try:
        return session.client("s3", endpoint_url=endpoint, region_name=region, config=settings)
    except (ValueError, boto.BotoCoreError) as error:
        raise ConfigurationError(f"S3 endpoint {endpoint!r}, region {region!r}: {error}") from error


def _status(error: Exception) -> int | None:
    if not isinstance(error, boto.ClientError):
        return None
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: boto.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _may_have_happened(error: Exception) -> bool:
    """Say whether the server may have done what it was asked for, although the answer says otherwise or never came."""
    if isinstance(error, boto.ClientError):
        return (_status(error) or 0) >= 500 and _code(error) not in _MOMENTARY
    return not isinstance(error, boto.ConnectTimeoutError | boto.EndpointConnectionError)


def _raise_if_final(error: Exception, what: str) -> None:
    """Return for a fault of the moment; raise the adapters' error for what another try would not change."""
    if isinstance(error, AdapterError):
        raise error
    if isinstance(error, boto.ClientError):
        _raise_if_refused(error, what)
    elif isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.ParamValidationError):
        raise ConfigurationError(f"{what}: {error}") from error
    elif not isinstance(error, boto.BotoCoreError | OSError):
        raise error


def _raise_if_refused(error: boto.ClientError, what: str) -> None:
    status, code = _status(error) or 0, _code(error)
    if status >= 500 or status == 429 or code in _MOMENTARY:
        return
    if code == "NoSuchBucket":
        raise ConfigurationError(f"{what}: there is no such bucket") from error
    if status == 404 or code in _MISSING:
        raise NotFoundError(f"{what}: there is no such object") from error
    if status in (401, 403):
        raise ConfigurationError(f"{what}: the server refuses these credentials: {error}") from error
    raise FatalError(f"{what}: {error}") from error
