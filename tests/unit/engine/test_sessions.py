"""Where an instrument has sessions, they decide what a day is: for orders, frames, statistics."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from engine.lookahead import find_lookahead
from engine.market import lay_out, periods_per_year
from engine.resample import by_time
from engine.strategy import Strategy
from schemas.calendars import SessionTable, encoded_sessions
from schemas.events import BacktestCompleted, OrderCancelled, OrderExpired, OrderFilled
from schemas.market_data import Bars, Instrument, Market
from tests.unit.engine.factories import START_NS, make_bars, make_spec, run

HOUR_NS = 3_600_000_000_000
HALF_NS = HOUR_NS // 2
DAY_NS = 24 * HOUR_NS


def sessions(*spans: tuple[float, float], name: str = "XTST", per_year: int = 250) -> SessionTable:
    """Sessions in hours from 2024-01-01."""
    hours = np.array(spans) * HOUR_NS
    opens, closes = (START_NS + hours[:, place].astype(np.int64) for place in (0, 1))
    return SessionTable(name=name, source="test 1", sessions_per_year=per_year, sessions=encoded_sessions(opens, closes))


# A night market: a session begins at 22:00 and ends at 4:00 of the next day, the second one early.
NIGHT = sessions((22, 28), (46, 50), (70, 76), (94, 100))


def market_of(*bars: Bars, table: SessionTable = NIGHT) -> Market:
    return Market(
        bars=bars,
        instruments=tuple(Instrument(symbol=each.symbol, tick=0.01, lot=1.0, calendar=table.name) for each in bars),
        calendars=(table,),
    )


def hourly(hours: list[int], symbol: str = "X") -> Bars:
    """Bars of an hour; each opens at its hour's number and closes half above."""
    rows = [(float(hour), hour + 0.75, hour - 0.25, hour + 0.5) for hour in hours]
    return make_bars(rows, symbol=symbol, step_ns=HOUR_NS, times=hours, timeframe="1h")


HOURS = [22, 23, 24, 25, 26, 27, 46, 47, 48, 49, 70, 71]


def orders_at(hour: int, **terms: Any) -> type[Strategy]:
    class Once(Strategy):
        def on_bar(self) -> None:
            if self.time_ns == START_NS + hour * HOUR_NS:
                self.buy(1, **terms)

    return Once


