"""This module names the identifiers, so that one can't be passed for another."""

import hashlib
import uuid
from typing import Annotated, NewType

from pydantic import StringConstraints

BacktestId = NewType("BacktestId", str)
CommandId = NewType("CommandId", str)
LogId = NewType("LogId", str)  # a UUID, made when an events topic is created or restored
Digest = NewType("Digest", str)  # SHA-256 as 64 lower-case hexadecimal digits

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,127}$"

# Ids become Kafka keys, SQL keys, folder names in S3 and parts of URLs: this alphabet needs no escaping in any of them.
IdField = Annotated[str, StringConstraints(pattern=ID_PATTERN)]

_NAMESPACE = uuid.UUID("6f0c8f5a-7f0e-5a6b-9d53-2d1f6c5b8e11")


def sha256(data: bytes) -> Digest:
    """Return the SHA-256 of the bytes as 64 hexadecimal digits."""
    return Digest(hashlib.sha256(data).hexdigest())


def id_from(*parts: str) -> str:
    """Derive an id from its cause, so that the same cause gives the same id everywhere (uuid5)."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))
