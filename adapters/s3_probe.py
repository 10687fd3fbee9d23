"""This module tries on a bucket everything that Backtape asks of one, under keys of its own, and says what works.

What it writes it removes again. It needs the rights of a writer (docs/s3.md).
"""

import secrets
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from adapters.errors import AdapterError, FatalError
from adapters.s3 import S3Provider

FOLDER = "doctor/"
RACERS = 8
LEAST_PART_BYTES = 5 * 1024 * 1024  # AWS refuses smaller parts, but for the last


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one trial. ``remedy``: what helps, when it is not ok."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def probe(store: S3Provider) -> Iterator[Finding]:
    """Yield what each trial found; the first one that fails ends it, since the others build on it.

    store : with parts of at least LEAST_PART_BYTES; what it gives up after should be some seconds
    """
    folder = f"{FOLDER}{uuid.uuid4().hex}"
    trials: tuple[tuple[str, Callable[[S3Provider, str], str], str], ...] = (
        ("credentials", _credentials, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role of the machine"),
        ("write, with SHA-256", _write, "bucket, region, endpoint and the right s3:PutObject (and the KMS key's rights)"),
        ("read back", _read, "the right s3:GetObject (and kms:Decrypt)"),
        ("list", _list, "the right s3:ListBucket"),
        ("conditional PUT", _race, "a server that knows If-None-Match: without it two writers may both win"),
        ("large object in parts", _parts, "the rights s3:PutObject and s3:AbortMultipartUpload"),
        ("delete", _delete, "the right s3:DeleteObject"),
    )
    try:
        for name, attempt, remedy in trials:
            try:
                yield Finding(name, True, attempt(store, folder))
            except AdapterError as error:
                yield Finding(name, False, str(error), remedy)
                return
    finally:
        with suppress(AdapterError):
            for blob in list(store.list(folder)):
                store.delete(blob.key)


def _credentials(store: S3Provider, folder: str) -> str:
    return f"from {store.credentials_source()}"


def _write(store: S3Provider, folder: str) -> str:
    store.put(f"{folder}/small", b"backtape")
    return f"{store.url}/{folder}/small"


def _read(store: S3Provider, folder: str) -> str:
    back = store.get(f"{folder}/small")
    if back != b"backtape":
        raise FatalError(f"{store.url}/{folder}/small was written with b'backtape' and reads back as {back[:40]!r}")
    kept = store.kept_as(f"{folder}/small")
    return f"the same bytes; encryption: {kept.encryption or 'none told'}; checksum: {kept.checksum or 'none told'}"


def _list(store: S3Provider, folder: str) -> str:
    found = [blob.key for blob in store.list(folder)]
    if found != [f"{folder}/small"]:
        raise FatalError(f"what was just written is not in the list of {store.url}/{folder}: {found}")
    return "what was written is in the list at once"


def _race(store: S3Provider, folder: str) -> str:
    """Let several writers put the same new key; one wins, and its bytes stay."""
    key = f"{folder}/raced"
    with ThreadPoolExecutor(RACERS) as pool:
        won = list(pool.map(lambda number: store.put_if_absent(key, b"%d" % number), range(RACERS)))
    winners = [number for number, is_winner in enumerate(won) if is_winner]
    if len(winners) != 1 or store.get(key) != b"%d" % winners[0]:
        raise FatalError(f"of {RACERS} writers of one new key {len(winners)} were told that theirs is the one")
    return f"one of {RACERS} racing writers won"


def _parts(store: S3Provider, folder: str) -> str:
    body = secrets.token_bytes(LEAST_PART_BYTES + 1)
    if not LEAST_PART_BYTES <= store.part_bytes < len(body):
        raise FatalError(f"the trial's parts are of {store.part_bytes} bytes, {LEAST_PART_BYTES} are needed")
    store.put(f"{folder}/large", body)
    if b"".join(store.pieces(f"{folder}/large")) != body:
        raise FatalError(f"{store.url}/{folder}/large reads back otherwise")
    return f"{len(body):,} bytes in two parts, read back in two"


def _delete(store: S3Provider, folder: str) -> str:
    for blob in list(store.list(folder)):
        store.delete(blob.key)
    if left := [blob.key for blob in store.list(folder)]:
        raise FatalError(f"still there: {left}")
    return "nothing is left"
