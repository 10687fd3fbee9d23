"""This module keeps blobs in memory: the twin of the S3 and folder stores, for tests, simulations and in-process runs."""

from collections.abc import Iterator
from threading import Lock

from adapters.blob_keys import check_key
from adapters.errors import NotFoundError
from adapters.ports import BlobInfo


class MemoryBlobStore:
    """A dictionary with the conditional PUT. Safe for threads; ``url`` only names it in messages."""

    def __init__(self, url: str = "memory://blobs") -> None:
        self.url = url
        self._lock = Lock()
        self._blobs: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        with self._lock:
            self._blobs[check_key(key)] = bytes(data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        with self._lock:
            if check_key(key) in self._blobs:
                return False
            self._blobs[key] = bytes(data)
            return True

    def get(self, key: str) -> bytes:
        with self._lock:
            data = self._blobs.get(check_key(key))
        if data is None:
            raise NotFoundError(f"{self.url}/{key}: there is no such object")
        return data

    def head(self, key: str) -> BlobInfo | None:
        with self._lock:
            data = self._blobs.get(check_key(key))
        return None if data is None else BlobInfo(key=key, bytes=len(data))

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        with self._lock:
            found = [BlobInfo(key=key, bytes=len(data)) for key, data in self._blobs.items() if key.startswith(prefix)]
        yield from sorted(found, key=lambda blob: blob.key)

    def presigned(self, key: str, seconds: int) -> str | None:
        return None

    def delete(self, key: str) -> None:
        with self._lock:
            self._blobs.pop(check_key(key), None)
