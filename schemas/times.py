"""This module converts between int64 nanoseconds since 1970 UTC (inside) and RFC 3339 text (outside)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

NANOSECONDS = 1_000_000_000
MAX_NS = 2**63 - 1

Moment = datetime  # in UTC; what ``moment`` returns, for modules that must not see clocks

_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2}))?"
)


def parse_time(text: str) -> int:
    """Return nanoseconds since 1970 UTC of an RFC 3339 time, or of a date (its midnight UTC).

    Raises ValueError for anything else, and for years outside 1970..2261 (int64).
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("an RFC 3339 time such as 2024-05-17T09:30:00Z, or a date such as 2024-05-17, is needed")
    date, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{date}T{clock or '00:00:00'}{'+00:00' if zone in (None, 'Z', 'z') else zone}")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    time_ns = (delta.days * 86_400 + delta.seconds) * NANOSECONDS + int((fraction or "0").ljust(9, "0"))
    if not 0 <= time_ns <= MAX_NS:
        raise ValueError("years from 1970 to 2261 are supported")
    return time_ns


def format_time(time_ns: int) -> str:
    """Return the RFC 3339 text of a time, with as many fraction digits as it needs (0, 3, 6 or 9)."""
    seconds, fraction = divmod(time_ns, NANOSECONDS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if fraction:
        digits = f"{fraction:09d}"
        while digits.endswith("000"):
            digits = digits[:-3]
        text += "." + digits
    return text + "Z"


def moment(time_ns: int) -> Moment:
    """Return a time as a datetime in UTC, cut to microseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1_000)


def _checked(text: str) -> str:
    parse_time(text)
    return text


# Not `format: date-time`: a date alone is allowed as well.
TimeField = Annotated[str, AfterValidator(_checked), WithJsonSchema({"type": "string", "pattern": f"^{_RFC3339.pattern}$"})]

_TIMEFRAME = re.compile(r"^([1-9][0-9]{0,3})(s|m|h|d|w)$")
_UNIT_NS = {
    "s": NANOSECONDS,
    "m": 60 * NANOSECONDS,
    "h": 3_600 * NANOSECONDS,
    "d": 86_400 * NANOSECONDS,
    "w": 604_800 * NANOSECONDS,
}


def timeframe_ns(timeframe: str) -> int:
    """Return the length of a bar such as ``1m``, ``5m``, ``1h``, ``1d``. Raises ValueError for anything else."""
    match = _TIMEFRAME.fullmatch(timeframe)
    if match is None:
        raise ValueError("a timeframe such as 1s, 1m, 5m, 1h, 1d, 1w is needed")
    return int(match[1]) * _UNIT_NS[match[2]]


def _checked_timeframe(text: str) -> str:
    timeframe_ns(text)
    return text


TimeframeField = Annotated[
    str, AfterValidator(_checked_timeframe), WithJsonSchema({"type": "string", "pattern": _TIMEFRAME.pattern})
]
