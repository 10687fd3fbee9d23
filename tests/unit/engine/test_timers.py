"""Timers call back on the run's time line: once, or again and again, the same in every run."""

from math import nan
from typing import Any

import pytest

from engine.errors import StrategyError
from engine.strategy import Strategy, crossed, crossed_above, crossed_below
from schemas.events import OrderFilled
from tests.unit.engine.factories import MINUTE_NS, START_NS, events_of, flat, make_bars, make_market, make_spec, run, run_commits

PRICES = flat(*[float(n) for n in range(1, 31)])


def minute(strategy: Strategy) -> int:
    return (strategy.time_ns - START_NS) // MINUTE_NS


@pytest.mark.parametrize("speaks", [True, False])
def test_every_calls_at_the_close_of_the_bar_that_reaches_a_whole_period(speaks: bool) -> None:
    """Every 10 minutes on minutes 0 … 29: at the closes of minutes 9, 19 and 29; with or without an on_bar."""
    calls = []

    class Clock(Strategy):
        def on_start(self) -> None:
            self.every("10m", lambda: calls.append(("timer", minute(self))))

    class Speaking(Clock):
        def on_bar(self) -> None:
            if minute(self) in (9, 10):
                calls.append(("bar", minute(self)))

    run(make_market(make_bars(PRICES)), Speaking if speaks else Clock)
    bars = [("bar", 9), ("bar", 10)] if speaks else []
    assert calls == [("timer", 9), *bars, ("timer", 19), ("timer", 29)]


def test_a_gap_makes_a_timer_due_once() -> None:
    """Minutes 0, 1, 35, 36: the periods that end at 10, 20, 30 are told of once, at minute 35."""
    calls = []

    class Clock(Strategy):
        def on_start(self) -> None:
            self.every("10m", lambda: calls.append(minute(self)))

    run(make_market(make_bars(PRICES[:5], times=[0, 1, 35, 36, 39])), Clock)
    assert calls == [35, 39]


def test_at_calls_once_also_when_set_inside_a_callback() -> None:
    """Minute 7 ends at 0:08; one set in that call for the past is due at the next bar; a cancelled one never is."""
    calls = []

    class Clock(Strategy):
        def on_start(self) -> None:
            self.at("2024-01-01T00:10:00Z", lambda: calls.append(("third", minute(self))))
            self.at("2024-01-01T00:08:00Z", self.first)
            self.at(START_NS + 20 * MINUTE_NS, lambda: calls.append(("never", minute(self)))).cancel()

        def first(self) -> None:
            calls.append(("first", minute(self)))
            self.at("2024-01-01", lambda: calls.append(("past", minute(self))))

    run(make_market(make_bars(PRICES)), Clock)
    assert calls == [("first", 7), ("past", 8), ("third", 9)]


def test_a_timer_may_be_set_in_any_callback_and_send_orders() -> None:
    """Set in on_fill of minute 3 for 0:13: the call in minute 12 sells at the open of minute 13, price 14."""

    class Hold(Strategy):
        def on_bar(self) -> None:
            if self.step == 2:
                self.buy(1)

        def on_fill(self, fill: Any) -> None:
            if fill.side == "buy":
                self.at(self.time_ns + 10 * MINUTE_NS, self.close)

    events = run(make_market(make_bars(PRICES)), Hold)
    fills = [(event.price, (event.time_ns - START_NS) // MINUTE_NS) for event in events if isinstance(event, OrderFilled)]
    assert fills == [(4.0, 3), (14.0, 13)]


def test_timers_run_across_blocks_and_give_the_same_bytes_again() -> None:
    """10,000 minutes are three blocks; two runs are the same commits."""

    class Rebalance(Strategy):
        def on_start(self) -> None:
            self.every("1h", self.turn)

        def turn(self) -> None:
            self.target(fraction=0.5 if self.random.random() < 0.5 else 0.0)

    market = make_market(make_bars(flat(*[100.0 + n % 7 for n in range(10_000)])))
    first, second = (run_commits(market, make_spec(market), Rebalance) for _ in range(2))
    assert [commit.body for commit in first] == [commit.body for commit in second]
    fills = [event for event in events_of(first) if isinstance(event, OrderFilled)]
    assert len(fills) > 30
    assert {(fill.time_ns - START_NS) // MINUTE_NS % 60 for fill in fills} == {0}


def test_what_is_no_function_and_no_time_is_refused() -> None:
    """The strategy's error says so."""

    class Wrong(Strategy):
        def on_start(self) -> None:
            self.every("1h", None)  # type: ignore[arg-type]

    class Untimely(Strategy):
        def on_start(self) -> None:
            self.at("noon", self.on_bar)

    market = make_market(make_bars(PRICES))
    with pytest.raises(StrategyError, match="calls a function or a method"):
        run(market, Wrong)
    with pytest.raises(StrategyError, match="RFC 3339"):
        run(market, Untimely)


def test_crossings_take_a_level_as_well_as_a_series() -> None:
    """1, 2, 3 crosses 2.5 upwards with its last value; 3, 2 crosses 2.5 downwards."""
    assert crossed_above([1.0, 2.0, 3.0], 2.5)
    assert not crossed_above([1.0, 2.6, 3.0], 2.5)
    assert crossed_below([3.0, 2.0], 2.5)
    assert not crossed_below([2.0], 2.5)


@pytest.mark.parametrize("second", [[2.0, 2.0], [2.0, 1.0], [1.0, 3.0], [nan, 2.0], [2.0, nan], [2.0]], ids=str)
@pytest.mark.parametrize("first", [[1.0, 3.0], [3.0, 1.0], [2.0, 3.0], [2.0, 2.0], [3.0, 3.0], [nan, 3.0], [2.0]], ids=str)
def test_one_call_says_what_both_crossings_say(first: list[float], second: list[float]) -> None:
    """1 where it rises above, -1 where it falls below, 0 elsewhere."""
    assert crossed(first, second) == crossed_above(first, second) - crossed_below(first, second)
    assert crossed(first, 2.0) == crossed_above(first, 2.0) - crossed_below(first, 2.0)


def test_the_bars_time_is_a_datetime_too() -> None:
    """Minute 3 of 2024 begins at 0:03 UTC."""
    seen = []

    class Watcher(Strategy):
        def on_bar(self) -> None:
            seen.append(self.time.isoformat())

    run(make_market(make_bars(PRICES[:4])), Watcher)
    assert seen[3] == "2024-01-01T00:03:00+00:00"
