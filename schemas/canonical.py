"""This module writes JSON in the one canonical form (RFC 8785), for digests of documents that others wrote."""

from typing import Any

import rfc8785

from schemas.errors import FieldError
from schemas.ids import Digest, sha256


def canonical_json(document: Any) -> bytes:
    """Return the document's RFC 8785 bytes.

    Raises FieldError for what JSON can't say exactly: NaN, infinities, integers beyond 2**53 - 1.
    """
    try:
        return rfc8785.dumps(document)
    except rfc8785.CanonicalizationError as error:
        raise FieldError.of("document", str(error), "finite numbers, integers of at most 53 bits") from error


def document_digest(document: Any) -> Digest:
    """Return the SHA-256 of the document's canonical bytes."""
    return sha256(canonical_json(document))
