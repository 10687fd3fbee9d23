"""Months and years from the table monthly_returns."""

from __future__ import annotations

import pytest

from web.months import calendar_of


def test_a_year_counts_from_the_end_of_the_one_before() -> None:
    """Months without bars are empty, and so is a year without any; what follows counts from the last equity there was."""
    rows = [
        {"month": "2019-11", "equity": 110.0, "return_fraction": 0.1},
        {"month": "2019-12", "equity": 99.0, "return_fraction": -0.1},
        {"month": "2021-02", "equity": 198.0, "return_fraction": 1.0},
    ]
    told = calendar_of(rows, 100.0)
    assert told["years"] == [2019, 2020, 2021]
    assert told["months"][0] == [None] * 10 + [0.1, -0.1]
    assert told["months"][1] == [None] * 12
    assert told["months"][2] == [None, 1.0] + [None] * 10
    assert told["totals"] == [pytest.approx(-0.01), None, 1.0]  # 99 / 100 - 1; 198 / 99 - 1


def test_there_is_no_return_on_nothing() -> None:
    """As of an account that was lost the year before."""
    rows = [
        {"month": "2019-12", "equity": -5.0, "return_fraction": -1.05},
        {"month": "2020-01", "equity": -5.0, "return_fraction": None},
    ]
    assert calendar_of(rows, 100.0)["totals"] == [pytest.approx(-1.05), None]
