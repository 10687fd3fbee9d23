"""Times go from RFC 3339 to nanoseconds and back without loss, and nothing else is taken for a time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.times import MAX_NS, NANOSECONDS, TimeField, format_time, parse_time, timeframe_ns


@given(st.integers(0, MAX_NS))
def test_a_time_comes_back_as_it_was(time_ns: int) -> None:
    """Every nanosecond that fits int64."""
    assert parse_time(format_time(time_ns)) == time_ns


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T19:00:00-05:00", 0),
        ("1970-01-01t00:00:01z", NANOSECONDS),
        ("1970-01-01 00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("2000-02-29", 951_782_400 * NANOSECONDS),  # 10_957 days to 2000-01-01, then 31 + 28
        ("2262-04-11T23:47:16.854775807Z", MAX_NS),
    ],
)
def test_times_are_read(text: str, time_ns: int) -> None:
    """With and without zone offsets and fractions; a date alone is its midnight UTC."""
    assert parse_time(text) == time_ns


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("yesterday", id="words"),
        pytest.param("2024-05-17T09:30:00", id="no zone"),
        pytest.param("2024-05-17T09:30Z", id="no seconds"),
        pytest.param("2024-13-01", id="month 13"),
        pytest.param("2023-02-29", id="not a leap year"),
        pytest.param("2024-05-17T24:00:00Z", id="hour 24"),
        pytest.param("2024-05-17T09:30:60Z", id="second 60"),
        pytest.param("2024-05-17T09:30:00+24:00", id="zone out of range"),
        pytest.param("2024-05-17T09:30:00.0000000001Z", id="finer than nanoseconds"),
        pytest.param("2024-05-17T09:30:00Z\n", id="a line end behind it"),
        pytest.param("2024-05-17\n", id="a line end behind a date"),
        pytest.param("2024-05-17T09:30:00.٣Z", id="digits of another script"),
        pytest.param("1969-12-31T23:59:59Z", id="before 1970"),
        pytest.param("2262-04-11T23:47:16.854775808Z", id="beyond int64"),
        pytest.param("0001-01-01T00:00:00+10:00", id="before year 1 in UTC"),
        pytest.param("9999-12-31T23:59:59-10:00", id="after year 9999 in UTC"),
    ],
)
def test_nothing_else_is_a_time(text: str) -> None:
    """It is refused by ValueError, which a model turns into an error that names the field."""
    with pytest.raises(ValueError):
        parse_time(text)


@given(st.from_regex(TypeAdapter(TimeField).json_schema()["pattern"]))
def test_the_exported_pattern_lets_every_time_through(text: str) -> None:
    """What the schema allows is refused only for what a pattern can't say (a calendar, a range of years)."""
    try:
        parse_time(text)
    except ValueError as error:
        assert "RFC 3339" not in str(error) or text.endswith("\n")  # a regex's $ stands before a last line end as well


@pytest.mark.parametrize(
    ("timeframe", "seconds"), [("1s", 1), ("5m", 300), ("1h", 3_600), ("4h", 14_400), ("1d", 86_400), ("2w", 1_209_600)]
)
def test_timeframes_are_read(timeframe: str, seconds: int) -> None:
    """A number and a unit."""
    assert timeframe_ns(timeframe) == seconds * NANOSECONDS


@pytest.mark.parametrize("timeframe", ["", "d", "0d", "01d", "1D", "1 d", "-1d", "1.5h", "10000m", "1M", "1d\n", "٣d"])
def test_nothing_else_is_a_timeframe(timeframe: str) -> None:
    """The error says what one looks like."""
    with pytest.raises(ValueError, match=re.escape("1s, 1m, 5m, 1h, 1d, 1w")):
        timeframe_ns(timeframe)
