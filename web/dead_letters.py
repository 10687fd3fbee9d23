"""This module shows what could not be read as a command, and sends it again."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from adapters.errors import NotFoundError
from adapters.ports import TopicPartition
from projections import queries
from schemas.ids import sha256
from schemas.receipts import MAX_DEAD_LETTER_BYTES, DeadLetterHeaders
from schemas.topics import DEAD_LETTERS
from web.problems import ProblemError, not_found
from web.services import Services


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it lies on its topic."""

    partition: int
    offset: int
    key: bytes | None
    body: bytes
    headers: DeadLetterHeaders

    @property
    def is_whole(self) -> bool:
        return len(self.body) == self.headers.length and sha256(self.body) == self.headers.sha256


async def newest(services: Services, limit: int) -> list[dict[str, Any]]:
    """Return the answers ``DeadLetter``."""
    rows = await services.ask(queries.dead_letters(limit=limit))
    return [
        {
            **row,
            "beginning": (row["beginning"] or b"").decode("utf-8", "replace"),
            "is_whole": row["length"] is not None and row["length"] <= MAX_DEAD_LETTER_BYTES,
        }
        for row in rows
    ]


async def read(services: Services, partition: int, offset: int) -> Letter:
    """Read a dead letter from its topic. Raises ProblemError 404 where there is none."""
    source = TopicPartition(services.config.kafka.topic(DEAD_LETTERS), partition)
    try:
        if partition >= services.config.partitions:
            raise NotFoundError("there is no such partition")
        records = await services.log.read(source, offset, max_records=1)
        record = next((each for each in records if each.offset == offset), None)
        if record is None:
            raise NotFoundError("nothing lies there")
        headers = DeadLetterHeaders.from_kafka(list(record.headers))
    except (NotFoundError, msgspec.ValidationError) as error:
        raise not_found(f"there is no dead letter at partition {partition}, offset {offset}: {error}") from error
    return Letter(partition, offset, record.key, record.value or b"", headers)


def document(letter: Letter) -> dict[str, Any]:
    """Return the answer ``DeadLetterText``."""
    try:
        text, is_text = letter.body.decode("utf-8"), True
    except UnicodeDecodeError:
        text, is_text = letter.body.decode("utf-8", "replace"), False
    headers = letter.headers
    return {
        "partition": letter.partition,
        "letter_offset": letter.offset,
        "key": None if letter.key is None else letter.key.decode("utf-8", "replace"),
        "reason": headers.reason,
        "detail": headers.detail,
        "length": headers.length,
        "sha256": headers.sha256,
        "text": text,
        "is_text": is_text,
        "is_whole": letter.is_whole,
    }


async def publish_again(services: Services, letter: Letter, text: str | None) -> tuple[int, int]:
    """Publish the kept bytes, or a corrected text, and return partition and offset on the commands topic."""
    if text is not None:
        return await services.commands.send_bytes(_key_of(text) or letter.key, text.encode())
    if not letter.is_whole:
        kept = f"{len(letter.body)} of its {letter.headers.length} bytes"
        raise ProblemError(409, "not_whole", f"the dead letter keeps only {kept}: send a corrected text")
    return await services.commands.send_bytes(letter.key, letter.body)


def _key_of(text: str) -> bytes | None:
    """Return the key that a corrected command belongs under: its backtest's id."""
    try:
        found = json.loads(text)["backtest_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return found.encode() if isinstance(found, str) else None
