"""This module computes what the shape of returns says about risk: tails, omega, moments, the probabilistic Sharpe ratio.

Undefined is None; each docstring says when. Sums are ``math.fsum``; the normal distribution is computed with ``decimal``,
because ``erf`` and ``exp`` of the C library differ between processors.
"""

import math
from collections.abc import Sequence
from decimal import Context, Decimal

import numpy as np

from engine.statistics import mean, total, variance

_EXACT = Context(prec=50)
_FAR = 12.0  # standard deviations; beyond lies less than 1e-32, which float64 can't tell from 0 beside 1


def value_at_risk(returns: Sequence[float], tail_percent: int) -> float | None:
    """Return the loss, as a positive fraction per period, that the worst ``tail_percent`` of the periods reach or exceed.

    Historical: minus the k-th smallest return, k = ceil(tail_percent * n / 100); negative where even that one is a gain.
    None of nothing.
    ddof: none. Annualisation: none. Source: Jorion, Value at Risk (2006), chapter 10.

    >>> value_at_risk([0.02, -0.05, -0.04, 0.01], 30)  # k = ceil(1.2) = 2
    0.04
    """
    if not returns:
        return None
    return -sorted(returns)[_tail_count(len(returns), tail_percent) - 1]


def expected_shortfall(returns: Sequence[float], tail_percent: int) -> float | None:
    """Return the mean loss, as a positive fraction per period, of the worst ``tail_percent`` of the periods.

    Historical: minus the mean of the k smallest returns, k as for ``value_at_risk``; None of nothing.
    ddof: none. Annualisation: none. Source: Acerbi and Tasche (2002), J. of Banking and Finance 26(7).

    >>> expected_shortfall([0.02, -0.05, -0.04, 0.01], 30)  # (0.05 + 0.04) / 2
    0.045
    """
    if not returns:
        return None
    count = _tail_count(len(returns), tail_percent)
    return -math.fsum(sorted(returns)[:count]) / count


def _tail_count(count: int, tail_percent: int) -> int:
    """Return ceil(tail_percent * count / 100), in whole numbers, so that no float decides."""
    return -(-tail_percent * count // 100)


def omega(returns: Sequence[float]) -> float | None:
    """Return the sum of gains / |the sum of losses| of the periods, threshold 0; None without a loss.

    ddof: none. Annualisation: none. Source: Keating and Shadwick (2002), J. of Performance Measurement 6(3).

    >>> omega([0.03, -0.01, -0.01])  # 0.03 / 0.02
    1.5
    """
    losses = math.fsum(value for value in returns if value < 0.0)
    if losses == 0.0:
        return None
    return math.fsum(value for value in returns if value > 0.0) / -losses


def skewness(returns: Sequence[float]) -> float | None:
    """Return m3 / m2^1.5 of the central moments; None of fewer than two returns or without variance.

    ddof: 0. Annualisation: none. Source: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.11.

    >>> skewness([0.0, 0.0, 0.0, 0.0, 5.0])  # mean 1, m2 = 20 / 5, m3 = 60 / 5: 12 / 4^1.5
    1.5
    """
    spread = _moment(returns, 2)
    third = _moment(returns, 3)
    if len(returns) < 2 or not spread or third is None:
        return None
    return third / (spread * math.sqrt(spread))


def kurtosis(returns: Sequence[float]) -> float | None:
    """Return m4 / m2^2 of the central moments, 3 for a normal distribution; None as for ``skewness``.

    ddof: 0. Annualisation: none. Source: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.11.

    >>> kurtosis([0.0, 0.0, 3.0])  # mean 1, m2 = 6 / 3, m4 = 18 / 3: 6 / 4
    1.5
    """
    spread = _moment(returns, 2)
    fourth = _moment(returns, 4)
    if len(returns) < 2 or not spread or fourth is None:
        return None
    return fourth / (spread * spread)


def _moment(values: Sequence[float], order: int) -> float | None:
    center = mean(values)
    if center is None:
        return None
    deviations = np.asarray(values, dtype=np.float64) - center
    powers = deviations
    for _ in range(order - 1):  # step by step: ``**`` of floats is the C library's, which differs between processors
        powers = powers * deviations
    return total(powers) / len(values)


def probabilistic_sharpe(returns: Sequence[float]) -> float | None:
    """Return the probability that the true Sharpe ratio is above 0, given length, skewness and kurtosis of the returns.

    Phi(SR * sqrt(n - 1) / sqrt(1 - g3 * SR + (g4 - 1) / 4 * SR^2)) with SR = mean / std per period, g3 skewness,
    g4 kurtosis; None of fewer than two returns, without variance, or where the root is of nothing positive.
    ddof: 1 in SR, 0 in g3 and g4. Annualisation: none. Source: Bailey and Lopez de Prado (2012), J. of Risk 15(2).

    >>> probabilistic_sharpe([0.01, -0.01])  # SR = 0: as likely above 0 as below
    0.5
    >>> round(probabilistic_sharpe([0.0, 1.0]), 4)  # SR = 0.5 / sqrt(0.5) = 0.7071, g3 = 0, g4 = 1: Phi(0.7071 * 1 / 1)
    0.7602
    """
    center, spread = mean(returns), variance(returns)
    third, fourth = skewness(returns), kurtosis(returns)
    if center is None or not spread or third is None or fourth is None:
        return None
    ratio = center / math.sqrt(spread)
    width = 1.0 - third * ratio + (fourth - 1.0) / 4.0 * (ratio * ratio)
    if width <= 0.0:
        return None
    return normal_probability(ratio * math.sqrt(len(returns) - 1) / math.sqrt(width))


def normal_probability(deviations: float) -> float:
    """Return the standard normal distribution function, Phi.

    Phi(x) = 1/2 + phi(x) * (x + x^3/3 + x^5/(3*5) + …), all terms of one sign, at 50 digits, rounded once.
    ddof: none. Annualisation: none. Source: Abramowitz and Stegun (1964), 26.2.11.

    >>> normal_probability(0.0), round(normal_probability(1.96), 7)  # by symmetry; by their table 26.1
    (0.5, 0.9750021)
    """
    distance = abs(deviations)
    if distance > _FAR:
        return 1.0 if deviations > 0.0 else 0.0
    x = Decimal(distance)
    square = _EXACT.multiply(x, x)
    term = total = x
    divisor = 1
    while term > Decimal("1e-40"):
        divisor += 2
        term = _EXACT.divide(_EXACT.multiply(term, square), Decimal(divisor))
        total = _EXACT.add(total, term)
    density = _EXACT.divide(_EXACT.exp(_EXACT.divide(-square, Decimal(2))), _EXACT.sqrt(_EXACT.multiply(Decimal(2), _PI)))
    beyond_middle = _EXACT.multiply(density, total)
    half = Decimal("0.5")
    return float(_EXACT.add(half, beyond_middle) if deviations >= 0.0 else _EXACT.subtract(half, beyond_middle))


_PI = Decimal("3.14159265358979323846264338327950288419716939937510582")
