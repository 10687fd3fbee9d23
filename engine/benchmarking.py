"""This module compares returns with a benchmark's of the same periods: alpha, beta, information ratio, Treynor ratio.

Both sequences have the same length, period by period. No risk-free rate is taken off. Undefined is None; each docstring says
when. N is the number of periods per year.
"""

import math
from collections.abc import Sequence

from engine.statistics import mean, tracking_error, variance


def beta(returns: Sequence[float], benchmark: Sequence[float]) -> float | None:
    """Return cov(r, b) / var(b), both ddof 1; None of fewer than two periods or a benchmark without variance.

    r = [0.02, -0.02, 0.03], b = [0.01, -0.01, 0.015]: 2.
    """
    spread = variance(benchmark)
    shared = covariance(returns, benchmark)
    if not spread or shared is None:
        return None
    return shared / spread


def covariance(returns: Sequence[float], benchmark: Sequence[float]) -> float | None:
    """Return the sample covariance, ddof 1; None of fewer than two periods. [1, 2, 4] with itself: 7/3."""
    ours, theirs = mean(returns), mean(benchmark)
    if ours is None or theirs is None or len(returns) < 2:
        return None
    pairs = zip(returns, benchmark, strict=True)
    return math.fsum((our - ours) * (their - theirs) for our, their in pairs) / (len(returns) - 1)


def correlation(returns: Sequence[float], benchmark: Sequence[float]) -> float | None:
    """Return cov(r, b) / (std(r) * std(b)); None where either has no variance. r = 2 b: 1."""
    ours, theirs, shared = variance(returns), variance(benchmark), covariance(returns, benchmark)
    if not ours or not theirs or shared is None:
        return None
    return shared / (math.sqrt(ours) * math.sqrt(theirs))


def alpha(returns: Sequence[float], benchmark: Sequence[float], periods: float) -> float | None:
    """Return (mean(r) - beta * mean(b)) * N; None without a beta.

    r = [0.021, -0.019, 0.031] is 2 * [0.01, -0.01, 0.015] + 0.001: 0.001 * 252 = 0.252 a year.
    Source: Jensen (1968), J. of Finance 23(2).
    """
    slope, ours, theirs = beta(returns, benchmark), mean(returns), mean(benchmark)
    if slope is None or ours is None or theirs is None:
        return None
    return (ours - slope * theirs) * periods


def information_ratio(returns: Sequence[float], benchmark: Sequence[float], periods: float) -> float | None:
    """Return mean(r - b) * N / tracking error; None without a tracking error, or where it is 0.

    r - b = [0.01, 0.03] with N = 4: 0.02 * 4 / (0.0141421 * 2) = 2.8284. Source: Goodwin (1998), Financial Analysts J. 54(4).
    """
    error = tracking_error(returns, benchmark, periods)
    excess = mean([ours - theirs for ours, theirs in zip(returns, benchmark, strict=True)])
    if not error or excess is None:
        return None
    return excess * periods / error


def treynor(returns: Sequence[float], benchmark: Sequence[float], periods: float) -> float | None:
    """Return mean(r) * N / beta; None without a beta, or where it is 0.

    r = [0.02, -0.02, 0.03] with a beta of 2 and N = 252: 0.01 * 252 / 2 = 1.26.
    Source: Treynor (1965), Harvard Business Review 43.
    """
    slope, ours = beta(returns, benchmark), mean(returns)
    if not slope or ours is None:
        return None
    return ours * periods / slope
