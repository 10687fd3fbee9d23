"""What a strategy sees and may do."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.errors import CurrencyError, NoDataError, ParametersError, StrategyError, UnknownSymbolError
from engine.registry import BUILTINS, card
from engine.simulation import simulate
from engine.strategies.indicators import highest, lowest, rsi, sma
from engine.strategies.sma_cross import SmaCross
from engine.strategy import Data, Fill, Order, Position, Strategy
from engine.timeline import started
from engine.version import code_digest
from schemas.commit import decode_commit
from schemas.events import BacktestCompleted, BacktestProgressed, OrderFilled, OrderRejected, OrderSubmitted, RejectReason
from schemas.ids import BacktestId
from schemas.market_data import Instrument, Market
from tests.unit.engine.factories import HEAD, MINUTE_NS, START_NS, flat, make_bars, make_market, make_spec, of, run

SEEN: list[Any] = []


class Watcher(Strategy):
    """Note what can be seen at each bar."""

    def prepare(self, data: Data) -> None:
        self.double = self.indicator(data.close * 2.0)

    def on_bar(self) -> None:
        SEEN.append((self.step, self.time_ns, list(self.bars.close), list(self.double), self.bars.time_ns[-1]))


def test_series_end_at_the_current_bar() -> None:
    """Every series is a list whose last value is now: there is no index of the future."""
    SEEN.clear()
    run(make_market(make_bars(flat(1.0, 2.0, 3.0))), Watcher)
    assert SEEN[0] == (0, START_NS, [1.0], [2.0], START_NS)
    assert SEEN[2] == (2, START_NS + 2 * MINUTE_NS, [1.0, 2.0, 3.0], [2.0, 4.0, 6.0], START_NS + 2 * MINUTE_NS)


class Keeper(Strategy):
    """Keep a whole column."""

    def prepare(self, data: Data) -> None:
        self.close_ahead = np.array(data.close)


def test_a_whole_column_as_an_attribute_is_refused() -> None:
    """It would show the future in on_bar; the message names the better way."""
    with pytest.raises(StrategyError, match=r"close_ahead holds one value for every bar: wrap it in self.indicator"):
        run(make_market(make_bars(flat(1.0, 2.0, 3.0))), Keeper)


class Writer(Strategy):
    """Try to change the data."""

    def prepare(self, data: Data) -> None:
        data.close[0] = 5.0


def test_market_data_cannot_be_written_to() -> None:
    """Columns are shared by runs and mapped from files."""
    with pytest.raises(StrategyError, match=r"ValueError in prepare at test_strategy\.py:.*read-only"):
        run(make_market(make_bars(flat(1.0, 2.0))), Writer)


class Faulty(Strategy):
    """Buy, then fail."""

    def on_bar(self) -> None:
        if self.step == 1:
            self.buy(1)
        if self.step == 3:
            raise LookupError("no such thing")


def test_what_happened_before_the_strategy_raised_is_in_the_log() -> None:
    """The commits come first, then the error with type, message and line."""
    market = make_market(make_bars(flat(1.0, 2.0, 3.0, 4.0, 5.0)))
    commits = simulate(BacktestId("test"), make_spec(market), HEAD, market, Faulty)
    first = next(commits)
    assert not first.is_terminal
    assert [type(event) for event in decode_commit(first.body).events][:2] == [OrderSubmitted, OrderFilled]
    with pytest.raises(StrategyError, match=r"^LookupError in on_bar at test_strategy.py:\d+: raise .*: no such thing$"):
        next(commits)


class Listener(Strategy):
    """Note every callback."""

    def on_bar(self) -> None:
        SEEN.append("bar")
        if self.step == 0:
            self.order = self.buy(2, stop_loss=1.0)
            SEEN.append(str(self.order.status))

    def on_order(self, order: Order) -> None:
        SEEN.append(f"order {order.id} {order.status}")

    def on_fill(self, fill: Fill) -> None:
        SEEN.append(f"fill {fill.quantity}@{fill.price} {self.position.quantity}")

    def on_position(self, position: Position) -> None:
        SEEN.append(f"position {position.quantity}")

    def on_end(self) -> None:
        SEEN.append(f"end {self.equity}")


def test_callbacks_come_in_the_order_of_what_happened_and_before_the_bar() -> None:
    """A fill in a bar is told before on_bar of that bar; an order is answered when its callback has returned."""
    SEEN.clear()
    run(make_market(make_bars(flat(10.0, 11.0))), Listener)
    assert SEEN == [
        "bar", "sent", "order 1 working", "order 2 working",
        "fill 2.0@11.0 2.0", "order 1 filled", "position 2.0", "bar", "end 100000.0", "order 2 cancelled",
    ]  # fmt: skip


class Stranger(Strategy):
    """Order what the run does not have."""

    def on_bar(self) -> None:
        if self.step == 0:
            assert not self.buy(1, symbol="NOPE").is_open
            self.buy(1)


def test_an_unknown_symbol_is_rejected_and_ids_go_on() -> None:
    """A refusal is an event like any other."""
    events = run(make_market(make_bars(flat(1.0, 2.0))), Stranger)
    [rejected] = of(events, OrderRejected)
    assert (rejected.order_id, rejected.reason) == (1, RejectReason.UNKNOWN_SYMBOL)
    assert [event.order_id for event in of(events, OrderFilled)] == [2]


class Dice(Strategy):
    """Note a throw."""

    def on_start(self) -> None:
        SEEN.append(self.random.random())


def test_chance_comes_from_the_seed_of_the_spec() -> None:
    """The same seed throws the same dice."""
    SEEN.clear()
    market = make_market(make_bars(flat(1.0)))
    for seed in (1, 1, 2):
        run(market, Dice, seed=seed)
    assert SEEN[0] == SEEN[1] != SEEN[2]


class Historian(Strategy):
    """Keep little history."""

    history = 10

    def on_bar(self) -> None:
        assert self.bars.close[-1] == float(self.step + 1)
        assert len(self.bars.close) >= min(self.step + 1, 10)
        SEEN[:] = [len(self.bars.close)]


def test_a_long_run_keeps_a_short_history_and_reports_progress() -> None:
    """Series drop old values from their front; progress comes by count of bars."""
    count = 10_000
    rows = [(level, level, level, level) for level in (float(place + 1) for place in range(count))]
    events = run(make_market(make_bars(rows)), Historian, recording={"equity_every": 5_000})
    assert SEEN[0] < count
    assert [event.bars_done for event in of(events, BacktestProgressed)] == [4_096, 8_192]
    assert of(events, BacktestCompleted)[0].bars == count


def test_parameters_are_checked() -> None:
    """A wrong parameter names field, value and what is allowed."""
    market = make_market(make_bars(flat(1.0)))
    with pytest.raises(ParametersError, match="fast: 0 is not allowed: Input should be greater than or equal to 1"):
        run(market, SmaCross, {"fast": 0})
    with pytest.raises(ParametersError, match="speed: 3 is not allowed: there is no such field"):
        run(market, SmaCross, {"speed": 3})


def test_a_range_without_bars_and_an_unknown_symbol_are_errors() -> None:
    """Both are known before the first commit."""
    market = make_market(make_bars(flat(1.0, 2.0)))
    data = {"dataset": "d", "timeframe": "1m"}
    with pytest.raises(NoDataError, match="no bars of X from 2025-01-01 to its end"):
        started(make_spec(market, data={**data, "symbols": ["X"], "start": "2025-01-01"}), market, 2)
    with pytest.raises(UnknownSymbolError, match="no 1m bars of Z"):
        started(make_spec(market, data={**data, "symbols": ["X", "Z"]}), market, 2)
    mixed = Market(bars=market.bars * 2, instruments=(Instrument(symbol="X"), Instrument(symbol="Y", currency="EUR")))
    mixed = replace(mixed, bars=(market.bars[0], replace(market.bars[0], symbol="Y")))
    with pytest.raises(CurrencyError, match="Y: paid in EUR, and data set memory has no conversion rates of EUR/USD"):
        started(make_spec(mixed), mixed, 2)
    event = started(make_spec(market, data={**data, "symbols": ["X"], "start": "2024-01-01T00:01:00Z"}), market, 2)
    assert (event.bars, event.first_bar_ns, event.equity_every) == (1, START_NS + MINUTE_NS, 1)


@pytest.mark.parametrize("name", BUILTINS)
def test_every_built_in_has_a_card(name: str) -> None:
    """Its schema describes every parameter, and its defaults follow the schema."""
    entry = card(BUILTINS[name], name)
    assert entry.summary.endswith(".")
    assert set(entry.defaults) <= set(entry.parameters["properties"])
    BUILTINS[name].Parameters.model_validate(entry.defaults)
    assert len(entry.code_digest) == len(code_digest()) == 64


def test_indicators() -> None:
    """Small tables that can be checked by hand."""
    values = np.array([1.0, 2.0, 3.0, 2.0])
    assert sma(values, 2).tolist()[1:] == [1.5, 2.5, 2.5]
    assert highest(values, 3).tolist()[2:] == [3.0, 3.0]
    assert lowest(values, 3).tolist()[2:] == [1.0, 2.0]
    assert rsi(values, 2).tolist()[2:] == [100.0, 50.0]  # gains 1, 1: all up; then (1*1+0)/2 up, (0*1+1)/2 down
    assert np.isnan(sma(values, 9)).all()


def test_series_show_the_same_however_few_values_lie_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two columns of ten bars, three values ready at a time instead of all: every bar sees its own last two closes and lows."""

    def seen() -> list[tuple[list[float], list[float]]]:
        shown = []

        class Watcher(Strategy):
            def on_bar(self) -> None:
                shown.append((self.bars.close[-2:], self.bars.low[-2:]))

        run(make_market(make_bars([(n + 2.0, n + 3.0, n + 1.0, n + 2.5) for n in range(10)])), Watcher)
        return shown

    whole = seen()
    monkeypatch.setattr("engine.series.VALUES_AT_ONCE", 3)
    assert seen() == whole
    assert whole[9] == ([10.5, 11.5], [9.0, 10.0])
