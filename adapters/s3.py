"""This module keeps blobs in S3, or a server that speaks its protocol. It and its neighbours of the same name alone import boto3.

Retries are ours, not botocore's, because a conditional PUT must not be repeated blindly: when the answer to the first try was
lost, the second one is refused by our own object (412), and botocore would report that we lost a race which we have won.
So every conditional PUT carries a token of its own in the object's metadata, and after a lost answer the object that is there
says whose it is.
"""

import base64
import hashlib
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

import botocore.exceptions as boto

from adapters.blob_keys import check_key
from adapters.errors import ConfigurationError, NotFoundError
from adapters.ports import BlobInfo
from adapters.s3_attempts import Attempts
from adapters.s3_client import make_client
from adapters.s3_errors import code_of, may_have_happened, raise_if_final, status_of
from adapters.s3_options import S3Options

Answer = TypeVar("Answer")

PART_BYTES = 16 * 1024 * 1024  # of a large object: its parts are sent, and read, one at a time; at most 10,000 of them
TOKEN = "backtape-writer"

_URL = re.compile(r"^s3://([a-z0-9][a-z0-9.\-]{1,61}[a-z0-9])(?:/([^?#]*))?$")


@dataclass(frozen=True, slots=True)
class Kept:
    """How a server says it keeps an object; None: it does not say."""

    encryption: str | None
    kms_key: str | None
    checksum: str | None


