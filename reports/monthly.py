"""This module computes returns by month and year from equity at the ends of months."""

from dataclasses import dataclass

import numpy as np

from reports.view import Months
from schemas.market_data import FloatArray


@dataclass(frozen=True, slots=True)
class MonthlyReturns:
    """Returns as fractions: ``months`` of shape (years, 12), NaN where the run has no bar; ``totals`` of shape (years,)."""

    years: tuple[int, ...]
    months: FloatArray
    totals: FloatArray


def monthly_returns(ends: Months, initial: float | None) -> MonthlyReturns:
    """Return each month's equity / the month's before - 1; the first month counts from the initial cash.

    What begins or ends within a month has that part of it. NaN also where the equity before is not positive.
    ddof: none. Annualisation: none; a year's total is its last equity / the year's before - 1.
    Source: Bacon, Practical Portfolio Performance Measurement and Attribution (2008), chapter 2.

    >>> ends = Months(np.array([648, 649]), np.array([125.0, 50.0]))  # January and February 2024, from 100
    >>> table = monthly_returns(ends, 100.0)
    >>> table.months[0, :2].tolist(), table.totals.tolist()  # 125 / 100 - 1, 50 / 125 - 1; 50 / 100 - 1
    ([0.25, -0.6], [-0.5])
    """
    if not len(ends):
        return MonthlyReturns((), np.zeros((0, 12)), np.zeros(0))
    numbers, start = ends.number, ends.equity[0] if initial is None else initial
    months = _changes(ends.equity, start)
    years = np.arange(1970 + numbers[0] // 12, 1970 + numbers[-1] // 12 + 1)
    table = np.full((len(years), 12), np.nan)
    table[1970 + numbers // 12 - years[0], numbers % 12] = months
    year_lasts = np.flatnonzero(np.append(numbers[1:] // 12 != numbers[:-1] // 12, True))
    totals = np.full(len(years), np.nan)
    totals[1970 + numbers[year_lasts] // 12 - years[0]] = _changes(ends.equity[year_lasts], start)
    return MonthlyReturns(tuple(int(year) for year in years), table, totals)


def _changes(levels: FloatArray, start: float) -> FloatArray:
    before = np.concatenate([[start], levels[:-1]])
    usable = before > 0
    return np.where(usable, levels / np.where(usable, before, 1.0) - 1.0, np.nan)
