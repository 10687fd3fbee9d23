"""This module runs the rules in this engine, with the preset of the engine that they are compared with."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.simulation import simulate
from engine.strategy import Strategy
from schemas.commit import Head, decode_commit
from schemas.events import BacktestCompleted, OrderFilled, Side
from schemas.ids import BacktestId, Digest
from schemas.market_data import Bars, Instrument, Market
from schemas.spec import parse_spec
from tests.differential import rules

Fill = tuple[int, int, float, float]  # time, side, quantity, price


def run_ours(path: Path, data: str, strategy: str, execution: dict[str, Any]) -> tuple[list[Fill], float]:
    """Return the fills, in their order, and the final equity."""
    frame = pd.read_parquet(path)
    timeframe = data.rsplit(".", 1)[1]
    times = frame["timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    columns = {name: np.ascontiguousarray(frame[name].to_numpy()) for name in ("open", "high", "low", "close")}
    bars = Bars(symbol="X", timeframe=timeframe, time_ns=times, volume=np.full(len(times), 1e9), **columns)
    # The others don't round: where prices come from a percentage, neither do we.
    grid = 0.0 if strategy == "trailing_stop" else rules.TICKS[data]
    market = Market(bars=(bars,), instruments=(Instrument(symbol="X", tick=grid, lot=1.0, calendar="always"),))
    spec = parse_spec(
        {
            "data": {"dataset": "differential", "symbols": ["X"], "timeframe": timeframe},
            "strategy": {"name": strategy},
            "account": {"cash": rules.CASH},
            "execution": execution,
        }
    )
    made = strategy_of(strategy, data, execution["preset"])
    events = [
        event
        for commit in simulate(BacktestId("differential"), spec, Head(2, 2, Digest("0" * 64)), market, made)
        for event in decode_commit(commit.body).events
    ]
    fills = [
        (event.time_ns, 1 if event.side is Side.BUY else -1, event.quantity, event.price)
        for event in events
        if isinstance(event, OrderFilled)
    ]
    completed = events[-1]
    assert isinstance(completed, BacktestCompleted)
    return fills, completed.final_equity


def strategy_of(name: str, data: str, preset: str) -> type[Strategy]:
    """Return the strategy for these rules, as a user of that engine would write it.

    backtrader and vectorbt have a trailing stop of their own; elsewhere the strategy moves a stop at each close. vectorbt sends
    at most one order in a bar: no entry where an exit has filled.
    """
    quantity, tick, trail = rules.QUANTITY[data], rules.TICKS[data], rules.trail(data)
    name_of_data = data
    one_order_a_bar = preset == "vectorbt"

    class Rules(Strategy):
        def prepare(self, data: Any) -> None:
            for column, values in rules.signals(name, data.close, name_of_data).items():
                setattr(self, column, self.indicator(np.asarray(values, dtype=np.float64)))

    class Signals(Rules):
        """Market orders, with exits attached where there are any."""

        filled_at = -1

        def on_fill(self, fill: Any) -> None:
            self.filled_at = self.step

        def on_bar(self) -> None:
            if one_order_a_bar and self.filled_at == self.step:
                return
            if self.position.is_open:
                if self.leave[-1]:
                    self.close()
            elif self.enter[-1] and not self.orders:
                stop, target = self.stop[-1], self.target[-1]
                exits = {} if stop != stop else {"stop_loss": stop, "take_profit": target}
                self.buy(quantity, **exits)

    class Reversal(Rules):
        """Long from one cross on, short from the other: twice the quantity turns the position over."""

        def on_bar(self) -> None:
            size = 2.0 * quantity if self.position.is_open else quantity
            if self.enter[-1]:
                self.buy(size)
            elif self.leave[-1]:
                self.sell(size)

    class LimitReversion(Rules):
        held = 0

        def on_bar(self) -> None:
            self.cancel_all()
            self.held = self.held + 1 if self.position.is_open else 0
            if self.position.is_open:
                if self.held == rules.HOLD_BARS:
                    self.close()
            elif self.enter[-1]:
                self.buy(quantity, limit=self.limit[-1])

    class TrailingStop(Rules):
        def on_bar(self) -> None:
            level = float(rules.on_grid(np.array([self.bars.close[-1] * (1.0 - trail)]), tick)[0])
            if self.position.is_open:
                if not self.orders:
                    self.sell(quantity, stop=level, reduce_only=True)
                elif level > self.orders[0].stop:
                    self.orders[0].modify(stop=level)
            elif self.enter[-1] and not self.orders:
                self.buy(quantity)

    class TrailFromFill(Rules):
        """A trailing stop that is sent when the entry has filled, as backtrader's notification does: from that bar's close."""

        def on_bar(self) -> None:
            if not self.position.is_open and self.enter[-1] and not self.orders:
                self.buy(quantity)

        def on_fill(self, fill: Any) -> None:
            if fill.side is Side.BUY:
                self.sell(quantity, trail_percent=100.0 * trail, reduce_only=True)

    class TrailAttached(Rules):
        """A trailing stop that is attached to the entry: from the entry's price."""

        filled_at = -1

        def on_bar(self) -> None:
            if self.filled_at != self.step and not self.position.is_open and self.enter[-1]:
                entry = self.buy(quantity)
                self.sell(quantity, trail_percent=100.0 * trail, parent=entry, reduce_only=True)

        def on_fill(self, fill: Any) -> None:
            self.filled_at = self.step

    if name == "trailing_stop":
        return {"backtrader": TrailFromFill, "vectorbt": TrailAttached}.get(preset, TrailingStop)
    return {"limit_reversion": LimitReversion, "sma_reversal": Reversal}.get(name, Signals)
