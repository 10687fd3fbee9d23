"""Months and years from the table monthly_returns."""

from __future__ import annotations

import pytest

from reports.monthly import monthly_returns
from web.months import recorded_ends


def test_months_are_those_of_the_table() -> None:
    """Each at its place of the calendar; a year counts from the last equity there was before it."""
    rows = [{"month": "2019-11", "equity": 110.0}, {"month": "2019-12", "equity": 99.0}, {"month": "2021-02", "equity": 198.0}]
    told = monthly_returns(recorded_ends(rows), 100.0)
    assert told.years == (2019, 2020, 2021)
    assert told.months[0, 10:].tolist() == pytest.approx([0.1, -0.1])  # 110 / 100 - 1, 99 / 110 - 1
    assert told.months[2, 1] == told.totals[2] == 1.0  # 198 / 99 - 1
    assert told.totals[0] == pytest.approx(-0.01)  # 99 / 100 - 1
