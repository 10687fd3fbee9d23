"""This module computes statistics from returns, equity and trades. Undefined is None; each docstring says when.

All sums are ``math.fsum`` (exact, then rounded once), so no value depends on the order or the width of the CPU's additions.
Powers are computed with ``decimal`` at 34 digits. N is the number of periods per year.
"""

import math
from collections.abc import Sequence
from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.float64]

_EXACT = Context(prec=34)


def total(values: Values) -> float:
    """Return the sum, rounded once. (Of an array's numbers as a list: to take them one by one costs three times as much.)"""
    return math.fsum(values.tolist() if isinstance(values, np.ndarray) else values)


def mean(values: Values) -> float | None:
    """Return the arithmetic mean; None of nothing. [0.01, -0.02] gives -0.005."""
    return total(values) / len(values) if len(values) else None


def variance(values: Values) -> float | None:
    """Return the sample variance, ddof 1; None of fewer than two. [1, 2, 4] gives 7/3."""
    center = mean(values)
    if center is None or len(values) < 2:
        return None
    deviations = np.asarray(values, dtype=np.float64) - center
    return total(deviations * deviations) / (len(values) - 1)


def annual_variance(returns: Sequence[float], periods: float) -> float | None:
    """Return variance(ddof 1) * N; None of fewer than two returns."""
    spread = variance(returns)
    return None if spread is None else spread * periods


def volatility(returns: Sequence[float], periods: float) -> float | None:
    """Return the square root of the annual variance; None of fewer than two returns."""
    spread = annual_variance(returns, periods)
    return None if spread is None else math.sqrt(spread)


def sharpe(returns: Sequence[float], periods: float) -> float | None:
    """Return mean / std(ddof 1) * sqrt(N), without a risk-free rate; None of fewer than two returns or zero variance.

    Source: Sharpe (1994), J. Portfolio Management 21(1). [.01, -.02, .015, -.005, .025] with N = 252: 4.48998886412873.
    """
    center, spread = mean(returns), variance(returns)
    if center is None or spread is None or spread == 0.0:
        return None
    return center / math.sqrt(spread) * math.sqrt(periods)


def sortino(returns: Sequence[float], periods: float) -> float | None:
    """Return mean * sqrt(N) / sqrt(sum of min(r, 0)^2 / n), target 0; None without a negative return.

    Source: Sortino and Price (1994), J. of Investing 3(3). [-.01, .02, -.015, .005, -.02]: -5.273224492824493.
    """
    center, downside = mean(returns), downside_deviation(returns)
    if center is None or not downside:
        return None
    return center * math.sqrt(periods) / downside


def downside_deviation(returns: Sequence[float]) -> float | None:
    """Return sqrt(sum of min(r, 0)^2 / n), per period; None of nothing. [0.03, -0.04] gives 0.04 / sqrt(2)."""
    if not returns:
        return None
    return math.sqrt(math.fsum(value * value for value in returns if value < 0.0) / len(returns))


def cagr(initial: float, final: float, days: float) -> float | None:
    """Return (final / initial)^(365.25 / days) - 1; None unless all three are positive.

    100 to 121 in 730.5 days: 0.1 a year. An account that ends at or below zero has no rate.
    """
    if initial <= 0.0 or final <= 0.0 or days <= 0.0:
        return None
    growth = _EXACT.divide(Decimal(final), Decimal(initial))
    exponent = _EXACT.divide(Decimal("365.25"), Decimal(days))
    return float(_EXACT.subtract(_EXACT.power(growth, exponent), Decimal(1)))


def calmar(annual: float | None, drawdown: float) -> float | None:
    """Return CAGR / |maximum drawdown|; None without either. Source: Young (1991), Futures 20(1)."""
    if annual is None or drawdown >= 0.0:
        return None
    return annual / -drawdown


def max_drawdown(returns: Sequence[float]) -> float:
    """Return the deepest fall from a peak of compounded returns, as a fraction <= 0, start included. [-.4, -.1]: -0.46."""
    level = peak = 1.0
    deepest = 0.0
    for value in returns:
        level *= 1.0 + value
        peak = max(peak, level)
        deepest = min(deepest, level / peak - 1.0)
    return deepest


def win_rate(pnl: Values) -> float | None:
    """Return winners / closed positions; a PnL of zero is neither won nor lost, but counts. None without positions."""
    return int(np.count_nonzero(np.asarray(pnl) > 0.0)) / len(pnl) if len(pnl) else None


def profit_factor(pnl: Values) -> float | None:
    """Return the sum of gains / |the sum of losses|; None without losses. [10, -20, 30, -40]: 40 / 60."""
    values = np.asarray(pnl, dtype=np.float64)
    losses = total(values[values < 0.0])
    if losses == 0.0:
        return None
    return total(values[values > 0.0]) / -losses


def sqn(pnl: Values) -> float | None:
    """Return the system quality number sqrt(n) * mean / std(ddof 1) of the positions' PnL; None as for Sharpe.

    Source: Tharp, Definitive Guide to Position Sizing (2008).
    """
    center, spread = mean(pnl), variance(pnl)
    if center is None or spread is None or spread == 0.0:
        return None
    return math.sqrt(len(pnl)) * center / math.sqrt(spread)


def kelly(pnl: Values) -> float | None:
    """Return w - (1 - w) / (average gain / average loss); None without a gain or a loss. Source: Kelly (1956)."""
    values = np.asarray(pnl, dtype=np.float64)
    gains, losses = values[values > 0.0], values[values < 0.0]
    if not len(gains) or not len(losses):
        return None
    share = len(gains) / len(pnl)
    payoff = (total(gains) / len(gains)) / (-total(losses) / len(losses))
    return share - (1.0 - share) / payoff


def recovery_factor(total_return: float, drawdown: float) -> float | None:
    """Return total return / |maximum drawdown|; None without a drawdown. 0.3 gained and 0.1 fallen: 3."""
    if drawdown >= 0.0:
        return None
    return total_return / -drawdown


def tracking_error(returns: Sequence[float], benchmark: Sequence[float], periods: float) -> float | None:
    """Return std(r - benchmark, ddof 1) * sqrt(N); None of fewer than two."""
    return volatility([ours - theirs for ours, theirs in zip(returns, benchmark, strict=True)], periods)


def longest_streak(pnl: Values, sign: int) -> int:
    """Return the most consecutive positions with a PnL of this sign. [1, 2, -1, 3] upwards: 2."""
    others = np.flatnonzero(~(np.asarray(pnl, dtype=np.float64) * sign > 0.0))
    return int(np.diff(others, prepend=-1, append=len(pnl)).max()) - 1


def returns_of(equity: Sequence[float], initial: float) -> list[float]:
    """Return equity[i] / equity[i - 1] - 1, the first against ``initial``. It ends where equity is not positive any more."""
    result, before = [], initial
    for value in equity:
        if before <= 0.0:
            break
        result.append(value / before - 1.0)
        before = value
    return result
