"""The same rules as arrays and as callbacks give the same bytes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.arrays import ArrayStrategy, Signals, follow, signals_of
from engine.simulation import run_ahead
from engine.strategy import Data, Strategy
from schemas.events import OrderFilled
from schemas.ids import BacktestId
from tests.property.test_accounting import price, random_execution, random_rows
from tests.unit.engine.factories import HEAD, events_of, make_bars, make_market, make_spec, of, run_commits
from tests.unit.engine.recipes import walk

NAN = float("nan")


@st.composite
def random_signals(draw: st.DrawFn, bars: int) -> Signals:
    """Draw signals of any kind, rare and frequent."""

    def column(values: st.SearchStrategy[Any]) -> Any:
        return np.array(draw(st.lists(values, min_size=bars, max_size=bars)))

    def perhaps(values: st.SearchStrategy[Any]) -> Any:
        return column(st.one_of(st.just(NAN), st.just(NAN), values)) if draw(st.booleans()) else None

    rarely = st.integers(0, 4).map(lambda number: number == 0)
    return Signals(
        exits=column(rarely) if draw(st.booleans()) else None,
        target=perhaps(st.sampled_from([-0.5, 0.0, 0.25, 1.0])),
        entries=column(rarely),
        short_entries=column(rarely) if draw(st.booleans()) else None,
        size=draw(st.sampled_from([0.1, 0.5, 1.0])),
        limit=perhaps(price()),
        stop=perhaps(price()),
        stop_loss=perhaps(price()),
        take_profit=perhaps(price()),
    )


def strategies_of(signals: dict[str, Signals]) -> tuple[type[Strategy], type[Strategy]]:
    """Return both ways to write the strategy that follows these signals."""

    class Arrays(ArrayStrategy):
        def signals(self, data: Data) -> dict[str, Signals]:
            return signals

    class Callbacks(Strategy):
        def prepare(self, data: Data) -> None:
            self.told = {
                (symbol, int(data[symbol].time_ns[row])): signal
                for symbol in data.symbols
                for row, signal in signals_of(symbol, signals[symbol], len(data[symbol]))
            }

        def on_bar(self) -> None:
            for symbol in self.symbols:
                if (symbol, self.time_ns) in self.told:
                    follow(self, self.told[symbol, self.time_ns])

    return Arrays, Callbacks


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_arrays_and_callbacks_give_the_same_bytes(data: st.DataObject) -> None:
    """One symbol or two with gaps, under any policies, across windows of the look-ahead for busy steps."""
    count = data.draw(st.integers(1, 40))
    bars = [make_bars(data.draw(random_rows(count)), symbol="X")]
    if data.draw(st.booleans()):
        places = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
        bars.append(make_bars(data.draw(random_rows(len(places))), symbol="Y", times=places))
    market = make_market(*bars)
    signals = {each.symbol: data.draw(random_signals(len(each))) for each in bars}
    account = data.draw(st.sampled_from([{}, {"leverage": 3.0, "maintenance_margin": 0.2}, {"type": "cash"}]))
    spec = make_spec(market, execution=data.draw(random_execution()), account=account)
    arrays, callbacks = (run_commits(market, spec, each) for each in strategies_of(signals))
    assert [commit.body for commit in arrays] == [commit.body for commit in callbacks]


@pytest.mark.parametrize("policies", [{}, {"market_fill": "same_close", "latency_bars": 2, "volume_limit": 0.5}])
def test_arrays_and_callbacks_give_the_same_bytes_over_many_blocks(policies: dict[str, Any]) -> None:
    """Long enough for marks and progress of several blocks, and for orders that rest over their ends."""
    bars = [walk(9_000), walk(9_000, "Y", 2)]
    market = make_market(*bars)
    signals = {}
    for each, every in zip(bars, (37, 101), strict=True):
        row = np.arange(len(each))
        signals[each.symbol] = Signals(
            exits=row % every == every - 5,
            entries=row % every == 3,
            short_entries=row % every == every // 2,
            target=np.where(row % 997 == 0, 0.3, np.nan),
            size=0.4,
            limit=np.where(row % 2 == 0, each.close * 0.99, np.nan),
            stop_loss=np.where(row % 3 == 0, each.close * 0.97, np.nan),
            take_profit=np.where(row % 5 == 0, each.close * 1.04, np.nan),
        )
    spec = make_spec(market, execution=policies, account={"cash": 1e6, "leverage": 2.0})
    arrays, callbacks = (run_commits(market, spec, each) for each in strategies_of(signals))
    assert [commit.body for commit in arrays] == [commit.body for commit in callbacks]
    events = of(events_of(arrays), OrderFilled)
    assert len(events) > 500


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_the_log_that_is_made_later_is_the_same(data: st.DataObject) -> None:
    """Columns that a run without a log keeps make the log, and the statistics, of a run with one."""
    bars = make_bars(data.draw(random_rows(30)), symbol="X")
    market = make_market(bars)
    arrays, _ = strategies_of({"X": data.draw(random_signals(30))})
    spec = make_spec(market, execution=data.draw(random_execution()))
    outcome = run_ahead(BacktestId("test"), spec, HEAD, market, arrays)
    assert outcome is not None
    expected = run_commits(market, spec, arrays)
    assert outcome.summary.as_recorded() == events_of(expected)[-1].statistics  # type: ignore[union-attr]
    assert [commit.body for commit in outcome.commits()] == [commit.body for commit in expected]
