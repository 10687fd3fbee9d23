"""This module computes statistics by backtesting.py's formulas, for conformance cases alone; no event holds them.

r is equity's change per bar of one day, the first against nothing; N is 252, or 365 where there are weekend bars.
"""

import math
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Any

from engine import statistics as stats
from schemas.events import PositionClosed
from schemas.market_data import TimeArray

_EXACT = Context(prec=34)
_DAY_NS = 86_400_000_000_000
_THURSDAY = 3  # 1970-01-01, counted from Monday
_SATURDAY = 5


def backtesting_statistics(
    time_ns: TimeArray, equity: Sequence[float], closed: Sequence[PositionClosed], initial: float, drawdown: float
) -> dict[str, Any]:
    """Return Sharpe, Sortino, Calmar, volatility, profit factor, exposure as backtesting.py 0.6.6 has them.

    time_ns, equity : of each daily bar
    With g = (final / initial)^(1 / n) - 1 and v = var(r): annual A = (1 + g)^N - 1; volatility V = sqrt((v + (1 + g)^2)^N -
    (1 + g)^(2 N)); Sharpe A / V; Sortino A / (sqrt(N) * downside deviation); Calmar A / |maximum drawdown|.
    ddof: 1 in v, 0 in the downside deviation. Annualisation: compounded, as above. Source: backtesting.py 0.6.6 (bp-k13).

    >>> import numpy as np
    >>> from types import SimpleNamespace as Named
    >>> days = np.arange(366) * _DAY_NS  # with weekends, so N = 365: the 365 returns make one year
    >>> closed = [Named(opened_ns=0, time_ns=182 * _DAY_NS, return_fraction=0.5)]  # in 183 bars of 366
    >>> found = backtesting_statistics(days, [100.0] * 365 + [150.0], closed, 100.0, -0.25)
    >>> found["annual_return"], found["calmar"], found["exposure"]  # 150 / 100 - 1, 0.5 / 0.25, 183 / 366
    (0.5, 2.0, 0.5)
    """
    returns = stats.returns_of(list(equity[1:]), equity[0])
    periods = _periods(time_ns)
    growth = _power(equity[-1] / equity[0], Decimal(1) / Decimal(len(returns)))
    annual = float(_power(growth, Decimal(periods)) - 1)
    spread = stats.variance(returns) or 0.0
    square = _EXACT.multiply(growth, growth)
    volatility = math.sqrt(float(_power(Decimal(spread) + square, Decimal(periods)) - _power(square, Decimal(periods))))
    downside = math.sqrt(periods) * (stats.downside_deviation(returns) or 0.0)
    fractions = [event.return_fraction for event in closed if event.return_fraction is not None]
    return {
        "annual_return": annual,
        "volatility": volatility,
        "sharpe": annual / volatility if volatility > 0.0 else None,
        "sortino": annual / downside if downside > 0.0 else None,
        "calmar": annual / -drawdown if drawdown < 0.0 else None,
        "profit_factor": stats.profit_factor(fractions),
        "exposure": _exposure(time_ns, closed),
    }


def _periods(time_ns: TimeArray) -> int:
    weekdays = (time_ns // _DAY_NS + _THURSDAY) % 7
    return 365 if bool((weekdays >= _SATURDAY).any()) else 252


def _power(base: float | Decimal, exponent: Decimal) -> Decimal:
    return _EXACT.power(Decimal(base), exponent)


def _exposure(time_ns: TimeArray, closed: Sequence[PositionClosed]) -> float:
    """Return bars from entry through exit / all bars; a bar of two trades counts once."""
    held = [False] * len(time_ns)
    place = {int(time): number for number, time in enumerate(time_ns.tolist())}
    for event in closed:
        for number in range(place[event.opened_ns], place[event.time_ns] + 1):
            held[number] = True
    return held.count(True) / len(held)
