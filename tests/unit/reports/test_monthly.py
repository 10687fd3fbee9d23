"""Monthly returns, by hand."""

import numpy as np
import pytest

from reports.monthly import monthly_returns
from reports.view import Curve, Months, month_ends
from schemas.times import parse_time


def ends(*marks: tuple[str, float]) -> Months:
    times = np.array([parse_time(time) for time, _ in marks], dtype=np.int64)
    equity = np.array([value for _, value in marks])
    return month_ends(Curve(times, equity, np.zeros(len(marks)), np.zeros(len(marks))))


def test_each_month_counts_from_the_last_mark_before_it():
    """100 -> 110 in December, 99 in January (-10 %), 108.9 in March (+10 %); the years: +10 % and -1 %."""
    found = monthly_returns(
        ends(("2020-12-05", 105.0), ("2020-12-31", 110.0), ("2021-01-31", 99.0), ("2021-03-02", 108.9)), 100.0
    )
    assert found.years == (2020, 2021)
    assert found.months[0, 11] == pytest.approx(0.1)
    assert found.months[1, 0] == pytest.approx(-0.1)
    assert np.isnan(found.months[1, 1])
    assert found.months[1, 2] == pytest.approx(0.1)
    assert found.totals == pytest.approx([0.1, -0.01])


def test_no_marks_give_no_years():
    assert monthly_returns(ends(), 100.0).years == ()


def test_a_return_on_nothing_is_undefined():
    found = monthly_returns(ends(("2020-01-05", 0.0), ("2020-02-05", 10.0)), 100.0)
    assert found.months[0, 0] == -1.0
    assert np.isnan(found.months[0, 1])
