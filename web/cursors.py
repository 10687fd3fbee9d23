"""This module writes where a page ends as one opaque word, and reads it back."""

import base64
import binascii
import json

from projections.pages import Cursor, Order
from web.problems import invalid_field


def encode(order: Order, cursor: Cursor) -> str:
    """Return the word for a cursor of pages in this order."""
    text = json.dumps([order.column, order.descending, *cursor], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(word: str, order: Order, *, length: int) -> Cursor:
    """Read a cursor back. Raises ProblemError for a word that is none, or is of pages in another order.

    length : how many values the cursor of this view has
    """
    try:
        document = json.loads(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))
    except (ValueError, binascii.Error):
        document = None
    if (
        not isinstance(document, list)
        or document[:2] != [order.column, order.descending]
        or len(document) != 2 + length
        or not all(isinstance(each, str) for each in document[3:])
        or not (document[2] is None or isinstance(document[2], str))
    ):
        raise invalid_field("query.after", word, "a next_cursor of a page with the same sort is needed")
    return tuple(document[2:])
