"""This module compares returns with a benchmark's of the same periods: alpha, beta, information ratio, Treynor ratio.

Both sequences have the same length, period by period. No risk-free rate is taken off. Undefined is None; each docstring says
when. N is the number of periods per year.
"""

import math
from collections.abc import Sequence

from engine.statistics import mean, tracking_error, variance


def beta(returns: Sequence[float], benchmark: Sequence[float]) -> float | None:
    """Return cov(r, b) / var(b); None of fewer than two periods or a benchmark without variance.

    ddof: 1 in both, which cancels. Annualisation: none. Source: Sharpe (1964), J. of Finance 19(3).

    >>> beta([0.5, -0.5, 1.0], [0.25, -0.25, 0.5])  # r = 2 b
    2.0
    """
    spread = variance(benchmark)
    shared = covariance(returns, benchmark)
    if not spread or shared is None:
        return None
    return shared / spread


def covariance(returns: Sequence[float], benchmark: Sequence[float]) -> float | None:
    """Return the sample covariance, sum of (r - mean r) * (b - mean b) / (n - 1); None of fewer than two periods.

    ddof: 1. Annualisation: none. Source: NIST/SEMATECH e-Handbook of Statistical Methods, 6.5.4.1.

    >>> covariance([1, 2, 6], [0, 2, 1])  # means 3 and 1: (-2 * -1 + -1 * 1 + 3 * 0) / 2
    0.5
    """
    ours, theirs = mean(returns), mean(benchmark)
    if ours is None or theirs is None or len(returns) < 2:
        return None
    pairs = zip(returns, benchmark, strict=True)
    return math.fsum((our - ours) * (their - theirs) for our, their in pairs) / (len(returns) - 1)


def correlation(returns: Sequence[float], benchmark: Sequence[float]) -> float | None:
    """Return cov(r, b) / (std(r) * std(b)); None where either has no variance.

    ddof: 1 in all, which cancels. Annualisation: none. Source: Pearson (1895), Proceedings of the Royal Society 58.

    >>> round(correlation([1, 2, 3], [1, 3, 2]), 15)  # cov = (-1 * -1 + 0 * 1 + 1 * 0) / 2, both variances 1
    0.5
    """
    ours, theirs, shared = variance(returns), variance(benchmark), covariance(returns, benchmark)
    if not ours or not theirs or shared is None:
        return None
    return shared / (math.sqrt(ours) * math.sqrt(theirs))


def alpha(returns: Sequence[float], benchmark: Sequence[float], periods: float) -> float | None:
    """Return (mean(r) - beta * mean(b)) * N; None without a beta.

    ddof: 1 in beta, which cancels. Annualisation: * N. Source: Jensen (1968), J. of Finance 23(2).

    >>> alpha([0.75, -0.25, 1.25], [0.25, -0.25, 0.5], 4)  # r = 2 b + 0.25: 0.25 * 4
    1.0
    """
    slope, ours, theirs = beta(returns, benchmark), mean(returns), mean(benchmark)
    if slope is None or ours is None or theirs is None:
        return None
    return (ours - slope * theirs) * periods


def information_ratio(returns: Sequence[float], benchmark: Sequence[float], periods: float) -> float | None:
    """Return mean(r - b) * N / tracking error; None without a tracking error, or where it is 0.

    ddof: 1 in the tracking error. Annualisation: * N / sqrt(N). Source: Goodwin (1998), Financial Analysts J. 54(4).

    >>> information_ratio([0.5, 0.5], [0.25, -0.25], 2)  # differences 0.25 and 0.75: 0.5 * 2 / 0.5
    2.0
    """
    error = tracking_error(returns, benchmark, periods)
    excess = mean([ours - theirs for ours, theirs in zip(returns, benchmark, strict=True)])
    if not error or excess is None:
        return None
    return excess * periods / error


def treynor(returns: Sequence[float], benchmark: Sequence[float], periods: float) -> float | None:
    """Return mean(r) * N / beta; None without a beta, or where it is 0.

    ddof: 1 in beta, which cancels. Annualisation: * N. Source: Treynor (1965), Harvard Business Review 43(1).

    >>> treynor([0.5, -0.5, 1.5], [0.25, -0.25, 0.75], 4)  # r = 2 b, mean 0.5: 0.5 * 4 / 2
    1.0
    """
    slope, ours = beta(returns, benchmark), mean(returns)
    if not slope or ours is None:
        return None
    return ours * periods / slope
