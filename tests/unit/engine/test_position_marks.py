"""Tests of PositionMarked: what open positions are worth, at each progress report and at the end."""

import numpy as np

from engine.setup import BLOCK
from engine.strategy import Strategy
from schemas.events import AnyEvent, BacktestCompleted, BacktestProgressed, PositionMarked
from tests.unit.engine.factories import flat, make_bars, make_market, of, play, run


def test_the_end_marks_what_is_open_in_the_order_of_ids() -> None:
    """Y was bought first, X one bar later; both are marked at their last close, right before the end."""
    market = make_market(
        make_bars([(10, 10, 10, 10), (11, 11, 11, 11), (12, 15, 9, 14)]), make_bars(flat(20, 20, 21), symbol="Y")
    )
    events = play(market, [
        {"at": 0, "side": "buy", "symbol": "Y", "quantity": 5},
        {"at": 1, "side": "sell", "symbol": "X", "quantity": 2},
    ])  # fmt: skip
    first, second = of(events, PositionMarked)
    assert events[-3:-1] == [first, second]
    assert isinstance(events[-1], BacktestCompleted)
    assert (first.position_id, first.symbol, first.price, first.unrealized_pnl, first.bars_held) == (1, "Y", 21.0, 5.0, 1)
    # Sold 2 at 12: the bar went to 15 (-6) and to 9 (+6), and closed at 14 (-4).
    assert (second.position_id, second.symbol, second.unrealized_pnl, second.mae, second.mfe) == (2, "X", -4.0, -6.0, 6.0)


class BuyOnce(Strategy):
    """Buys at the first bar, holds."""

    def on_bar(self) -> None:
        if self.step == 0:
            self.buy(1)


def progress_events(falls_at: int) -> list[AnyEvent]:
    rows = np.full((2 * BLOCK + 10, 4), 100.0)
    rows[falls_at, 2] = 90.0
    return run(make_market(make_bars([tuple(row) for row in rows])), BuyOnce)


def test_a_progress_report_follows_the_marks_of_its_step() -> None:
    """The low of an earlier bar is in the excursion; that of the report's own bar comes with the next report."""
    events = progress_events(falls_at=BLOCK - 1)
    place = next(place for place, event in enumerate(events) if isinstance(event, BacktestProgressed))
    marked = events[place - 1]
    assert isinstance(marked, PositionMarked)
    assert marked.time_ns == events[place].time_ns
    assert (marked.mae, marked.bars_held) == (0.0, BLOCK - 2)
    later = of(events, PositionMarked)[1]
    assert (later.mae, later.bars_held) == (-10.0, 2 * BLOCK - 2)


def test_a_run_without_positions_marks_none() -> None:
    """Nothing is held, nothing is marked."""
    assert of(play(make_market(make_bars(flat(1, 2, 3))), []), PositionMarked) == []