def times_of(events: list[Any], kind: type[Any]) -> list[int]:
    return [(event.time_ns - START_NS) // HOUR_NS for event in events if isinstance(event, kind)]


def test_an_order_for_the_day_lives_in_its_session() -> None:
    """Sent at 22:00, it ends with the bar that reaches the close at 4:00, not at midnight."""
    events = run(market_of(hourly(HOURS)), orders_at(22, limit=1.0, time_in_force="day"))
    assert times_of(events, OrderExpired) == [27]


def test_an_order_for_the_day_sent_at_the_close_lives_in_the_next_session() -> None:
    """That one closes early, at 2:00: its last bar is the one of 1:00."""
    events = run(market_of(hourly(HOURS)), orders_at(27, limit=1.0, time_in_force="day"))
    assert times_of(events, OrderExpired) == [49]


def test_a_session_without_a_last_bar_ends_orders_when_the_next_one_begins() -> None:
    """X has no bar at 3:00: its order for the day ends at 22:00 before it could fill, at any price."""
    hours = [22, 23, 24, 46, 47]
    events = run(market_of(hourly(hours)), orders_at(22, limit=1.0, time_in_force="day"))
    assert times_of(events, OrderExpired) == [46]
    events = run(market_of(hourly(hours)), orders_at(24, limit=46.0, time_in_force="day"))  # not yet lived in the first
    assert times_of(events, OrderFilled) == [46]
    events = run(market_of(hourly(hours)), orders_at(22, limit=46.0 / 2, stop=46.0, time_in_force="day"))
    assert times_of(events, OrderFilled) == []


def test_another_symbols_bar_tells_that_the_session_is_over() -> None:
    """X has no bar at 3:00, Y has: X's order ends there."""
    market = market_of(hourly([22, 23, 46]), hourly([22, 23, 24, 25, 26, 27, 46], "Y"))
    assert times_of(run(market, orders_at(22, limit=1.0, time_in_force="day")), OrderExpired) == [27]


@pytest.mark.parametrize(
    ("session", "hour", "price"),
    [
        ("open", 23, 46.0),  # the open of the first bar of the next session
        ("close", 23, 27.5),  # the close of the bar that ends at 4:00
        ("close", 27, 49.5),  # of the early one at 2:00
    ],
)
def test_market_orders_for_the_session_fill_at_its_open_and_close(session: str, hour: int, price: float) -> None:
    """Midnight lies inside the session and means nothing."""
    events = run(market_of(hourly(HOURS)), orders_at(hour, session=session))
    assert [event.price for event in events if isinstance(event, OrderFilled)] == [price]


def test_the_close_is_known_beforehand_also_in_the_datas_last_bar() -> None:
    """With UTC days nobody can know that the last bar is a day's last; with sessions it is written down."""
    events = run(market_of(hourly([22, 23, 24, 25, 26, 27])), orders_at(23, session="close"))
    assert [event.price for event in events if isinstance(event, OrderFilled)] == [27.5]


def test_bars_before_the_open_are_no_open() -> None:
    """A bar from 21:00 belongs to the session of 22:00, and an order on open waits for the bar that reaches beyond 22:00."""
    events = run(market_of(hourly([22, 23, 45, 46, 47])), orders_at(23, session="open"))
    assert [event.price for event in events if isinstance(event, OrderFilled)] == [46.0]


def test_days_of_the_statistics_are_sessions() -> None:
    """Twelve hours lie in three sessions, which end at other hours than UTC days: three daily returns, 250 a year."""

    class Hold(Strategy):
        def on_bar(self) -> None:
            if self.step == 0:
                self.buy(1)

    market = market_of(hourly(HOURS))
    assert lay_out(market).day.tolist() == [0] * 6 + [1] * 4 + [2] * 2
    completed = run(market, Hold)[-1]
    assert isinstance(completed, BacktestCompleted)
    assert completed.statistics["periods_per_year"] == 250.0
    # Equity at the sessions' closes: bought at 23; 27.5, 49.5, 71.5.
    closes = [100_000.0, 100_004.5, 100_026.5, 100_048.5]
    returns = [later / earlier - 1.0 for earlier, later in pairwise(closes)]
    mean = sum(returns) / 3
    variance = sum((each - mean) ** 2 for each in returns) / 2
    assert completed.statistics["volatility"] == pytest.approx((variance * 250) ** 0.5, rel=1e-9)


def test_symbols_with_other_calendars_share_the_utc_day() -> None:
    """Each keeps its own sessions for its orders; the account's day is the UTC day, 252 a year."""
    x, y = hourly(HOURS), hourly(HOURS, "Y")
    instruments = (Instrument(symbol="X", calendar="XTST"), Instrument(symbol="Y", calendar="always"))
    market = Market(bars=(x, y), instruments=instruments, calendars=(NIGHT,))
    tape = lay_out(market)
    assert (tape.day - tape.day[0]).tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2]
    assert periods_per_year(market) == 252.0
    last_of_day = [[hour for hour, flag in zip(HOURS, row, strict=True) if flag & 2] for row in tape.flags.tolist()]
    assert last_of_day == [[27, 49], [23, 47]]


def test_without_sessions_nothing_is_laid_out() -> None:
    """UTC days cost neither memory nor time."""
    bars = hourly(HOURS)
    tape = lay_out(Market(bars=(bars,), instruments=(Instrument(symbol="X", calendar="always"),)))
    assert tape.day.size == tape.flags.size == tape.ends.size == tape.bid.size == 0


