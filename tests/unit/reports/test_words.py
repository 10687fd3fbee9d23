"""Numbers and times as people read them."""

import pytest

from reports import words
from reports.axes import DateTicks, PercentTicks, ThousandsFormatter, dates
from schemas.times import parse_time


@pytest.mark.parametrize(
    ("formatter", "value", "text"),
    [
        (words.money, 1234567.891, "1,234,567.89"),
        (words.money, -0.5, "−0.50"),
        (words.money, 0.00012345, "0.0001234"),  # four digits; binary64 holds a little less than 0.00012345
        (words.money, 0.0, "0.00"),
        (words.percent, 0.1234, "12.34%"),
        (words.percent, -0.00001, "0.00%"),  # no minus before a zero
        (words.percent, 123.4567, "12,346%"),
        (words.count, 12345.0, "12,345"),
        (words.quantity, 0.25, "0.25"),
        (words.quantity, 1500.0, "1,500"),
        (words.price, 1234.5, "1,234.50"),
        (words.price, 0.0345678, "0.0345678"),
        (words.days, 8488.96, "8,489 days"),
        (words.days, 1.0, "1 day"),
        (words.days, 0.25, "6 h"),
        (words.bars, 1, "1 bar"),
        (words.bars, 108.147, "108 bars"),
    ],
)
def test_values_are_written_with_separators_and_their_unit(formatter, value, text):
    assert formatter(value) == text


def test_undefined_is_a_dash():
    assert words.or_undefined(None, words.money) == "–"
    assert words.or_undefined(float("nan"), words.money) == "–"


def test_the_clock_is_left_out_at_midnight():
    assert words.time(parse_time("2024-05-17")) == "2024-05-17"
    assert words.time(parse_time("2024-05-17T09:30:00Z")) == "2024-05-17 09:30"


def test_ticks_have_as_many_decimals_as_their_steps():
    assert ThousandsFormatter().format_ticks([-100_000.0, 0.0, 100_000.0]) == ["−100,000", "0", "100,000"]
    assert ThousandsFormatter().format_ticks([0.25, 0.5, 0.75]) == ["0.25", "0.50", "0.75"]
    assert ThousandsFormatter().format_ticks([1e7, 1.25e7]) == ["10.0 m", "12.5 m"]
    assert PercentTicks().format_ticks([-0.1, -0.05, 0.0]) == ["−10%", "−5%", "0%"]


@pytest.mark.parametrize(
    ("times", "labels"),
    [
        (["2000-01-01", "2004-01-01"], ["2000", "2004"]),
        (["2020-11-01", "2021-01-01", "2021-03-01"], ["Nov\n2020", "Jan\n2021", "Mar"]),
        (["2022-01-05", "2022-01-09"], ["5 Jan\n2022", "9 Jan"]),
        (["2022-01-05T12:00:00Z", "2022-01-06T00:00:00Z"], ["12:00\n5 Jan 2022", "00:00\n6 Jan 2022"]),
    ],
)
def test_dates_say_the_year_once_where_it_changes(times, labels):
    import numpy as np

    assert DateTicks().format_ticks(dates(np.array([parse_time(time) for time in times])).tolist()) == labels
