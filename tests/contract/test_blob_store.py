"""This module holds what every blob store must do: memory, folder, S3 (moto), and the real S3 server of the local stack."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.blob_store import open_blob_store
from adapters.errors import ConfigurationError, NotFoundError
from adapters.memory_blobs import MemoryBlobStore
from adapters.ports import BlobStore
from adapters.s3 import S3Provider
from tests.contract.moto_server import moto_environment

PART_BYTES = 5 * 1024 * 1024  # AWS refuses smaller ones
KINDS = ["memory", "folder", "moto", pytest.param("real", marks=pytest.mark.real)]


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    with moto_environment() as endpoint:
        yield endpoint


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
    """An empty store of each kind."""
    if request.param == "memory":
        return MemoryBlobStore()
    if request.param == "folder":
        return open_blob_store(f"file://{tmp_path}/with%20space")
    if request.param == "moto":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        return below(f"s3://bucket/{uuid4().hex}", endpoint=request.getfixturevalue("moto_endpoint"))
    endpoints: Any = request.getfixturevalue("endpoints")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoints.s3_access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoints.s3_secret_key)
    return below(f"{endpoints.s3_url}/contract/{uuid4().hex}", endpoint=endpoints.s3_endpoint)


CLIENTS: dict[str, Any] = {}


def below(url: str, *, endpoint: str) -> S3Provider:
    """Open a store with the client of the one before: making a client takes 0.4 s."""
    if endpoint not in CLIENTS:
        store = open_blob_store(url, endpoint=endpoint)
        assert isinstance(store, S3Provider)
        CLIENTS[endpoint] = store._client
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return S3Provider(bucket=bucket, prefix=prefix, client=CLIENTS[endpoint], part_bytes=PART_BYTES)


def test_what_was_put_is_got(store: BlobStore) -> None:
    """Bytes come back as they were, also none and all of them."""
    for data in (b"", b"one", bytes(range(256)) * 300):
        store.put("a/b.bin", data)
        assert store.get("a/b.bin") == data
        found = store.head("a/b.bin")
    assert found is not None and (found.key, found.bytes) == ("a/b.bin", len(data))


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES])
def test_a_file_goes_in_and_comes_out_in_pieces(store: BlobStore, size: int) -> None:
    """Whatever its size is beside that of a part; as bytes it is the same object."""
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    store.put("a/file.bin", b"what was there before")
    with tempfile.TemporaryFile() as file:
        file.write(data)
        store.put_file("a/file.bin", file)
    assert b"".join(store.pieces("a/file.bin")) == data == store.get("a/file.bin")
    store.put("a/bytes.bin", data)
    assert b"".join(store.pieces("a/bytes.bin")) == data
    assert [(blob.key, blob.bytes) for blob in store.list("a/")] == [("a/bytes.bin", size), ("a/file.bin", size)]
    with pytest.raises(NotFoundError, match="no/such"):
        list(store.pieces("no/such"))


def test_put_if_absent_puts_once(store: BlobStore) -> None:
    """The first caller wins, the second changes nothing."""
    assert store.put_if_absent("m.json", b"first") is True
    assert store.put_if_absent("m.json", b"second") is False
    assert store.put_if_absent("m.json", b"first") is False
    assert store.get("m.json") == b"first"


def test_put_if_absent_after_put_is_refused(store: BlobStore) -> None:
    """What was there by a plain PUT counts as well."""
    store.put("m.json", b"plain")
    assert store.put_if_absent("m.json", b"conditional") is False


def test_put_if_absent_after_delete_puts_again(store: BlobStore) -> None:
    """A deleted key is free."""
    store.put_if_absent("m.json", b"first")
    store.delete("m.json")
    assert store.put_if_absent("m.json", b"second") is True


def test_a_race_has_one_winner(store: BlobStore) -> None:
    """Of eight racing conditional PUTs one wins, and its bytes are the ones that stay."""
    with ThreadPoolExecutor(8) as pool:
        for turn in range(5):
            key = f"race/{turn}"
            wins = list(pool.map(lambda n, key=key: store.put_if_absent(key, b"%d" % n), range(8)))
            assert sum(wins) == 1
            assert store.get(key) == b"%d" % wins.index(True)


def test_a_missing_object_is_not_found(store: BlobStore) -> None:
    """get raises and names the object, head says None, delete does nothing."""
    with pytest.raises(NotFoundError, match="no/such"):
        store.get("no/such")
    assert store.head("no/such") is None
    store.delete("no/such")


def test_delete_removes(store: BlobStore) -> None:
    """A deleted object is gone; a second delete is harmless."""
    store.put("a", b"1")
    store.delete("a")
    store.delete("a")
    assert store.head("a") is None
    assert list(store.list("")) == []


def test_an_object_says_when_it_was_put(store: BlobStore) -> None:
    """By the store's clock, the same from ``head`` and from ``list``; putting it again does not make it older."""
    store.put("a", b"1")
    first = store.head("a")
    assert first is not None and first.modified_ms > 1_600_000_000_000, "milliseconds since 1970"
    assert list(store.list("a")) == [first]
    store.put("a", b"2")
    again = store.head("a")
    assert again is not None and again.modified_ms >= first.modified_ms


def test_list_is_in_order_of_keys(store: BlobStore) -> None:
    """Keys come sorted by their characters, across folders: ``-`` and ``.`` sort before ``/``."""
    keys = ["a/2", "a/10", "a-b/1", "a.x", "b/c/d", "B", "a/b/c", "ab"]
    for key in keys:
        store.put(key, key.encode())
    assert [blob.key for blob in store.list("")] == sorted(keys)
    assert [blob.key for blob in store.list("a/")] == ["a/10", "a/2", "a/b/c"]
    assert [blob.key for blob in store.list("a")] == [key for key in sorted(keys) if key.startswith("a")]
    assert [(blob.key, blob.bytes) for blob in store.list("a/1")] == [("a/10", 4)]
    assert list(store.list("zzz/")) == []


REFUSED_KEYS = ["", "/a", "a/", "a//b", "../a", "a/../b", ".hidden", "a b", "ü", "a\nb", "x" * 1_000]


def test_a_key_that_some_store_could_not_hold_is_refused(store: BlobStore) -> None:
    """The same keys are refused everywhere, by every call."""
    calls: list[Callable[[str], object]] = [
        lambda key: store.put(key, b""),
        lambda key: store.put_if_absent(key, b""),
        store.get,
        store.head,
        store.delete,
    ]
    for key in REFUSED_KEYS:
        for call in calls:
            with pytest.raises(ValueError, match="key"):
                call(key)


REFUSED_URLS = [
    "",
    "bucket",
    "http://x/y",
    "s3://",
    "s3://UPPER/x",
    "s3://b?x=1",
    "s3://bucket/../x",
    "file:",
    "file://host/x",
    "file:///",
]


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_a_url_of_another_form_is_refused(url: str) -> None:
    """The error repeats the URL and says what is needed."""
    with pytest.raises(ConfigurationError, match=r"needed|is given as"):
        open_blob_store(url)