class S3Provider:
    """Blobs in one bucket below one prefix. Safe for threads; a process that was forked makes its own."""

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str = "",
        options: S3Options | None = None,
        budget_seconds: float = 30.0,
        part_bytes: int = PART_BYTES,
        client: Any = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.url = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self.budget_seconds = budget_seconds
        self.options = options or S3Options()
        self.part_bytes = part_bytes
        self._client = client if client is not None else make_client(self.options)
        self._sleep = sleep
        self._now = now

    @classmethod
    def of_url(
        cls, url: str, *, options: S3Options | None = None, budget_seconds: float = 30.0, part_bytes: int = PART_BYTES
    ) -> "S3Provider":
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
        return cls(bucket=match[1], prefix=prefix, options=options, budget_seconds=budget_seconds, part_bytes=part_bytes)

    def put(self, key: str, data: bytes) -> None:
        if len(data) > self.part_bytes:
            view = memoryview(data)
            self._put_parts(key, (bytes(view[at : at + self.part_bytes]) for at in range(0, len(data), self.part_bytes)))
        else:
            self._tried(f"PUT {self._name(key)}", lambda: self._client.put_object(**self._upload(key, data)))

    def put_file(self, key: str, file: IO[bytes]) -> None:
        file.seek(0)
        first = file.read(self.part_bytes)
        if len(first) < self.part_bytes:
            self.put(key, first)
        else:
            self._put_parts(key, chain([first], iter(partial(file.read, self.part_bytes), b"")))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        token = uuid.uuid4().hex
        attempts = self._attempts(f"conditional PUT {self._name(key)}")
        while True:
            try:
                self._client.put_object(**self._upload(key, data), IfNoneMatch="*", Metadata={TOKEN: token})
                return True
            except Exception as error:
                if status_of(error) == 412:
                    return attempts.is_ambiguous and self._is_ours(key, data, token=token)
                if status_of(error) != 409:  # 409: another conditional PUT of this key is under way; the next try will know
                    raise_if_final(error, attempts.what)
                    attempts.is_ambiguous |= may_have_happened(error)
                attempts.wait_or_raise(error)

    def get(self, key: str) -> bytes:
        return self._read(key, {"Bucket": self.bucket, "Key": self._full(key)})

    def pieces(self, key: str) -> Iterator[bytes]:
        head = self._head(key)
        request = {"Bucket": self.bucket, "Key": self._full(key), "IfMatch": head["ETag"]}  # never parts of two objects
        for start in range(0, int(head["ContentLength"]), self.part_bytes):
            yield self._read(key, {**request, "Range": f"bytes={start}-{start + self.part_bytes - 1}"})

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

    def _read(self, key: str, request: dict[str, Any]) -> bytes:
        return self._tried(f"GET {self._name(key)}", lambda: bytes(self._client.get_object(**request)["Body"].read()))

    def _put_parts(self, key: str, parts: Iterable[bytes]) -> None:
        """Put a large object part by part, each with its SHA-256; what was begun and fails is taken back."""
        what, target = f"multipart PUT {self._name(key)}", {"Bucket": self.bucket, "Key": self._full(key)}
        token = uuid.uuid4().hex
        begin = {**target, **self.options.upload_arguments, "ChecksumAlgorithm": "SHA256", "Metadata": {TOKEN: token}}
        target["UploadId"] = self._tried(what, lambda: self._client.create_multipart_upload(**begin))["UploadId"]
        try:
            done = [self._put_part(what, target, number, part) for number, part in enumerate(parts, start=1)]
            self._complete(what, key, token, {**target, "MultipartUpload": {"Parts": done}})
        except BaseException:
            with suppress(Exception):  # what is left over is for the bucket's rule (docs/s3.md); the first error is told
                self._client.abort_multipart_upload(**target)
            raise

    def _put_part(self, what: str, target: dict[str, Any], number: int, part: bytes) -> dict[str, Any]:
        digest = _checksum(part)
        request = {**target, "PartNumber": number, "Body": part, "ChecksumAlgorithm": "SHA256", "ChecksumSHA256": digest}
        answer = self._tried(f"{what}, part {number}", lambda: self._client.upload_part(**request))
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": digest}

    def _complete(self, what: str, key: str, token: str, request: dict[str, Any]) -> None:
        """Make the parts one object. After a lost answer the upload may be gone because it is complete: its token tells."""
        attempts = self._attempts(what)
        while True:
            try:
                self._client.complete_multipart_upload(**request)
                return
            except Exception as error:
                if attempts.is_ambiguous and code_of(error) == "NoSuchUpload" and self._token_of(key) == token:
                    return
                raise_if_final(error, what)
                attempts.is_ambiguous |= may_have_happened(error)
                attempts.wait_or_raise(error)

    def _token_of(self, key: str) -> str | None:
        token: str | None = self._head(key).get("Metadata", {}).get(TOKEN)
        return token

    def kept_as(self, key: str) -> "Kept":
        """Say how the server keeps an object. Raises NotFoundError."""
        request = {"Bucket": self.bucket, "Key": self._full(key), "ChecksumMode": "ENABLED"}
        answer = self._tried(f"HEAD {self._name(key)}", lambda: self._client.head_object(**request))
        digest = answer.get("ChecksumSHA256")
        return Kept(answer.get("ServerSideEncryption"), answer.get("SSEKMSKeyId"), f"SHA-256 {digest}" if digest else None)

    def credentials_source(self) -> str:
        """Return where the credentials come from: ``env``, ``assume-role`` … Raises ConfigurationError when there are none."""
        return str(self._credentials().method)

    def _credentials(self) -> Any:
        """Return the client's credentials, which were had just now."""
        try:
            found = self._client._request_signer._credentials
            if found is not None:
                found.get_frozen_credentials()
        except boto.BotoCoreError as error:
            raise ConfigurationError(f"the credentials for {self.url} can't be had: {error}") from error
        if found is None:
            raise ConfigurationError(f"there are no credentials for {self.url}")
        return found

    def arrow_options(self) -> dict[str, Any]:
        """Return how Arrow's file system reaches the bucket as we do. Alone it knows neither a profile's role nor AWS_CA_BUNDLE.

        Credentials that expire are those of now: a file system that is older than them has to be made anew.
        """
        options: dict[str, Any] = {"region": self._client.meta.region_name}
        if self.options.endpoint is not None:
            address = urlsplit(self.options.endpoint)
            options |= {"endpoint_override": address.netloc + address.path.rstrip("/"), "scheme": address.scheme}
            options["force_virtual_addressing"] = self.options.addressing == "virtual"
        if bundle := os.environ.get("AWS_CA_BUNDLE"):
            options["tls_ca_file_path"] = bundle
        found = self._credentials().get_frozen_credentials()
        options |= {"access_key": found.access_key, "secret_key": found.secret_key}
        return options | ({"session_token": found.token} if found.token else {})

    def _is_ours(self, key: str, data: bytes, *, token: str) -> bool:
        """Say whether the object that is there is the one we sent when the answer was lost.

        A server that drops metadata is settled by the bytes: equal ones count as ours, which is right for every key whose
        bytes follow from the key, and the best that can be known for the others.
        """
        try:
            written = self._token_of(key)
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
        return {
            "Bucket": self.bucket,
            "Key": self._full(key),
            "Body": data,
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": _checksum(data),
            **self.options.upload_arguments,
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
                raise_if_final(error, what)
                attempts.wait_or_raise(error)


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)
