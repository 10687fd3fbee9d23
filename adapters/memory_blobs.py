"""This module keeps blobs in memory: the twin of the S3 and folder stores, for tests, simulations and in-process runs."""

import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import IO

from adapters.blob_keys import check_key
from adapters.errors import NotFoundError
from adapters.ports import BlobInfo


class MemoryBlobStore:
    """A dictionary with the conditional PUT. Safe for threads; ``url`` only names it in messages."""

    def __init__(self, url: str = "memory://blobs", *, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.url = url
        self._now_ms = now_ms
        self._lock = Lock()
        self._blobs: dict[str, bytes] = {}
        self._modified: dict[str, int] = {}

    def put(self, key: str, data: bytes) -> None:
        with self._lock:
            self._blobs[check_key(key)] = bytes(data)
            self._modified[key] = self._now_ms()

    def put_file(self, key: str, file: IO[bytes]) -> None:
        file.seek(0)
        self.put(key, file.read())

    def put_if_absent(self, key: str, data: bytes) -> bool:
        with self._lock:
            if check_key(key) in self._blobs:
                return False
            self._blobs[key] = bytes(data)
            self._modified[key] = self._now_ms()
            return True

    def get(self, key: str) -> bytes:
        with self._lock:
            data = self._blobs.get(check_key(key))
        if data is None:
            raise NotFoundError(f"{self.url}/{key}: there is no such object")
        return data

    def pieces(self, key: str) -> Iterator[bytes]:
        yield self.get(key)

    def head(self, key: str) -> BlobInfo | None:
        with self._lock:
            data = self._blobs.get(check_key(key))
        return None if data is None else BlobInfo(key, len(data), self._modified.get(key, 0))

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        with self._lock:
            found = [
                BlobInfo(key, len(data), self._modified.get(key, 0))
                for key, data in self._blobs.items()
                if key.startswith(prefix)
            ]
        yield from sorted(found, key=lambda blob: blob.key)

    def presigned(self, key: str, seconds: int) -> str | None:
        return None

    def delete(self, key: str) -> None:
        with self._lock:
            self._blobs.pop(check_key(key), None)
