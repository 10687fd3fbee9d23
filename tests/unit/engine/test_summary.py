"""Tests of what BacktestCompleted says beside the single statistics: the benchmark's, months, symbols."""

import numpy as np
import pytest

from engine.errors import UnknownSymbolError
from engine.strategy import Strategy
from schemas.events import BacktestCompleted
from schemas.market_data import Bars
from tests.unit.engine.factories import flat, make_bars, make_market, of, play, run

DAY_NS = 86_400_000_000_000


class Hold(Strategy):
    """Buys ten at the first bar, holds."""

    def on_bar(self) -> None:
        if self.step == 0:
            self.buy(10)


def daily(*closes: float, symbol: str = "X", first: int = 0) -> Bars:
    """Return daily bars that do not move, from 2024-01-01 plus so many days on."""
    times = range(first, first + len(closes))
    return make_bars(flat(*closes), symbol=symbol, timeframe="1d", step_ns=DAY_NS, times=times)


def end_of(
    *bars: Bars, strategy: type[Strategy] = Hold, cash: float = 10_000.0, benchmark: str | None = None
) -> BacktestCompleted:
    """Run on the first symbol's bars and return the last event."""
    market = make_market(*bars)
    parts = {"statistics": {"benchmark": benchmark}, "data": {"dataset": "test", "symbols": ["X"], "timeframe": "1d"}}
    found: BacktestCompleted = of(run(market, strategy, account={"cash": cash}, **parts), BacktestCompleted)[0]
    return found


def test_months_hold_the_equity_of_their_last_bars() -> None:
    """40 days from 2024-01-01: January's last bar is the 31st, February's the last of the data."""
    closes = [100.0, *np.linspace(100.0, 139.0, 40).tolist()[1:]]
    end = end_of(daily(*closes))
    assert end.months == ("2024-01", "2024-02")
    # Bought 10 at the open of the second bar, 101.
    assert end.month_equity == (10_000.0 + 10 * (closes[30] - closes[1]), 10_000.0 + 10 * (closes[39] - closes[1]))
    assert end.month_equity[-1] == end.final_equity


def test_symbols_are_told_apart() -> None:
    """X gains 2 * 5 and loses 1; Y is never closed, and has no entry."""
    market = make_market(make_bars(flat(10, 10, 15, 15, 14, 14)), make_bars(flat(1, 1, 1, 1, 1, 1), symbol="Y"))
    events = play(market, [
        {"at": 0, "side": "buy", "symbol": "X", "quantity": 2},
        {"at": 0, "side": "buy", "symbol": "Y", "quantity": 2},
        {"at": 1, "side": "sell", "symbol": "X", "quantity": 2},
        {"at": 2, "side": "buy", "symbol": "X", "quantity": 1},
        {"at": 3, "side": "sell", "symbol": "X", "quantity": 1},
    ])  # fmt: skip
    assert of(events, BacktestCompleted)[0].by_symbol == {
        "X": {
            "trades": 2, "win_rate": 0.5, "profit_factor": 10.0, "realized_pnl": 9.0, "gross_pnl": 9.0, "commission": 0.0,
        }
    }  # fmt: skip


def test_a_run_that_holds_its_benchmark_alone_has_a_beta_of_its_leverage() -> None:
    """Fully invested from the second day on; cash is 1000 = 10 * 100, so both returns are equal from there."""
    closes = (100.0, 100.0, 110.0, 99.0, 105.0, 104.0)
    found = end_of(daily(*closes), daily(*closes, symbol="B"), cash=1_000.0, benchmark="B").statistics
    assert found["beta"] == pytest.approx(1.0)
    assert found["alpha"] == pytest.approx(0.0, abs=1e-12)
    assert found["tracking_error"] == pytest.approx(0.0, abs=1e-12)
    assert found["benchmark_return"] == pytest.approx(0.04)
    assert found["correlation"] == pytest.approx(1.0)


def test_a_benchmark_is_not_traded_nor_seen() -> None:
    """The strategy's symbols are those of the spec."""
    seen: list[tuple[str, ...]] = []

    class Look(Strategy):
        def on_start(self) -> None:
            seen.append(self.symbols)

    end_of(daily(1.0, 2.0), daily(1.0, 2.0, symbol="B"), strategy=Look, benchmark="B")
    assert seen == [("X",)]


def test_what_lies_before_the_benchmark_begins_is_left_out() -> None:
    """Its first bar is the third day: three returns of the six are compared, the first of them from its open."""
    late = daily(50, 55, 44, 44, symbol="B", first=2)
    found = end_of(daily(100, 100, 110, 99, 105, 104), late, benchmark="B").statistics
    assert found["benchmark_return"] == pytest.approx(44 / 50 - 1)


def test_without_a_benchmark_nothing_is_compared() -> None:
    found = end_of(daily(1.0, 2.0, 3.0)).statistics
    names = ("alpha", "beta", "tracking_error", "information_ratio", "treynor", "benchmark_return")
    assert [found[name] for name in names] == [None] * len(names)


def test_an_unknown_benchmark_is_named() -> None:
    with pytest.raises(UnknownSymbolError, match="NONE"):
        end_of(daily(1.0, 2.0), benchmark="NONE")
