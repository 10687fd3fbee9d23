"""Tests of hedging: every order opens a lot of its own, or closes the one that it names."""

from typing import Any

import pytest

from engine.strategy import Order, Strategy
from schemas.events import (
    AnyEvent,
    OrderCancelled,
    OrderEnd,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PositionClosed,
    PositionMarked,
    PositionOpened,
    RejectReason,
)
from tests.unit.engine.factories import flat, make_bars, make_market, of, run

HEDGING = {"positions": "hedging"}
DAY = (100.0, 100.0, 101.0, 103.0, 99.0, 104.0)


def events_of(steps: dict[int, Any], prices: Any = None, **parts: Any) -> list[AnyEvent]:
    """Run a strategy that does ``steps[step](strategy)`` at each bar's close."""

    class Steps(Strategy):
        def on_start(self) -> None:
            self.kept: dict[str, Order] = {}

        def on_bar(self) -> None:
            if self.step in steps:
                steps[self.step](self)

    market = make_market(make_bars(flat(*DAY) if prices is None else prices))
    return run(market, Steps, account={**HEDGING, **parts.pop("account", {})}, **parts)


def test_lots_of_both_sides_stand_side_by_side() -> None:
    """Long 10 from 100, short 4 from 101: each is a position; equity follows both."""
    events = events_of({0: lambda s: s.buy(10), 1: lambda s: s.sell(4)})
    assert [(each.position_id, each.quantity) for each in of(events, PositionOpened)] == [(1, 10.0), (2, -4.0)]
    assert [(fill.position_id, fill.quantity) for fill in of(events, OrderFilled)] == [(1, 10.0), (2, 4.0)]
    assert not of(events, PositionClosed)
    first, second = of(events, PositionMarked)
    assert (first.unrealized_pnl, second.unrealized_pnl) == (40.0, -12.0)
    assert events[-1].final_equity == 100_028.0


def test_an_order_closes_the_lot_that_it_names() -> None:
    """Lot 1 is closed at 103, in two parts; lot 2 stays."""

    def part(strategy: Strategy) -> None:
        first = strategy.lots()[0]
        strategy.sell(4, position=first)

    events = events_of({0: lambda s: (s.buy(10), s.buy(5)), 1: part, 2: lambda s: s.close(position=1)})
    [closed] = of(events, PositionClosed)
    # 4 at 101 and 6 at 103 from 100: 4 + 18
    assert (closed.position_id, closed.quantity, closed.realized_pnl) == (1, 10.0, 22.0)
    assert [event.position_id for event in of(events, OrderSubmitted)] == [None, None, 1, 1]
    assert [mark.position_id for mark in of(events, PositionMarked)] == [2]


def test_what_names_no_open_lot_or_would_enlarge_one_is_refused() -> None:
    """Both reasons are of the closed list."""
    events = events_of({0: lambda s: s.buy(10), 1: lambda s: (s.sell(1, position=7), s.buy(1, position=1))})
    assert [event.reason for event in of(events, OrderRejected)] == [RejectReason.UNKNOWN_POSITION, RejectReason.REDUCE_ONLY]


def test_a_bracket_belongs_to_its_own_lot() -> None:
    """Two entries with brackets: the stop at 99.5 of the second closes the second, the target at 102 of the first the first."""

    def enter(strategy: Strategy) -> None:
        strategy.buy(10, take_profit=102.0, tag="first")
        strategy.buy(10, stop_loss=99.5, take_profit=110.0, tag="second")

    events = events_of({0: enter})
    assert [(each.position_id, each.average_close) for each in of(events, PositionClosed)] == [(1, 103.0), (2, 99.0)]
    ends = [event.reason for event in of(events, OrderCancelled)]
    assert ends == [OrderEnd.ONE_CANCELS_OTHER]


