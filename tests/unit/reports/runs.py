"""This module makes small runs whose numbers can be checked by hand, for tests of reports."""

from typing import Any

import numpy as np

from projections.fold import RunTables, fold_run
from schemas.events import BacktestCompleted, EquityMarked, OrderFilled, PositionClosed, PositionOpened, Side
from schemas.market_data import Bars
from tests.factories import DAY_NS, FIRST_BAR_NS, Log, spec

STATISTICS: dict[str, Any] = {
    "initial_equity": 100_000.0, "final_equity": 101_234.5, "total_return": 0.012345, "cagr": None, "sharpe": 1.25, "trades": 2,
    "max_drawdown": -0.0321, "max_drawdown_trough_ns": FIRST_BAR_NS + 2 * DAY_NS, "a_new_one": 3.5,
}  # fmt: skip


def completed_run(trades: int = 2, *, backtest_id: str = "bt-1", marks: int = 90) -> RunTables:
    """Return a run with that many trades, one a day, alternately +100.25 and -50, and a mark for each of the days."""
    # Orders are not recorded here: the fills stand alone.
    log = Log(backtest_id, recorded=spec(recording={"orders": False})).accept().start(bars=marks)
    sequence = log.next
    events: list[Any] = []
    for trade in range(trades):
        at = {"time_ns": FIRST_BAR_NS + (trade % marks) * DAY_NS}
        pnl = 100.25 if trade % 2 == 0 else -50.0
        for side, fill in ((Side.BUY, 2 * trade + 1), (Side.SELL, 2 * trade + 2)):
            events.append(
                OrderFilled(
                    sequence=sequence + len(events), **at, fill_id=fill, order_id=fill, symbol="AAPL", side=side, quantity=10.0,
                    price=100.0 + fill % 7, commission=0.0, leaves_quantity=0.0,
                )
            )  # fmt: skip
            if side is Side.BUY:
                events.append(
                    PositionOpened(
                        sequence=sequence + len(events), **at, position_id=trade + 1, symbol="AAPL", quantity=10.0,
                        average_price=100.0, commission=0.0, realized_pnl=0.0,
                    )
                )  # fmt: skip
        events.append(
            PositionClosed(
                sequence=sequence + len(events), **at, position_id=trade + 1, symbol="AAPL", side=Side.BUY, quantity=10.0,
                average_price=100.0, average_close=100.0 + pnl / 10, commission=0.0, realized_pnl=pnl, gross_pnl=pnl,
                return_fraction=pnl / 1_000, opened_ns=at["time_ns"], bars_held=0, mae=-60.0, mfe=110.0,
            )
        )  # fmt: skip
    days = tuple(FIRST_BAR_NS + day * DAY_NS for day in range(marks))
    equity = tuple(100_000.0 + 10 * day * (-1) ** (day // 5) for day in range(marks))
    events.append(
        EquityMarked(
            sequence=sequence + len(events), time_ns=days[-1], times_ns=days, equity=equity, cash=equity,
            exposure=(5_000.0,) * marks, drawdown=(-0.01,) * marks,
        )
    )  # fmt: skip
    events.append(
        BacktestCompleted(
            sequence=sequence + len(events), time_ns=days[-1], bars=marks, orders=2 * trades, fills=2 * trades, trades=trades,
            final_equity=101_234.5, statistics={**STATISTICS, "trades": trades},
        )
    )  # fmt: skip
    for first in range(0, len(events), 500):
        log.append(*events[first : first + 500])
    return fold_run(log.bodies)


def daily_bars(count: int = 90, symbol: str = "AAPL") -> Bars:
    level = 100.0 + np.arange(count) % 11
    return Bars(
        symbol, "1d", FIRST_BAR_NS + np.arange(count) * DAY_NS, level, level + 2, level - 2, level + 0.5, np.full(count, 1e4)
    )
