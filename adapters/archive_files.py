"""This module lays the archived log out in the blob store: one compressed file and one manifest for each closed range.

``archive/{topic}/{partition}/{log_id}/{first_offset}-{sha256}.zst`` holds the records: MessagePack, zstd. The manifest
``archive/{topic}/{partition}/{log_id}/{first_offset}.json`` is put once, by a conditional PUT, after the file was read back. Its
key holds the offset at which it begins, and every range begins where the one before it ends: of two archivers exactly one
writes each range, and the ranges are a chain without holes.
"""

import re

import cramjam
import msgspec
from pydantic import ValidationError

from adapters.errors import IntegrityError, NotFoundError
from adapters.ports import BlobStore, Headers, Record, TopicPartition
from schemas.canonical import canonical_json
from schemas.ids import Digest, sha256
from schemas.manifest import RANGE_KEYS, ArchivedRange

PREFIX = "archive/"
LEVEL = 9  # of zstd: a third smaller than level 3 for three times the time; a log is written once and kept for years

_MANIFEST = re.compile(r"/(\d{20})\.json$")


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    """One record as it is kept: what Kafka had, but for the topic's name and the partition."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_Stored])


def folder_of(topic: str, partition: int, log_id: str) -> str:
    return f"{PREFIX}{topic}/{partition:05d}/{log_id}/"


def manifest_key(topic: str, partition: int, log_id: str, first_offset: int) -> str:
    return f"{folder_of(topic, partition, log_id)}{first_offset:020d}.json"


def range_file_key(topic: str, partition: int, log_id: str, first_offset: int, digest: str) -> str:
    return f"{folder_of(topic, partition, log_id)}{first_offset:020d}-{digest}.zst"


def encode_records(records: list[Record]) -> tuple[bytes, Digest, int]:
    """Return the compressed file, and digest and length of what it holds."""
    raw = _ENCODER.encode([_Stored(each.offset, each.timestamp_ms, each.key, each.value, each.headers) for each in records])
    return bytes(cramjam.zstd.compress(raw, level=LEVEL)), sha256(raw), len(raw)


def read_range(store: BlobStore, found: ArchivedRange, topic: str) -> list[Record]:
    """Return the records of a range. Raises IntegrityError when file or records are not those of the manifest.

    topic : the full name that the records get
    """
    where = f"{store.url}/{found.key}"
    try:
        body = store.get(found.key)
    except NotFoundError as error:
        raise IntegrityError(f"{where} is missing, but a manifest names it") from error
    _check(where, "SHA-256", sha256(body), found.sha256)
    try:
        raw = bytes(cramjam.zstd.decompress(body))
        stored = _DECODER.decode(raw)
    except (cramjam.DecompressionError, msgspec.DecodeError) as error:
        raise IntegrityError(f"{where} is no archived range: {error}") from error
    _check(where, "SHA-256 of its records", sha256(raw), found.raw_sha256)
    _check(where, "records", len(stored), found.records)
    return [Record(topic, found.partition, each.offset, each.timestamp_ms, each.key, each.value, each.headers) for each in stored]


def read_manifest(store: BlobStore, key: str) -> tuple[ArchivedRange, Digest]:
    """Return a range's manifest, and the SHA-256 of its bytes. Raises NotFoundError, IntegrityError."""
    body = store.get(key)
    try:
        return ArchivedRange.model_validate_json(body), sha256(body)
    except ValidationError as error:
        raise IntegrityError(f"{store.url}/{key} is no archived range's manifest: {error}") from error


def manifest_bytes(made: ArchivedRange) -> bytes:
    return canonical_json(made.model_dump(mode="json"))


def archived_logs(store: BlobStore, topic: str, partition: int) -> dict[str, list[int]]:
    """Return, for each log that was archived under this topic and partition, where its ranges begin."""
    found: dict[str, list[int]] = {}
    prefix = f"{PREFIX}{topic}/{partition:05d}/"
    for blob in store.list(prefix):
        match = _MANIFEST.search(blob.key)
        if match is not None:
            found.setdefault(blob.key.removeprefix(prefix).partition("/")[0], []).append(int(match[1]))
    return found


def log_id_of(record: Record) -> str | None:
    """Return the log that a record says it belongs to."""
    return next((value.decode("utf-8", "replace") for name, value in record.headers if name == "log_id"), None)


def announcement_key(made: ArchivedRange) -> bytes:
    return RANGE_KEYS + f"{made.topic}/{made.partition}/{made.log_id}/{made.first_offset}".encode()


def _check(where: str, what: str, found: object, said: object) -> None:
    if found != said:
        raise IntegrityError(f"{where} has {what} {found}, its manifest says {said}")


class Archive:
    """The archived ranges of one log's partition, read as they are needed. Manifests never change: what was read is kept."""

    def __init__(self, store: BlobStore, source: TopicPartition, *, topic: str, log_id: str) -> None:
        self.store = store
        self.source = source
        self.topic = topic  # its short name
        self.log_id = log_id
        self._starts: list[int] = []
        self._ranges: dict[int, tuple[ArchivedRange, Digest]] = {}

    def refresh(self) -> None:
        """Look for ranges that were added."""
        self._starts = archived_logs(self.store, self.topic, self.source.partition).get(self.log_id, [])

    @property
    def starts(self) -> list[int]:
        return self._starts

    def at(self, first_offset: int) -> tuple[ArchivedRange, Digest]:
        """Return the range that begins at this offset, and its manifest's digest."""
        found = self._ranges.get(first_offset)
        if found is None:
            key = manifest_key(self.topic, self.source.partition, self.log_id, first_offset)
            found = self._ranges[first_offset] = read_manifest(self.store, key)
        return found

    def last(self) -> tuple[ArchivedRange, Digest] | None:
        return self.at(self._starts[-1]) if self._starts else None

    def holding(self, offset: int) -> ArchivedRange | None:
        """Return the range that covers an offset; None where none does."""
        before = [start for start in self._starts if start <= offset]
        if not before:
            return None
        found, _ = self.at(before[-1])
        return found if offset < found.next_offset else None

    def records(self, found: ArchivedRange) -> list[Record]:
        return read_range(self.store, found, self.source.topic)
