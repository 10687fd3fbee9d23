"""This module writes answers: JSON straight from rows, without a model's check for each of them.

The rows' columns are those that the models were made from, and tests compare answers with the OpenAPI document; checking
5,000 rows of 20 columns once more for each request would take longer than reading them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from starlette.responses import Response

_ENCODER = msgspec.json.Encoder()  # NaN and infinity become null, times RFC 3339


class Json(Response):
    """A JSON answer. What may change is not kept by anyone."""

    media_type = "application/json"

    def __init__(self, document: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(_ENCODER.encode(document), status_code, {"Cache-Control": "no-store", **(headers or {})})


def statistics_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | str | None]:
    """Return the statistics by name, from the rows of the view."""
    return {row["name"]: row["text"] if row["text"] is not None else row["value"] for row in rows}


def milliseconds(moment: datetime) -> int:
    """Return a time of the database as milliseconds since 1970 UTC."""
    return int(moment.timestamp() * 1_000)