def test_a_daily_bar_is_the_session_it_lies_in() -> None:
    """Stamped by midnight, it begins before the open; it is first and last of its session."""
    day = sessions((14.5, 21), (38.5, 45), (62.5, 69))
    bars = make_bars([(1.0, 1.0, 1.0, 1.0)] * 3, step_ns=DAY_NS, timeframe="1d")
    tape = lay_out(market_of(bars, table=day))
    assert tape.flags[0].tolist() == [1 | 2, 1 | 2 | 4, 1 | 2 | 4]


def test_frames_of_a_day_end_with_the_session() -> None:
    """The day of the night market shows with the bar that reaches its close, and holds what lies on both sides of midnight."""
    seen = []

    class Watcher(Strategy):
        def on_bar(self) -> None:
            frame = self.bars.frame("1d")
            seen.append((frame.count, frame.open[-1] if frame.count else None))

    market = market_of(hourly(HOURS))
    data = {"dataset": "test", "symbols": ["X"], "timeframe": "1h", "frames": ["1d"]}
    run(market, Watcher, data=data)
    assert seen == [(0, None)] * 5 + [(1, 22.0)] * 4 + [(2, 46.0)] * 3


def test_bars_by_time_begin_anew_at_each_open_and_end_at_the_close() -> None:
    """A session from 14:30 to 21:00 in four-hour bars: 14:30 to 18:30, 18:30 to 21:00."""
    day = sessions((14.5, 21), (38.5, 45))
    halves = make_bars([(1.0, 1.0, 1.0, 1.0)] * 26, step_ns=HALF_NS, times=[*range(29, 42), *range(77, 90)], timeframe="30m")
    frame = by_time(halves, "4h", day)
    assert ((frame.bars.time_ns - START_NS) / HOUR_NS).tolist() == [14.5, 18.5, 38.5, 42.5]
    assert ((frame.end_ns - START_NS) / HOUR_NS).tolist() == [18.5, 21.0, 42.5, 45.0]
    week = by_time(halves, "1w", day)
    assert ((week.end_ns - START_NS) / HOUR_NS).tolist() == [45.0]


def test_orders_for_the_session_are_no_look_ahead() -> None:
    """Every cut gives the same events: nothing about a session's end comes from the bars after it."""

    class Daily(Strategy):
        def on_bar(self) -> None:
            if self.step % 3 == 0:
                self.buy(1, session="close")
                self.sell(1, limit=self.bars.close[-1] + 3, time_in_force="day")

    hours = [day * 24 + hour for day in range(20) for hour in (22, 23, 24, 25, 26) + ((27,) if day % 3 else ())]
    table = sessions(*[(day * 24 + 22, day * 24 + 28) for day in range(25)])
    market = market_of(hourly(hours), table=table)
    assert find_lookahead(make_spec(market), market, Daily, cuts=40) is None


def test_sessions_that_do_not_cover_the_bars_are_refused() -> None:
    """A run never guesses a session."""
    from engine.errors import NoSessionError

    with pytest.raises(NoSessionError, match="do not cover"):
        lay_out(market_of(hourly([22, 200])))
    with pytest.raises(ValueError, match="X has calendar XTST, whose sessions are not in the data set; it has none"):
        Market(bars=(hourly([22]),), instruments=(Instrument(symbol="X", calendar="XTST"),))


@pytest.mark.parametrize("text", ["", "####", "eNpjYAAAAAIAAQ=="])
def test_what_is_no_table_of_sessions_is_refused(text: str) -> None:
    """A damaged manifest does not become a calendar."""
    with pytest.raises(ValueError, match=r"sessions|string"):
        SessionTable(name="XTST", source="test", sessions_per_year=250, sessions=text)


def test_an_unfilled_close_order_waits_for_the_next_session_that_has_its_last_bar() -> None:
    """X has no bar at 3:00, so no closing price that day; the next session's is taken."""
    events = run(market_of(hourly([22, 23, 46, 47, 48, 49, 70])), orders_at(22, session="close"))
    assert [event.price for event in events if isinstance(event, OrderFilled)] == [49.5]
    assert times_of(events, OrderCancelled) == []
