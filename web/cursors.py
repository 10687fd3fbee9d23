"""This module writes where a page ends as one opaque word, and reads it back."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from projections.queries import After
from projections.views import VIEWS
from web.problems import invalid_field

_READ: dict[str, Callable[[Any], object]] = {
    "text": str,
    "bigint": int,
    "integer": int,
    "double precision": float,
    "timestamptz": datetime.fromisoformat,
}


def encode(sort: str | None, keys: Sequence[str], row: dict[str, Any]) -> str:
    """Return the word for the page behind a row.

    sort : the column that the page is sorted by; None: by its keys alone
    """
    values = [row[name] for name in ((sort, *keys) if sort else keys)]
    texts = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps([sort, *texts], separators=(",", ":")).encode()).decode().rstrip("=")


def decode(word: str, view: str, sort: str | None, keys: Sequence[str]) -> After:
    """Read the word back. Raises ProblemError for one that is none, or is of pages in another order."""
    names = (sort, *keys) if sort else tuple(keys)
    try:
        told, *texts = json.loads(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))
        values = [_read(view, name, text) for name, text in zip(names, texts, strict=True)]
        if told != sort or any(value is None for value in values[len(values) - len(keys) :]):
            raise ValueError
    except (ValueError, TypeError, OverflowError) as error:
        raise invalid_field("query.after", word, "a next_cursor of a page with the same sort is needed") from error
    return After(values[0], tuple(values[1:])) if sort else After(None, tuple(values))


def _read(view: str, name: str, text: Any) -> object:
    if text is None:
        return None
    kind = next(each for each in VIEWS if each.name == view).type_of(name)
    if kind in ("bigint", "integer") and not (isinstance(text, int) and abs(text) < 2**63):
        raise ValueError
    return _READ[kind](text)
