"""This module computes statistics from returns, equity and trades. Undefined is None; each docstring says when.

Each says its ddof, how N enters, and where the formula comes from; cases are those of tests/conformance. The examples are run.
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
    """Return the sum, rounded once. (Of an array's numbers as a list: to take them one by one costs three times as much.)

    ddof: none. Annualisation: none. Source: Shewchuk (1997), Discrete and Computational Geometry 18(3), which ``fsum`` follows.

    >>> total([0.1] * 10)  # added one after the other: 0.9999999999999999
    1.0
    """
    return math.fsum(values.tolist() if isinstance(values, np.ndarray) else values)


def mean(values: Values) -> float | None:
    """Return the arithmetic mean, sum(x) / n; None of nothing.

    ddof: none. Annualisation: none. Source: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.1.

    >>> mean([0.01, -0.02])  # -0.01 / 2
    -0.005
    """
    return total(values) / len(values) if len(values) else None


def variance(values: Values) -> float | None:
    """Return the sample variance, sum of (x - mean)^2 / (n - 1); None of fewer than two.

    ddof: 1. Annualisation: none. Source: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.6.

    >>> variance([1, 2, 6])  # mean 3: (4 + 1 + 9) / 2
    7.0
    """
    center = mean(values)
    if center is None or len(values) < 2:
        return None
    deviations = np.asarray(values, dtype=np.float64) - center
    return total(deviations * deviations) / (len(values) - 1)


def annual_variance(returns: Sequence[float], periods: float) -> float | None:
    """Return variance * N; None of fewer than two returns.

    ddof: 1. Annualisation: * N. Source: LEAN's annual variance (conformance case le-s1).

    >>> annual_variance([0.25, 0.75], 252)  # mean 0.5: (0.0625 + 0.0625) / 1 = 0.125
    31.5
    """
    spread = variance(returns)
    return None if spread is None else spread * periods


def volatility(returns: Sequence[float], periods: float) -> float | None:
    """Return the square root of the annual variance; None of fewer than two returns.

    ddof: 1. Annualisation: * sqrt(N). Source: LEAN's annual standard deviation (conformance case le-s1).

    >>> volatility([0.25, 0.75], 2)  # sqrt(0.125 * 2)
    0.5
    """
    spread = annual_variance(returns, periods)
    return None if spread is None else math.sqrt(spread)


def sharpe(returns: Sequence[float], periods: float) -> float | None:
    """Return mean / std * sqrt(N), without a risk-free rate; None of fewer than two returns or zero variance.

    ddof: 1. Annualisation: * sqrt(N). Source: Sharpe (1994), J. Portfolio Management 21(1); Nautilus (conformance case nt-s1).

    >>> sharpe([0.0, 0.5, 1.0], 4)  # mean 0.5, std sqrt((0.25 + 0 + 0.25) / 2) = 0.5: 1 * 2
    2.0
    """
    center, spread = mean(returns), variance(returns)
    if center is None or spread is None or spread == 0.0:
        return None
    return center / math.sqrt(spread) * math.sqrt(periods)


def sortino(returns: Sequence[float], periods: float) -> float | None:
    """Return mean * sqrt(N) / sqrt(sum of min(r, 0)^2 / n), target 0; None without a negative return.

    ddof: 0, of all n returns. Annualisation: * sqrt(N).
    Source: Sortino and Price (1994), J. of Investing 3(3); Nautilus (conformance case nt-s2).

    >>> sortino([1.0, 1.0, 1.0, -0.5], 4)  # mean 0.625, downside sqrt(0.25 / 4) = 0.25: 0.625 * 2 / 0.25
    5.0
    """
    center, downside = mean(returns), downside_deviation(returns)
    if center is None or not downside:
        return None
    return center * math.sqrt(periods) / downside


def downside_deviation(returns: Sequence[float]) -> float | None:
    """Return sqrt(sum of min(r, 0)^2 / n), per period, target 0; None of nothing.

    ddof: 0, of all n returns. Annualisation: none. Source: Sortino and Price (1994), J. of Investing 3(3).

    >>> downside_deviation([1.0, 1.0, 1.0, -0.5])  # sqrt(0.25 / 4)
    0.25
    """
    if not returns:
        return None
    return math.sqrt(math.fsum(value * value for value in returns if value < 0.0) / len(returns))


def total_return(initial: float, final: float) -> float:
    """Return final / initial - 1.

    ddof: none. Annualisation: none. Source: simple return of the whole run, as backtesting.py has it.

    >>> total_return(100.0, 150.0)  # 150 / 100 - 1
    0.5
    """
    return final / initial - 1.0


def cagr(initial: float, final: float, days: float) -> float | None:
    """Return (final / initial)^(365.25 / days) - 1; None unless all three are positive.

    An account that ends at or below zero has no rate.
    ddof: none. Annualisation: by calendar days / 365.25, not by N. Source: backtesting.py (conformance case bp-k13).

    >>> cagr(100.0, 121.0, 730.5)  # two years: sqrt(1.21) - 1
    0.1
    """
    if initial <= 0.0 or final <= 0.0 or days <= 0.0:
        return None
    growth = _EXACT.divide(Decimal(final), Decimal(initial))
    exponent = _EXACT.divide(Decimal("365.25"), Decimal(days))
    return float(_EXACT.subtract(_EXACT.power(growth, exponent), Decimal(1)))


def calmar(annual: float | None, drawdown: float) -> float | None:
    """Return CAGR / |maximum drawdown| of the whole run; None without either.

    ddof: none. Annualisation: the CAGR's. Source: Young (1991), Futures 20(1), who takes 36 months.

    >>> calmar(0.25, -0.125)  # 0.25 / 0.125
    2.0
    """
    if annual is None or drawdown >= 0.0:
        return None
    return annual / -drawdown


def max_drawdown(returns: Sequence[float]) -> float:
    """Return the deepest fall from a peak of compounded returns, min of level / peak - 1 <= 0, start included.

    ddof: none. Annualisation: none. Source: Magdon-Ismail and Atiya (2004), Risk 17(10); Nautilus (conformance case nt-s3).

    >>> max_drawdown([1.0, -0.5, 0.5, -0.5])  # 2, 1, 1.5, 0.75: 0.75 / 2 - 1
    -0.625
    """
    level = peak = 1.0
    deepest = 0.0
    for value in returns:
        level *= 1.0 + value
        peak = max(peak, level)
        deepest = min(deepest, level / peak - 1.0)
    return deepest


def win_rate(pnl: Values) -> float | None:
    """Return winners / closed positions; a PnL of zero is neither won nor lost, but counts. None without positions.

    ddof: none. Annualisation: none. Source: backtesting.py (conformance case bp-k13).

    >>> win_rate([10.0, -20.0, 0.0, 5.0])  # 2 of 4
    0.5
    """
    return int(np.count_nonzero(np.asarray(pnl) > 0.0)) / len(pnl) if len(pnl) else None


def profit_factor(pnl: Values) -> float | None:
    """Return the sum of gains / |the sum of losses|; None without losses.

    ddof: none. Annualisation: none. Source: Nautilus (conformance case nt-s4).

    >>> profit_factor([10.0, -20.0, 30.0, -30.0])  # 40 / 50
    0.8
    """
    values = np.asarray(pnl, dtype=np.float64)
    losses = total(values[values < 0.0])
    if losses == 0.0:
        return None
    return total(values[values > 0.0]) / -losses


def sqn(pnl: Values) -> float | None:
    """Return the system quality number sqrt(n) * mean / std of the positions' PnL; None as for Sharpe.

    ddof: 1. Annualisation: none. Source: Tharp, Definitive Guide to Position Sizing (2008); backtesting.py (bp-k13).

    >>> sqn([0.0, 0.0, 4.0, 4.0, 2.0, 2.0, 2.0, 2.0, 2.0])  # n 9, mean 2, std sqrt(16 / 8): 3 * 2 / sqrt(2) = 3 * sqrt(2)
    4.242640687119285
    """
    center, spread = mean(pnl), variance(pnl)
    if center is None or spread is None or spread == 0.0:
        return None
    return math.sqrt(len(pnl)) * center / math.sqrt(spread)


def kelly(pnl: Values) -> float | None:
    """Return w - (1 - w) / (average gain / average loss), w = winners / all; None without a gain or a loss.

    ddof: none. Annualisation: none. Source: Kelly (1956), Bell System Technical J. 35(4); by PnL as backtesting.py does.

    >>> kelly([30.0, 10.0, -10.0, -10.0])  # w = 0.5, 20 / 10 = 2: 0.5 - 0.5 / 2
    0.25
    """
    values = np.asarray(pnl, dtype=np.float64)
    gains, losses = values[values > 0.0], values[values < 0.0]
    if not len(gains) or not len(losses):
        return None
    share = len(gains) / len(pnl)
    payoff = (total(gains) / len(gains)) / (-total(losses) / len(losses))
    return share - (1.0 - share) / payoff


def recovery_factor(total_return: float, drawdown: float) -> float | None:
    """Return total return / |maximum drawdown|; None without a drawdown.

    ddof: none. Annualisation: none. Source: MetaTrader 5's testing report, here of fractions of equity, there of money.

    >>> recovery_factor(0.75, -0.25)  # 0.75 / 0.25
    3.0
    """
    if drawdown >= 0.0:
        return None
    return total_return / -drawdown


def tracking_error(returns: Sequence[float], benchmark: Sequence[float], periods: float) -> float | None:
    """Return std(r - benchmark) * sqrt(N); None of fewer than two.

    ddof: 1. Annualisation: * sqrt(N). Source: LEAN's tracking error (conformance case le-s1).

    >>> tracking_error([0.5, 0.5], [0.25, -0.25], 2)  # differences 0.25 and 0.75: sqrt(0.125 * 2)
    0.5
    """
    return volatility([ours - theirs for ours, theirs in zip(returns, benchmark, strict=True)], periods)


def longest_streak(pnl: Values, sign: int) -> int:
    """Return the most consecutive positions with a PnL of this sign; one of zero ends both kinds.

    ddof: none. Annualisation: none. Source: backtrader's TradeAnalyzer, where a zero counts as won.

    >>> longest_streak([1.0, 2.0, -1.0, 3.0], 1)  # 1, 2
    2
    """
    others = np.flatnonzero(~(np.asarray(pnl, dtype=np.float64) * sign > 0.0))
    return int(np.diff(others, prepend=-1, append=len(pnl)).max()) - 1


def returns_of(equity: Sequence[float], initial: float) -> list[float]:
    """Return equity[i] / equity[i - 1] - 1, the first against ``initial``. It ends where equity is not positive any more.

    ddof: none. Annualisation: none. Source: simple returns between marks, as Nautilus has them (conformance case nt-s5).

    >>> returns_of([125.0, 100.0, 0.0, 50.0], 100.0)  # 125 / 100 - 1, 100 / 125 - 1, 0 / 100 - 1
    [0.25, -0.19999999999999996, -1.0]
    """
    result, before = [], initial
    for value in equity:
        if before <= 0.0:
            break
        result.append(value / before - 1.0)
        before = value
    return result
