"""This module defines what happens to instruments besides trading: corporate actions, and rates that change with time.

A data set holds them in two files: ``timestamp, symbol, action, value, new_symbol`` and ``timestamp, kind, name, rate``.
A time is the first moment at which the new state holds: a split's or a dividend's ex-date, the first moment under the new
symbol, the first moment without trading.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

ACTION_COLUMNS = ("timestamp", "symbol", "action", "value", "new_symbol")
RATE_COLUMNS = ("timestamp", "kind", "name", "rate")


class ActionKind(StrEnum):
    """What a corporate action does, and what its value is."""

    SPLIT = "split"  # new price / old price: 0.25 for four new shares for one, 20 for one new share for twenty
    DIVIDEND = "dividend"  # cash for a unit, in the instrument's currency
    SYMBOL_CHANGE = "symbol_change"  # no value; new_symbol
    DELISTING = "delisting"  # what a unit is worth, or nothing: the last close


class RateKind(StrEnum):
    """What a series of rates is for, and what its name is."""

    CONVERSION = "conversion"  # "EUR/USD": dollars for a euro
    FUNDING = "funding"  # a symbol: the share of a position's value that a long one pays at that time
    BORROW = "borrow"  # a symbol: the cost of a short position from that time on, a year


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """One action of one symbol."""

    time_ns: int
    symbol: str
    kind: ActionKind
    value: float | None = None
    new_symbol: str | None = None


@dataclass(frozen=True, slots=True)
class RateSeries:
    """Rates of one kind and name, ascending in time without repeats. A conversion or borrow rate holds until the next one."""

    kind: RateKind
    name: str
    time_ns: NDArray[np.int64]
    rate: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Side:
    """What a data set holds beside bars: actions by time (those of one time in the order they are applied in), and rates."""

    actions: tuple[CorporateAction, ...] = ()
    rates: tuple[RateSeries, ...] = ()


NO_SIDE = Side()


def problem_of(action: CorporateAction) -> tuple[str, str] | None:
    """Return the column and the rule that an action breaks, None for one that is as it must be."""
    value, kind = action.value, action.kind
    if kind is ActionKind.SYMBOL_CHANGE:
        if not action.new_symbol or action.new_symbol == action.symbol:
            return "new_symbol", "must be another symbol for a symbol_change"
        return ("value", "must be empty for a symbol_change") if value is not None else None
    if action.new_symbol is not None:
        return "new_symbol", f"must be empty for a {kind}"
    if kind is ActionKind.DELISTING:
        return ("value", "must be empty or a price, 0 or more") if value is not None and not 0.0 <= value < np.inf else None
    if value is None or not 0.0 < value < np.inf:
        return "value", f"must be above 0 for a {kind}"
    return None
