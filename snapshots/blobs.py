"""This module says what snapshots need of a blob store, and where they lie in it.

Any store of adapters/ fits; this package names the shape only, so that it depends on no way to reach one.
"""

import hashlib
from collections.abc import Iterator
from typing import IO, Protocol

from schemas.ids import Digest
from schemas.manifest import AnyTable, Table

PREFIX = "backtests/"
BUNDLES = "bundles/"  # files that several runs share
MOVED = "moved/"  # where the rows of a shared file are that was written anew
IMPORTS = "imports/"  # manifests of imports, until each is put in its place
DELETED = "deleted/"  # marks of runs that were deleted: no snapshot of theirs is made again


class BlobInfo(Protocol):
    @property
    def key(self) -> str: ...

    @property
    def bytes(self) -> int: ...

    @property
    def modified_ms(self) -> int: ...


class Blobs(Protocol):
    """Objects under keys; semantics as in adapters/ports.py."""

    url: str

    def put_if_absent(self, key: str, data: bytes) -> bool: ...

    def put(self, key: str, data: bytes) -> None: ...

    def put_file(self, key: str, file: IO[bytes]) -> None: ...

    def get(self, key: str) -> bytes: ...

    def pieces(self, key: str) -> Iterator[bytes]: ...

    def head(self, key: str) -> BlobInfo | None: ...

    def list(self, prefix: str) -> Iterator[BlobInfo]: ...

    def delete(self, key: str) -> None: ...


def manifest_key(backtest_id: str) -> str:
    return f"{PREFIX}{backtest_id}/manifest.json"


def file_key(backtest_id: str, table: Table, digest: str) -> str:
    return f"{PREFIX}{backtest_id}/{table}-{digest}.parquet"


def bundle_key(table: AnyTable, digest: str) -> str:
    return f"{BUNDLES}{table}-{digest}.parquet"


def moves_of(source: str) -> str:
    """Return the prefix of what says where the rows of a shared file went."""
    return f"{MOVED}{source.removeprefix(BUNDLES)}/"


def move_key(source: str, digest: str) -> str:
    return f"{moves_of(source)}{digest}.json"


def deleted_key(backtest_id: str) -> str:
    return f"{DELETED}{backtest_id}.json"


def fetch(store: Blobs, key: str) -> bytes | None:
    """Return an object's bytes; None when there is none.

    It is asked for first and looked at afterwards: between a look and the reading it may be deleted, and how a store says so is
    its own. What fails for another reason fails again.
    """
    try:
        return store.get(key)
    except Exception:
        return None if store.head(key) is None else store.get(key)


def digest_of(store: Blobs, key: str) -> Digest | None:
    """Return the SHA-256 of an object's bytes, read piece by piece; None when there is none."""
    found = hashlib.sha256()
    try:
        for piece in store.pieces(key):
            found.update(piece)
    except Exception:
        if store.head(key) is not None:
            raise
        return None
    return Digest(found.hexdigest())
