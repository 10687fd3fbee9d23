"""This module proves that a strategy does not look ahead: it is run again on data that ends earlier.

What a strategy does up to a bar must follow from the bars up to it. So a run on truncated data must give the same events up
to the cut. The built-in view ends at the current bar anyway; what this finds is ``prepare`` computing with later values.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.market import merged_times
from engine.simulation import simulate
from engine.strategy import Strategy
from engine.timeline import equity_every, select
from schemas.commit import Head, decode_commit
from schemas.events import (
    AnyEvent,
    BacktestCompleted,
    BacktestProgressed,
    EquityMarked,
    OrderCancelled,
    OrderEnd,
    OrderSubmitted,
    OrderType,
    PositionMarked,
    TimeInForce,
)
from schemas.ids import BacktestId, Digest
from schemas.market_data import Market, TimeArray
from schemas.spec import BacktestSpec

DAY_NS = 86_400_000_000_000
DEFAULT_CUTS = 4


@dataclass(frozen=True, slots=True)
class LookAhead:
    """The first event that depends on data after it. ``cut`` is the number of bars that the shorter run saw."""

    cut: int
    time_ns: int
    whole: str  # what the run on all data did there; empty: nothing
    truncated: str


def find_lookahead(spec: BacktestSpec, market: Market, strategy: type[Strategy], cuts: int = DEFAULT_CUTS) -> LookAhead | None:
    """Compare the run on all data with runs on its first parts, evenly spaced. Return the first difference, None if none."""
    market = select(spec, market)
    times = merged_times(market)
    recording = spec.recording.model_copy(update={"orders": True, "equity_every": equity_every(spec, len(times))})
    spec = spec.model_copy(update={"recording": recording})
    whole = list(_events(spec, market, strategy))
    for number in range(1, cuts + 1):
        count = len(times) * number // (cuts + 1)
        if count < 1:
            continue
        end = int(times[count - 1]) + 1
        shorter = replace(market, bars=tuple(bars.between(None, end) for bars in market.bars))
        # Orders of the last bar's close may fill only later: both runs are compared up to it, what was sent there included.
        # Unless it ends a day: the shorter run can't know that, and its orders for the day's end stay open.
        if _ends_day(times, count) and any(_is_for_the_day(event) for event in whole):
            end -= 1
        expected = [event for event in whole if event.time_ns < end]
        actual = [event for event in _events(spec, shorter, strategy) if event.time_ns < end]
        difference = _first_difference(expected, actual, count)
        if difference is not None:
            return difference
    return None


def _ends_day(times: TimeArray, count: int) -> bool:
    return count < len(times) and int(times[count]) // DAY_NS != int(times[count - 1]) // DAY_NS


def _is_for_the_day(event: AnyEvent) -> bool:
    """Tell whether an order was sent that ends or fills with its day."""
    if not isinstance(event, OrderSubmitted):
        return False
    return event.time_in_force is TimeInForce.DAY or event.order_type is OrderType.MARKET_ON_CLOSE


def _events(spec: BacktestSpec, market: Market, strategy: type[Strategy]) -> Iterator[AnyEvent]:
    """Yield what happened, without what depends on where the data ends."""
    for commit in simulate(BacktestId("lookahead"), spec, Head(2, 2, Digest("0" * 64)), market, strategy):
        for event in decode_commit(commit.body).events:
            if isinstance(event, BacktestCompleted | BacktestProgressed | EquityMarked | PositionMarked):
                continue
            if isinstance(event, OrderCancelled) and event.reason is OrderEnd.END_OF_DATA:
                continue
            yield event


def _first_difference(whole: list[AnyEvent], truncated: list[AnyEvent], cut: int) -> LookAhead | None:
    for place in range(max(len(whole), len(truncated))):
        left = _text(whole[place]) if place < len(whole) else ""
        right = _text(truncated[place]) if place < len(truncated) else ""
        if left != right:
            event = whole[place] if place < len(whole) else truncated[place]
            return LookAhead(cut=cut, time_ns=event.time_ns, whole=left, truncated=right)
    return None


def _text(event: AnyEvent) -> str:
    """Describe an event without its number, which counts the events that were left out."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__ if name != "sequence"}
    return f"{type(event).__name__} {fields}"
