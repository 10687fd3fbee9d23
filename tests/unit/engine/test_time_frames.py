"""Slower bars show when they are complete; the warm-up fills the series; bars are made by time, volume and value."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.errors import ParametersError, StrategyError
from engine.resample import by_time, resampled
from engine.strategy import Data, Strategy
from engine.timeline import scene_of
from schemas.errors import FieldError
from schemas.events import OrderFilled
from schemas.market_data import Bars
from schemas.spec import VolumeResample, parse_spec
from tests.unit.engine.factories import MINUTE_NS, START_NS, flat, make_bars, make_market, make_spec, run
from tests.unit.engine.recipes import HOUR_NS, walk

DAY_NS = 24 * HOUR_NS


def data_of(market: Any, **fields: Any) -> dict[str, Any]:
    symbols = [bars.symbol for bars in market.bars]
    return {"dataset": "test", "symbols": symbols, "timeframe": market.bars[0].timeframe, **fields}


def minutes(count: int, symbol: str = "X", places: list[int] | None = None) -> Bars:
    """Bars of one minute at 1, 2, 3 …, each one unit high, volume 10."""
    rows = [(float(n), float(n) + 0.5, float(n) - 0.5, float(n), 10.0) for n in range(1, count + 1)]
    return make_bars(rows, symbol=symbol, times=places)


def test_a_slower_bar_shows_when_it_is_complete() -> None:
    """Minutes 0 to 11 and a frame of 5 minutes: the bar 0-4 shows from minute 4 on, the bar 5-9 from minute 9, 10-14 never."""
    seen = []

    class Watcher(Strategy):
        def on_bar(self) -> None:
            frame = self.bars.frame("5m")
            seen.append((list(frame.close), frame.count, frame.is_new))

    market = make_market(minutes(12))
    run(market, Watcher, data=data_of(market, frames=["5m"]))
    assert seen[:4] == [([], 0, False)] * 4
    assert seen[4] == ([5.0], 1, True)
    assert seen[5:9] == [([5.0], 1, False)] * 4
    assert seen[9] == ([5.0, 10.0], 2, True)
    assert seen[11] == ([5.0, 10.0], 2, False)


def test_a_frame_holds_open_high_low_close_volume_and_start() -> None:
    """Minutes 5 to 9 close at 6 … 10: open 6, high 10.5, low 5.5, close 10, volume 5 * 10, start at minute 5."""
    rows: list[Any] = []

    class Watcher(Strategy):
        def on_bar(self) -> None:
            frame = self.bars["X"].frame("5m")
            if frame.count == 2 and not rows:
                columns = (frame.open, frame.high, frame.low, frame.close, frame.volume, frame.time_ns)
                rows.extend(column[-1] for column in columns)

    market = make_market(minutes(12))
    run(market, Watcher, data=data_of(market, frames=["5m"]))
    assert rows == [6.0, 10.5, 5.5, 10.0, 50.0, START_NS + 5 * MINUTE_NS]


def test_a_gap_shows_a_bar_late_and_never_early() -> None:
    """Without a bar at minute 4 the bar 0-4 shows with minute 7, together with nothing of the bar it lies in."""
    seen = []

    class Watcher(Strategy):
        def on_bar(self) -> None:
            seen.append(list(self.bars.frame("5m").close))

    market = make_market(minutes(5, places=[0, 1, 2, 7, 8]))
    run(market, Watcher, data=data_of(market, frames=["5m"]))
    assert seen == [[], [], [], [3.0], [3.0]]


def test_another_symbols_bar_completes_a_frame_too() -> None:
    """Time is one for all symbols: Y's minute 4 tells that X's bar 0-4 is over."""
    seen = {}

    class Watcher(Strategy):
        def on_bar(self) -> None:
            seen[(self.time_ns - START_NS) // MINUTE_NS] = list(self.bars["X"].frame("5m").close)

    market = make_market(minutes(3, places=[0, 1, 2]), minutes(6, "Y"))
    run(market, Watcher, data=data_of(market, frames=["5m"]))
    assert seen == {0: [], 1: [], 2: [], 3: [], 4: [3.0], 5: [3.0]}


def test_the_data_sets_own_frame_is_taken_before_one_is_made() -> None:
    """A frame that the market brings is shown as it is; a finer one than the run's as well, several bars at once."""
    seen = []

    class Watcher(Strategy):
        def on_bar(self) -> None:
            seen.append((list(self.bars.frame("5m").close), list(self.bars.frame("30s").close)))

    own = make_bars(flat(77.0, 78.0), step_ns=5 * MINUTE_NS, timeframe="5m")
    fine = make_bars(flat(*[float(n) for n in range(24)]), step_ns=MINUTE_NS // 2, timeframe="30s")
    market = replace(make_market(minutes(6)), frames=(own, fine))
    run(market, Watcher, data=data_of(market, frames=["5m", "30s"]))
    assert seen[3] == ([], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert seen[4][0] == [77.0]


def test_prepare_sees_frames_and_their_indicators_show_bar_by_bar() -> None:
    """An indicator of a frame has one value for each complete bar of it."""
    seen = []

    class Doubler(Strategy):
        def prepare(self, data: Data) -> None:
            assert len(data.frame("5m").close) == 2  # the bar 10-14 is not complete at the data's end
            assert data["X"].frame("5m").timeframe == "5m"
            self.double = self.indicator(data.frame("5m").close * 2, frame="5m")

        def on_bar(self) -> None:
            seen.append(list(self.double))

    market = make_market(minutes(12))
    run(market, Doubler, data=data_of(market, frames=["5m"]))
    assert (seen[3], seen[4], seen[9]) == ([], [10.0], [10.0, 20.0])


def test_an_unknown_frame_is_named_with_those_there_are() -> None:
    """So is one that can't be made of the bars that are read."""

    class Asker(Strategy):
        def on_bar(self) -> None:
            self.bars.frame("1h")

    market = make_market(minutes(12))
    with pytest.raises(StrategyError, match=r"no time frame '1h'; data\.frames of its spec has 5m"):
        run(market, Asker, data=data_of(market, frames=["5m"]))
    with pytest.raises(ParametersError, match="has no 90s bars of X, and they can't be made of 1m"):
        run(market, Asker, data=data_of(market, frames=["90s"]))


@pytest.mark.parametrize(("timeframe", "starts"), [("1d", [0, 24]), ("1w", [0]), ("4h", [0, 4, 8, 12, 16, 20, 24])])
def test_bars_by_time_begin_on_the_grid(timeframe: str, starts: list[int]) -> None:
    """2024-01-01 was a Monday: 28 hours lie in two days, one week, seven times four hours."""
    frame = by_time(walk(28), timeframe, None)
    assert [(time - START_NS) // HOUR_NS for time in frame.bars.time_ns.tolist()] == starts
    assert frame.bars.timeframe == timeframe


def test_bars_by_volume_end_with_the_bar_that_fills_them() -> None:
    """Volumes 3, 4, 5, 1, 9, 2 and size 6: 3+4, 5+1, 9; the last 2 are no bar yet. A bar is stamped by its last part."""
    volumes = (3.0, 4.0, 5.0, 1.0, 9.0, 2.0)
    rows = [(float(n), float(n) + 1, float(n) - 1, float(n), volume) for n, volume in enumerate(volumes, 2)]
    made = resampled(make_bars(rows), VolumeResample(type="volume", size=6.0), None)
    assert made.volume.tolist() == [7.0, 6.0, 9.0]
    assert made.open.tolist() == [2.0, 4.0, 6.0]
    assert made.high.tolist() == [4.0, 6.0, 7.0]
    assert made.low.tolist() == [1.0, 3.0, 5.0]
    assert made.close.tolist() == [3.0, 5.0, 6.0]
    assert ((made.time_ns - START_NS) // MINUTE_NS).tolist() == [1, 3, 4]


def test_a_run_on_bars_by_value_fills_at_the_next_bars_open() -> None:
    """Bars of value 100 at price 10 and volume 5 hold two minutes each; an order of the first fills at the second's open."""

    class Once(Strategy):
        def on_bar(self) -> None:
            if self.step == 0:
                self.buy(1)

    market = make_market(make_bars([(10.0, 10.0, 10.0, 10.0, 5.0), (10.0, 10.0, 10.0, 10.0, 5.0), (11.0, 11.0, 9.0, 9.0, 20.0)]))
    events = run(market, Once, data=data_of(market, resample={"type": "value", "size": 100.0}))
    fills = [event for event in events if isinstance(event, OrderFilled)]
    assert [(fill.price, fill.time_ns) for fill in fills] == [(11.0, START_NS + 2 * MINUTE_NS)]


def test_a_resampled_run_trades_the_longer_bars() -> None:
    """12 minutes in bars of 5: two steps, the order of the first fills at 6, the open of the second."""

    class Once(Strategy):
        def on_bar(self) -> None:
            if self.step == 0:
                self.buy(1)

    market = make_market(minutes(12))
    events = run(market, Once, data=data_of(market, resample={"type": "time", "timeframe": "5m"}))
    assert [event.price for event in events if isinstance(event, OrderFilled)] == [6.0]
    assert events[-1].bars == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("places", [None, [n for n in range(30) if n % 5 != 2]])
def test_the_warm_up_fills_the_series_and_is_not_traded(places: list[int] | None) -> None:
    """20 bars, 6 of them warm-up: prepare sees 20, on_bar is called for 14, and its first step has 7 in its series."""
    seen = []

    class Watcher(Strategy):
        def prepare(self, data: Data) -> None:
            self.length = len(data.close)
            self.same = self.indicator(data.close)

        def on_start(self) -> None:
            self.before = list(self.bars.close)

        def on_bar(self) -> None:
            seen.append((self.step, len(self.bars.close), self.bars.close[-1] == self.same[-1]))

    count = 20 if places is None else len(places)
    other = [] if places is None else [minutes(30, "Y")]
    market = make_market(minutes(count, places=places), *other)
    events = run(market, Watcher, data=data_of(market, warmup=6))
    first = 7 if places is None else len([n for n in places if n <= 6])
    assert seen[0] == (0, first, True)
    assert len(seen) == events[-1].bars == (14 if places is None else 24)  # type: ignore[union-attr]
    assert all(same for _, _, same in seen)


def test_the_warm_up_lies_before_the_start_where_the_data_reaches_back() -> None:
    """Start at minute 10 with 4 bars of warm-up: minutes 6 to 9; with 15: the run begins after the first 15 bars."""
    market = make_market(minutes(20))
    start = "2024-01-01T00:10:00Z"
    short = scene_of(make_spec(market, data=data_of(market, start=start, warmup=4)), market).market
    assert ((short.bars[0].time_ns[0] - START_NS) // MINUTE_NS, (short.live_ns - START_NS) // MINUTE_NS) == (6, 10)  # type: ignore[operator]
    long = scene_of(make_spec(market, data=data_of(market, start=start, warmup=15)), market).market
    assert ((long.bars[0].time_ns[0] - START_NS) // MINUTE_NS, (long.live_ns - START_NS) // MINUTE_NS) == (0, 15)  # type: ignore[operator]


def test_a_symbol_with_bars_in_the_warm_up_only_trades_nothing() -> None:
    """Y's last bar lies in the warm-up: an order for it never fills, though its price is known; not in the first step either."""

    class Once(Strategy):
        def on_start(self) -> None:
            self.buy(1, symbol="Y")

        def on_bar(self) -> None:
            if self.step == 0:
                assert self.bars["Y"].close[-1] == 3.0
                self.buy(1, symbol="Y")

    market = make_market(minutes(20), minutes(3, "Y"))
    events = run(market, Once, data=data_of(market, warmup=5))
    assert not [event for event in events if isinstance(event, OrderFilled)]


@pytest.mark.parametrize(
    ("part", "fields", "words"),
    [
        ("data", {"resample": {"type": "time", "timeframe": "90s"}}, "90s is no multiple of 1m"),
        ("data", {"frames": ["1m"]}, "1m is the run's"),
        ("data", {"symbols": ["X", "Y"], "resample": {"type": "volume", "size": 5.0}}, "takes one symbol, not 2"),
        ("execution", {"detail_timeframe": "1m"}, "detail_timeframe 1m is not finer"),
    ],
)
def test_time_frames_that_do_not_fit_are_refused(part: str, fields: dict[str, Any], words: str) -> None:
    """The message names what is allowed."""
    document = {"data": {"dataset": "d", "symbols": ["X"], "timeframe": "1m"}, "strategy": {"name": "sma_cross"}}
    document[part] = {**document.get(part, {}), **fields}  # type: ignore[dict-item]
    with pytest.raises(FieldError, match=words):
        parse_spec(document)


def test_an_order_does_not_fill_in_a_bar_that_began_before_it_was_sent() -> None:
    """X has bars at 9:30 and 10:30, Y at 10:00 and 11:00, an hour each. X's first bar is over at 10:30: an order for Y that is
    sent then fills at 11:00, not at the open of 10:00."""

    class Once(Strategy):
        def on_bar(self) -> None:
            if self.step == 0:
                self.buy(1, symbol="Y")

    half = HOUR_NS // 2
    first = make_bars(flat(1.0, 2.0), step_ns=half, times=[19, 21], timeframe="1h")
    second = make_bars(flat(10.0, 11.0), symbol="Y", step_ns=half, times=[20, 22], timeframe="1h")
    fills = [event for event in run(make_market(first, second), Once) if isinstance(event, OrderFilled)]
    assert [(fill.price, fill.time_ns) for fill in fills] == [(11.0, START_NS + 22 * half)]


def test_frames_cost_no_series_that_is_not_looked_at() -> None:
    """A strategy that looks at no frame has no feed for one."""

    class Blind(Strategy):
        def on_end(self) -> None:
            assert len(self._broker.feeds) == 1

        def on_bar(self) -> None:
            _ = self.bars.close[-1]

    market = make_market(minutes(30))
    run(market, Blind, data=data_of(market, frames=["5m", "10m"]))


def test_whole_columns_are_out_of_reach_after_prepare() -> None:
    """A strategy that keeps ``data`` can't read the next bar from it, nor hide a column in a list."""

    class Keeper(Strategy):
        def prepare(self, data: Data) -> None:
            self.data = data

        def on_bar(self) -> None:
            _ = self.data.close[self.step + 1]

    class Hider(Strategy):
        def prepare(self, data: Data) -> None:
            self.hidden = {"close": [np.array(data.close)]}

    market = make_market(minutes(5))
    with pytest.raises(StrategyError, match="belong into prepare"):
        run(market, Keeper)
    with pytest.raises(StrategyError, match="hidden holds one value for every bar"):
        run(market, Hider)
