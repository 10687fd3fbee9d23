"""This module writes JSON in the one canonical form (RFC 8785), for digests of documents that others wrote."""

import math
from collections.abc import Iterator
from typing import Any

import rfc8785

from schemas.errors import FieldError, FieldProblem, shown
from schemas.ids import Digest, sha256

MAX_INTEGER = 2**53 - 1  # JSON's numbers are binary64: larger integers are not all told apart


def canonical_json(document: Any, name: str = "document") -> bytes:
    """Return the document's RFC 8785 bytes.

    name : what the document is called where it comes from; the paths of refused fields begin with it
    Raises FieldError for what JSON can't say exactly: NaN, infinities, integers beyond 2**53 - 1.
    """
    try:
        return rfc8785.dumps(document)
    except rfc8785.CanonicalizationError as error:
        problems = list(_inexact(document, name)) or [FieldProblem(name, shown(document), str(error))]
        raise FieldError(problems) from error


def _inexact(value: Any, path: str) -> Iterator[FieldProblem]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _inexact(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            yield from _inexact(each, f"{path}.{place}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield FieldProblem(path, shown(value), "a finite number")
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        yield FieldProblem(path, shown(value), f"an integer of at most 53 bits ({MAX_INTEGER}), or a string")


def document_digest(document: Any) -> Digest:
    """Return the SHA-256 of the document's canonical bytes."""
    return sha256(canonical_json(document))
