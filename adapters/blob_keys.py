"""This module says what a key of the blob store may look like, so that every store takes and refuses the same ones.

A key is relative: parts of printable ASCII joined by ``/``. What S3 would take and a folder could not hold (``..``, empty
parts, a leading slash) is refused everywhere: a key that works on a laptop works in a bucket.
"""

import re

MAX_KEY_CHARACTERS = 900  # S3 takes 1,024 bytes; the rest is for the store's own prefix

_PART = re.compile(r"^(?!\.{1,2}$)[A-Za-z0-9._=+@^:\-]{1,255}$")


def check_key(key: str) -> str:
    """Return the key. Raises ValueError for one that some store could not hold."""
    parts = key.split("/")
    if len(key) > MAX_KEY_CHARACTERS or not all(_PART.match(part) for part in parts):
        allowed = f"parts of letters, digits and ._=+@^:- joined by / are needed, at most {MAX_KEY_CHARACTERS} characters"
        raise ValueError(f"key {key!r}: {allowed}")
    if parts[0].startswith(".") or key.endswith("/"):
        raise ValueError(f"key {key!r}: a key does not begin with a dot")
    return key
