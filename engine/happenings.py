"""This module finds out beforehand at which steps something is due besides trading, for the kernels in kernels/due.py.

An action of a symbol is applied when that symbol's first bar at or after the action's time begins (a delisting: when any
symbol's does), so that prices and quantities change together. What lies before a symbol's first bar in the run, or after the
last one, does not happen in it. Splits and dividends are left out where they are in the prices already.
"""

from collections.abc import Iterator

import numpy as np

from engine.errors import ParametersError, UnknownSymbolError
from engine.kernels import codes
from engine.kernels.records import HAPPENING, Records
from schemas.actions import ActionKind, CorporateAction, RateKind, RateSeries
from schemas.market_data import Market, TimeArray
from schemas.times import format_time

DAY_NS = 86_400_000_000_000
NO_SYMBOL = -1

# What one step applies, in its order: the cost of the days before it, then a borrow rate that holds from it on.
_RANKS = {codes.DUE_BORROW: 0, codes.DUE_BORROW_RATE: 1, codes.DUE_FUNDING: 2}
_ACTION_RANK = 3  # actions keep the order of their file

_Due = tuple[int, int, int, float, int]  # step, kind, symbol, value, other


def happenings_of(market: Market, times: TimeArray) -> Records:
    """Return all that is due, in the order in which it is applied.

    Raises UnknownSymbolError for a successor that the run does not have, ParametersError for one that is another kind of
    contract, or for a split or dividend of a contract that has none.
    """
    places = {bars.symbol: place for place, bars in enumerate(market.bars)}
    found: list[_Due] = [*_borrowing(market, places, times)]
    for series in market.rates:
        if series.kind is RateKind.FUNDING and series.name in places:
            found += _funding(market, series, places[series.name], times)
    for action in market.actions:
        if action.symbol in places:
            found += _action(market, action, places, times)
    found.sort(key=lambda due: (due[0], _RANKS.get(due[1], _ACTION_RANK)))
    return np.array(found, dtype=HAPPENING)


def most_at_once(happenings: Records) -> int:
    """Return how many things are due at the step with the most of them."""
    if not len(happenings):
        return 0
    return int(np.unique(happenings["step"], return_counts=True)[1].max())


def _own_steps(market: Market, place: int, times: TimeArray, when: TimeArray) -> TimeArray:
    """Return the step of the symbol's first bar at or after each moment; -1 before or at its first bar, and after its last."""
    own = market.bars[place].time_ns
    rows = np.searchsorted(own, when, side="left")
    is_inside = (rows > 0) & (rows < len(own))
    steps = np.searchsorted(times, own[np.where(is_inside, rows, 0)], side="left") if len(own) else rows
    return np.where(is_inside, steps, -1)


def _action(market: Market, action: CorporateAction, places: dict[str, int], times: TimeArray) -> Iterator[_Due]:
    place = places[action.symbol]
    when = np.array([action.time_ns], dtype=np.int64)
    match action.kind:
        case ActionKind.DELISTING:
            step = int(np.searchsorted(times, action.time_ns, side="left"))
            own = market.bars[place].time_ns
            if step < len(times) and len(own) and own[0] < action.time_ns:
                yield step, codes.DUE_DELISTING, place, np.nan if action.value is None else action.value, 0
        case ActionKind.SYMBOL_CHANGE:
            yield from _symbol_change(market, action, places, times)
        case ActionKind.SPLIT | ActionKind.DIVIDEND if not market.adjusted:
            step = int(_own_steps(market, place, times, when)[0])
            if step >= 0:
                if market.instruments[place].contract == "inverse":
                    raise ParametersError(f"{action.symbol}: an inverse contract has no {action.kind}")
                assert action.value is not None, "checked when it was read"
                kind = codes.DUE_SPLIT if action.kind is ActionKind.SPLIT else codes.DUE_DIVIDEND
                yield step, kind, place, action.value, 0


def _symbol_change(market: Market, action: CorporateAction, places: dict[str, int], times: TimeArray) -> Iterator[_Due]:
    place = places[action.symbol]
    own = market.bars[place].time_ns
    if not len(own) or own[0] >= action.time_ns or action.time_ns > int(times[-1]):
        return
    successor = places.get(str(action.new_symbol))
    later = np.zeros(0, dtype=np.int64) if successor is None else market.bars[successor].time_ns
    row = int(np.searchsorted(later, action.time_ns, side="left"))
    if successor is None or row >= len(later):
        raise UnknownSymbolError(
            f"{action.symbol} goes on as {action.new_symbol} at {format_time(action.time_ns)}, and the run has no bars of "
            f"{action.new_symbol} from then on: name it in data.symbols, or end the run before"
        )
    for term in ("contract", "settlement", "currency", "multiplier"):
        before, after = (getattr(market.instruments[each], term) for each in (place, successor))
        if before != after:
            raise ParametersError(
                f"{action.symbol} goes on as {action.new_symbol}: both need the same {term}, not {before} and {after}"
            )
    yield int(np.searchsorted(times, later[row])), codes.DUE_SYMBOL_CHANGE, place, 0.0, successor


def _funding(market: Market, series: RateSeries, place: int, times: TimeArray) -> Iterator[_Due]:
    steps = _own_steps(market, place, times, series.time_ns)
    for step, rate in zip(steps.tolist(), series.rate.tolist(), strict=True):
        if step >= 0:
            yield step, codes.DUE_FUNDING, place, rate, 0


def _borrowing(market: Market, places: dict[str, int], times: TimeArray) -> Iterator[_Due]:
    """Yield the first step of each UTC day with the days since the one before, and the steps at which rates change."""
    changes = [series for series in market.rates if series.kind is RateKind.BORROW and series.name in places]
    if not changes and not any(instrument.borrow_rate > 0.0 for instrument in market.instruments):
        return
    days = times // DAY_NS
    for step in (1 + np.flatnonzero(days[1:] != days[:-1])).tolist():
        yield step, codes.DUE_BORROW, NO_SYMBOL, 0.0, int(days[step] - days[step - 1])
    for series in changes:
        steps = np.searchsorted(times, series.time_ns, side="left")
        for step, rate in zip(steps.tolist(), series.rate.tolist(), strict=True):
            if step < len(times):
                yield step, codes.DUE_BORROW_RATE, places[series.name], rate, 0
