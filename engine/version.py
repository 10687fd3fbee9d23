"""This module says which code a run was made by: one digest over everything that its bytes can depend on."""

import functools
from pathlib import Path

from schemas.ids import Digest, sha256


@functools.cache
def code_digest() -> Digest:
    """Return the SHA-256 over the source files of schemas/ and engine/, in the order of their paths."""
    root = Path(__file__).parent.parent
    files = sorted(path for name in ("engine", "schemas") for path in (root / name).rglob("*.py"))
    parts = [path.relative_to(root).as_posix().encode() + b"\0" + sha256(path.read_bytes()).encode() for path in files]
    return sha256(b"\n".join(parts))
