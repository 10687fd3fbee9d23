"""This module defines an exchange's sessions as data: which days it trades, from when to when.

A data set holds the sessions of the calendars that its instruments name, as they were when it was imported. So a run reads
them like its prices, covered by the same digest, and no release of a calendar package can change what a log says.
"""

import base64
import binascii
import zlib
from functools import lru_cache
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from schemas.spec import Model

UNPINNED = ("exchange", "always")  # their day is the UTC day: they have no sessions
MINUTE_NS = 60_000_000_000
MAX_SESSIONS = 60_000  # two centuries of days

CalendarName = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9][A-Za-z0-9/_.\-]*$")]
Times = NDArray[np.int64]


class SessionTable(Model):
    """The sessions of one calendar, over the time that the data set covers and some days more."""

    name: CalendarName  # ISO 10383, such as XNYS
    source: Annotated[str, Field(min_length=1, max_length=128)]  # what said so, with its version
    sessions_per_year: Annotated[int, Field(ge=1, le=366)]
    # base64 of zlib of int32 pairs, little-endian: minutes since the last open (the first: since 1970 UTC), length in minutes
    sessions: Annotated[str, Field(min_length=1, max_length=1_000_000)]

    @model_validator(mode="after")
    def _readable(self) -> Self:
        self.times()
        return self

    def times(self) -> tuple[Times, Times]:
        """Return the opens and the closes of all sessions, ascending, shape (sessions,). Raises ValueError for what is none."""
        return _decoded(self.sessions)


def encoded_sessions(open_ns: Times, close_ns: Times) -> str:
    """Return the text of sessions. Raises ValueError unless they lie on whole minutes, one after another."""
    if np.any(open_ns % MINUTE_NS) or np.any(close_ns % MINUTE_NS):
        raise ValueError("sessions open and close on whole minutes")
    _check_order(open_ns, close_ns)
    pairs = np.empty((len(open_ns), 2), dtype="<i4")
    pairs[:, 0] = np.diff(open_ns // MINUTE_NS, prepend=0)
    pairs[:, 1] = (close_ns - open_ns) // MINUTE_NS
    return base64.b64encode(zlib.compress(pairs.tobytes(), 9)).decode()


@lru_cache(maxsize=64)
def _decoded(text: str) -> tuple[Times, Times]:
    reader = zlib.decompressobj()
    try:
        raw = reader.decompress(base64.b64decode(text, validate=True), 8 * MAX_SESSIONS)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"sessions can't be read: {error}") from error
    if not raw or len(raw) % 8 or not reader.eof:
        raise ValueError(f"sessions are 1 to {MAX_SESSIONS} pairs of int32")
    pairs = np.frombuffer(raw, dtype="<i4").reshape(-1, 2).astype(np.int64)
    open_ns = np.cumsum(pairs[:, 0]) * MINUTE_NS
    close_ns = open_ns + pairs[:, 1] * MINUTE_NS
    _check_order(open_ns, close_ns)
    open_ns.flags.writeable = close_ns.flags.writeable = False
    return open_ns, close_ns


def _check_order(open_ns: Times, close_ns: Times) -> None:
    if not len(open_ns) or np.any(close_ns <= open_ns) or np.any(open_ns[1:] < close_ns[:-1]):
        raise ValueError("a session closes after it opens, and before the next one opens")