def test_what_would_close_a_closed_lot_ends_with_it() -> None:
    """The resting order that names lot 1 is cancelled when lot 1 is closed otherwise."""

    def rest(strategy: Strategy) -> None:
        strategy.sell(10, position=1, limit=200.0)

    events = events_of({0: lambda s: s.buy(10), 1: rest, 2: lambda s: s.close()})
    assert [event.reason for event in of(events, OrderCancelled)] == [OrderEnd.POSITION_CLOSED]


def test_the_strategy_sees_lots_and_their_net() -> None:
    """10 long and 4 short are a net of 6; closed lots are gone."""
    seen: list[tuple[float, list[float]]] = []

    def look(strategy: Strategy) -> None:
        seen.append((strategy.position.quantity, [lot.quantity for lot in strategy.lots()]))

    events_of({0: lambda s: s.buy(10), 1: lambda s: (look(s), s.sell(4)), 2: lambda s: (look(s), s.close()), 3: look})
    assert seen == [(10.0, [10.0]), (6.0, [10.0, -4.0]), (0.0, [])]


def test_one_order_is_one_lot_however_many_fills_it_has() -> None:
    """30 units at a quarter of 40: 10 a bar, all in lot 1."""
    rows = [(price, price, price, price, 40.0) for price in DAY]
    events = events_of({0: lambda s: s.buy(30)}, rows, execution={"volume_limit": 0.25})
    assert [fill.position_id for fill in of(events, OrderFilled)] == [1, 1, 1]
    assert len(of(events, PositionOpened)) == 1


def test_the_rest_of_an_order_whose_lot_was_closed_opens_another() -> None:
    """10 of 30 fill at 100 and are closed at 101; the other 20 fill at 99, as lot 2."""
    rows = [
        (price, price, price, price, volume) for price, volume in zip(DAY, (40.0, 40.0, 400.0, 400.0, 400.0, 400.0), strict=True)
    ]
    steps = {0: lambda s: s.buy(30, limit=100.0), 1: lambda s: s.close(position=1)}
    events = events_of(steps, rows, execution={"volume_limit": 0.25})
    assert [(opened.position_id, opened.quantity) for opened in of(events, PositionOpened)] == [(1, 10.0), (2, 20.0)]
    assert [fill.position_id for fill in of(events, OrderFilled)] == [1, 1, 2]
    assert of(events, PositionClosed)[0].realized_pnl == 10.0


def test_many_lots_find_room() -> None:
    """Three hundred lots, half of them closed again and their places used anew."""

    class Many(Strategy):
        def on_bar(self) -> None:
            if self.step % 2 == 0:
                for _ in range(30):
                    self.buy(1)
            else:
                for lot in self.lots()[:15]:
                    self.close(position=lot)

    events = run(make_market(make_bars(flat(*range(100, 121)))), Many, account=HEDGING)
    opened, closed = of(events, PositionOpened), of(events, PositionClosed)
    assert (len(opened), len(closed)) == (300, 150)
    assert len(of(events, PositionMarked)) == 150
    realized, unrealized = (
        sum(each.realized_pnl for each in closed),
        sum(each.unrealized_pnl for each in of(events, PositionMarked)),
    )
    assert events[-1].final_equity == 100_000.0 + realized + unrealized


def test_a_target_needs_netting() -> None:
    """And netting knows no lots."""
    with pytest.raises(Exception, match=r"a target needs account\.positions netting"):
        events_of({0: lambda s: s.target(quantity=1)})
    with pytest.raises(Exception, match=r"an order names a position only with account\.positions hedging"):
        events_of({0: lambda s: s.buy(1, position=1)}, account={"positions": "netting"})


def test_margin_counts_lots_of_both_sides() -> None:
    """600 long and 600 short at 100 are 120,000 of exposure: more than 100,000 carry at leverage 1."""
    events = events_of({0: lambda s: s.buy(600), 1: lambda s: s.sell(600)})
    assert len(of(events, PositionOpened)) == 1
    assert of(events, OrderCancelled)[0].reason is OrderEnd.INSUFFICIENT_MARGIN
