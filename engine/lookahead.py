"""This module proves that a strategy does not look ahead: it is run again on data that ends earlier.

What a strategy does up to a bar must follow from the bars up to it. So a run on truncated data must give the same events up
to the cut. The built-in view ends at the current bar anyway; what this finds is ``prepare`` computing with later values, in any
time frame. Half of the cuts are made right behind bars at whose close the strategy sent an order: there a glance at the next
bar shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from engine.errors import StrategyError
from engine.market import merged_times
from engine.simulation import simulate
from engine.strategy import Strategy
from engine.timeline import equity_every, scene_of
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
from schemas.times import timeframe_ns

DAY_NS = 86_400_000_000_000
DEFAULT_CUTS = 8


@dataclass(frozen=True, slots=True)
class LookAhead:
    """The first event that depends on data after it. ``cut`` is the number of bars that the shorter run saw."""

    cut: int
    time_ns: int
    whole: str  # what the run on all data did there; empty: nothing
    truncated: str


def find_lookahead(spec: BacktestSpec, market: Market, strategy: type[Strategy], cuts: int = DEFAULT_CUTS) -> LookAhead | None:
    """Compare the run on all data with runs on its first parts. Return the first difference, None if there is none.

    What the strategy raises on all data passes through; what it raises on less data only is a difference.
    """
    scene = scene_of(spec, market)
    line = merged_times(scene.market.bars, scene.market.live_ns)
    bars = scene.market.bars if scene.played is None else scene.played.bars
    times = merged_times(bars, scene.market.live_ns)
    recording = spec.recording.model_copy(update={"orders": True, "equity_every": equity_every(spec, len(line))})
    spec = spec.model_copy(update={"recording": recording})
    whole = list(_events(spec, market, strategy))
    for count in _cuts(times, whole, cuts):
        shorter = _shortened(spec, market, int(times[count - 1]))
        seen = scene_of(spec, shorter).market
        known = merged_times(seen.bars, seen.live_ns)
        end = int(known[-1]) + 1
        # Orders of the last bar's close may fill only later: both runs are compared up to it, what was sent there included.
        # Unless it ends a day: the shorter run can't know that, and its orders for the day's end stay open.
        if _ends_day(line, len(known)) and any(_is_for_the_day(event) for event in whole):
            end -= 1
        expected = [event for event in whole if event.time_ns < end]
        actual: list[AnyEvent] = []
        try:
            actual.extend(event for event in _events(spec, shorter, strategy) if event.time_ns < end)
        except StrategyError as error:
            return LookAhead(cut=count, time_ns=end - 1, whole="nothing raised", truncated=str(error))
        difference = _first_difference(expected, actual, count)
        if difference is not None:
            return difference
    return None


def _cuts(times: TimeArray, whole: list[AnyEvent], cuts: int) -> list[int]:
    """Return after how many bars to cut: evenly, and behind bars at whose close orders were sent, evenly among those."""
    evenly = {len(times) * number // (cuts // 2 + 1) for number in range(1, cuts // 2 + 1)}
    sent = sorted({event.time_ns for event in whole if isinstance(event, OrderSubmitted) and event.tag != "margin_call"})
    at_orders = np.unique(np.searchsorted(times, np.array(sent, dtype=np.int64), side="right"))
    wanted = cuts - len(evenly)
    picked = {int(at_orders[len(at_orders) * number // wanted]) for number in range(wanted)} if len(at_orders) else set()
    return sorted(count for count in evenly | picked if 1 <= count < len(times))


def _shortened(spec: BacktestSpec, market: Market, last_ns: int) -> Market:
    """Return the market up to the strategy's bar that begins at ``last_ns``, all of what lies in that bar included."""
    end = last_ns + 1
    resample, detail = spec.data.resample, spec.execution.detail_timeframe
    if resample is not None and resample.type == "time":
        end = last_ns + timeframe_ns(resample.timeframe)
    inside = end if detail is None else last_ns + timeframe_ns(spec.data.bar_timeframe)
    return replace(
        market,
        bars=tuple(bars.between(None, end) for bars in market.bars),
        frames=tuple(each.between(None, inside if each.timeframe == detail else end) for each in market.frames),
    )


def _ends_day(times: TimeArray, count: int) -> bool:
    return count < len(times) and int(times[count]) // DAY_NS != int(times[count - 1]) // DAY_NS


def _is_for_the_day(event: AnyEvent) -> bool:
    """Tell whether an order was sent that ends or fills with its day."""
    if not isinstance(event, OrderSubmitted):
        return False
    return event.time_in_force is TimeInForce.DAY or event.order_type is OrderType.MARKET_ON_CLOSE


def _events(spec: BacktestSpec, market: Market, strategy: type[Strategy]) -> Iterator[AnyEvent]:
    """Yield what happened, without what depends on where the data ends: marks, and orders that end there."""
    parents: dict[int, int | None] = {}
    ended: set[int | None] = set()  # orders that the end of the data has ended
    for commit in simulate(BacktestId("lookahead"), spec, Head(2, 2, Digest("0" * 64)), market, strategy):
        for event in decode_commit(commit.body).events:
            if isinstance(event, BacktestCompleted | BacktestProgressed | EquityMarked | PositionMarked):
                continue
            if isinstance(event, OrderSubmitted):
                parents[event.order_id] = event.parent_order_id
            if isinstance(event, OrderCancelled) and (
                event.reason is OrderEnd.END_OF_DATA
                or (event.reason is OrderEnd.PARENT_ENDED and parents[event.order_id] in ended)
            ):
                ended.add(event.order_id)
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
