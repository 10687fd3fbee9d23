"""This module is the one place where commits of earlier formats become commits of the present one.

``UPCASTERS[n]`` takes a decoded commit of format n and returns it as format n + 1. There is only format 1 so far.
"""

from collections.abc import Callable
from typing import Any

import msgspec

UPCASTERS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def upcast(document: dict[str, Any]) -> dict[str, Any]:
    """Raise a commit document to the present format, one step at a time.

    Raises msgspec.ValidationError when the document has no format number.
    """
    version = document.get("format")
    if not isinstance(version, int):
        raise msgspec.ValidationError("a commit has an integer field `format`")
    while version in UPCASTERS:
        document = UPCASTERS[version](document)
        version = document["format"]
    return document
