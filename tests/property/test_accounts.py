"""The identities of the books on random accounts: contracts, currencies, actions, funding, borrow, lots, margin calls."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtape.trade_frame import trade_frame
from engine.strategy import Strategy
from engine.timeline import started
from projections.replay import Book
from schemas.actions import ActionKind, CorporateAction, RateKind, RateSeries
from schemas.commit import Author, Head, decode_commit, encode_commit
from schemas.events import (
    BacktestAccepted,
    BacktestCompleted,
    BorrowPaid,
    DividendPaid,
    EquityMarked,
    FundingPaid,
    OrderFilled,
    PositionChanged,
    PositionClosed,
    PositionMarked,
    PositionOpened,
    Side,
    SplitApplied,
    SymbolChanged,
)
from schemas.ids import BacktestId, Digest
from schemas.market_data import Instrument, Market
from tests.property.test_accounting import random_rows
from tests.unit.engine.factories import START_NS, make_bars, make_spec, run_commits

DAY_NS = 86_400_000_000_000
SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

KINDS: dict[str, dict[str, Any]] = {
    "share": {"lot": 1.0},
    "foreign share": {"lot": 1.0, "currency": "EUR"},
    "future": {"lot": 1.0, "multiplier": 5.0, "settlement": "margin", "initial_margin": 0.2, "maintenance_margin": 0.1},
    "foreign future": {"lot": 1.0, "multiplier": 5.0, "settlement": "margin", "currency": "EUR"},
    "quanto": {"lot": 1.0, "contract": "quanto", "multiplier": 0.5, "currency": "EUR"},
    "inverse": {"lot": 1.0, "contract": "inverse", "multiplier": 1_000.0, "currency": "EUR"},
}


class Doing(Strategy):
    """Does what was drawn: (step, kind, symbol, amount, price)."""

    deeds: tuple[tuple[int, str, str, float, float], ...] = ()

    def on_bar(self) -> None:
        for step, kind, symbol, amount, price in self.deeds:
            if step != self.step:
                continue
            if kind == "close":
                self.close(symbol)
            elif kind == "lot":
                for lot in self.lots(symbol)[:1]:
                    (self.sell if lot.quantity > 0 else self.buy)(amount, position=lot)
            else:
                terms: dict[str, Any] = {"limit": price} if kind.endswith("limit") else {}
                if kind == "buy bracket":
                    terms = {"stop_loss": price * 0.97, "take_profit": price * 1.03}
                (self.buy if kind.startswith("buy") else self.sell)(amount, symbol=symbol, **terms)


@st.composite
def random_account(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(3, 16))
    kind = draw(st.sampled_from(list(KINDS)))
    terms = {"tick": 0.01, "borrow_rate": draw(st.sampled_from([0.0, 0.1]))} | KINDS[kind]
    bars = [make_bars(draw(random_rows(count)), symbol="X", step_ns=DAY_NS, timeframe="1d")]
    present = sorted(draw(st.sets(st.integers(0, count - 1), min_size=1)))
    rows = draw(random_rows(len(present)))
    bars.append(make_bars(rows, symbol="Y", times=present, step_ns=DAY_NS, timeframe="1d"))
    times = START_NS + np.arange(count, dtype=np.int64) * DAY_NS
    conversion = [draw(st.integers(90, 130)) / 100 for _ in range(count)]
    series = [RateSeries(RateKind.CONVERSION, "EUR/USD", times, np.array(conversion))]
    if draw(st.booleans()):
        rates = np.array([draw(st.integers(-50, 50)) / 10_000 for _ in range(count)])
        series.append(RateSeries(RateKind.FUNDING, "X", times + draw(st.sampled_from([0, DAY_NS // 2])), rates))
    actions = []
    if kind != "inverse":
        for _ in range(draw(st.integers(0, 3))):
            what = draw(st.sampled_from([ActionKind.SPLIT, ActionKind.DIVIDEND]))
            value = draw(st.sampled_from([0.25, 0.5, 3.0, 7.0] if what is ActionKind.SPLIT else [0.3, 2.0]))
            actions.append(CorporateAction(int(times[draw(st.integers(0, count - 1))]), "X", what, value))
    last = draw(st.sampled_from([None, ActionKind.DELISTING, ActionKind.SYMBOL_CHANGE]))
    if last is ActionKind.DELISTING:
        actions.append(
            CorporateAction(int(times[draw(st.integers(1, count - 1))]), "X", last, draw(st.sampled_from([None, 50.0])))
        )
    if last is ActionKind.SYMBOL_CHANGE:
        actions.append(CorporateAction(START_NS + draw(st.integers(0, present[-1])) * DAY_NS, "X", last, None, "Y"))
    market = Market(
        bars=tuple(bars),
        instruments=tuple(Instrument(symbol=each.symbol, **terms) for each in bars),
        adjusted=False,
        actions=tuple(sorted(actions, key=lambda action: action.time_ns)),
        rates=tuple(series),
    )
    positions = draw(st.sampled_from(["netting", "hedging"]))
    kinds = ["buy", "sell", "buy limit", "sell limit", "buy bracket", "close", *(["lot"] if positions == "hedging" else [])]
    deed = st.tuples(
        st.integers(0, count - 1), st.sampled_from(kinds), st.sampled_from(["X", "X", "Y"]),
        st.integers(1, 120).map(float), st.integers(8_500, 11_500).map(lambda ticks: ticks / 100),
    )  # fmt: skip
    return {
        "market": market,
        "deeds": tuple(draw(st.lists(deed, min_size=1, max_size=10))),
        "account": {
            "cash": 20_000.0,
            "leverage": draw(st.sampled_from([1.0, 4.0])),
            "maintenance_margin": draw(st.sampled_from([None, 0.2])),
            "liquidation": draw(st.sampled_from(["all", "largest_loss_first"])),
            "positions": positions,
        },
        "execution": {
            "commission": draw(st.sampled_from([{"type": "none"}, {"type": "rate", "rate": 0.001, "fixed": 1.0}])),
            "volume_limit": draw(st.sampled_from([None, 0.25])),
            "market_fill": draw(st.sampled_from(["next_open", "same_close"])),
        },
    }


def log_of(drawn: dict[str, Any]) -> list[bytes]:
    """Run, and return the whole log: what the owner writes, and the simulation's commits."""
    market: Market = drawn["market"]
    strategy = type("Drawn", (Doing,), {"deeds": drawn["deeds"]})
    spec = make_spec(market, account=drawn["account"], execution=drawn["execution"])
    accepted = BacktestAccepted(
        sequence=1, time_ns=0, command_id="c", issued_at="1970-01-01T00:00:00Z", spec=spec.recorded(), spec_digest="0" * 64,
        submitted_digest="0" * 64,
    )  # fmt: skip
    first = encode_commit(BacktestId("test"), Head.start(Digest("0" * 64)), Author.OWNER, [accepted])
    second = encode_commit(BacktestId("test"), first.head, Author.OWNER, [started(spec, market, 2)])
    from engine.simulation import simulate

    commits = list(simulate(BacktestId("test"), spec, second.head, market, strategy))
    return [first.body, second.body, *(commit.body for commit in commits)]


@dataclass
class Held:
    """One open position, followed by hand."""

    symbol: str
    quantity: float
    average: float
    basis: float  # what a unit has cost on average, account currency
    realized: float = 0.0
    gross: float = 0.0


class Books:
    """The books, kept a second time from events: what follows is computed from prices and rates, not taken from the engine."""

    def __init__(self, market: Market, cash: float) -> None:
        self.market = market
        self.cash = self.initial = cash
        self.closed = self.funding = self.dividends = self.borrow = 0.0
        self.held: dict[int, Held] = {}
        self.fill: OrderFilled | None = None
        terms = market.instruments[0]
        self.multiplier, self.is_margined = terms.multiplier, terms.settlement == "margin"
        self.is_inverse = terms.contract == "inverse"
        self.is_foreign = terms.currency != "USD"

    def unit(self, price: float, rate: float) -> float:
        return (-self.multiplier / price if self.is_inverse else self.multiplier * price) * rate

    def rate(self, time: int) -> float:
        series = self.market.rates[0]
        return float(series.rate[series.time_ns <= time][-1]) if self.is_foreign else 1.0

    def take(self, event: Any) -> None:
        match event:
            case OrderFilled():
                assert event.conversion == self.rate(event.time_ns)
                self.fill = event
                side = 1 if event.side is Side.BUY else -1
                self.cash -= event.commission
                if not self.is_margined:
                    self.cash -= side * event.quantity * self.unit(event.price, event.conversion)
            case PositionOpened():
                assert self.fill is not None
                basis = self.unit(self.fill.price, self.fill.conversion)
                self.held[event.position_id] = Held(event.symbol, event.quantity, event.average_price, basis, event.realized_pnl)
            case PositionChanged():
                self._changed(event, event.quantity)
                self.held[event.position_id].realized = event.realized_pnl
            case PositionClosed():
                self._changed(event, 0.0)
                del self.held[event.position_id]
                self.closed += event.realized_pnl
            case SplitApplied():
                held = self.held[event.position_id]
                held.quantity, held.average, held.basis = event.quantity, event.average_price, held.basis * event.ratio
                self.cash += event.cash
            case SymbolChanged():
                for held in self.held.values():
                    held.symbol = event.new_symbol if held.symbol == event.symbol else held.symbol
            case FundingPaid():
                self.cash += event.amount
                self.funding += event.amount
            case DividendPaid():
                self.cash += event.amount
                self.dividends += event.amount
            case BorrowPaid():
                self.cash -= event.amount
                self.borrow += event.amount
            case _:
                pass

    def _changed(self, event: Any, quantity: float) -> None:
        held = self.held[event.position_id]
        if abs(quantity) > abs(held.quantity):
            assert self.fill is not None
            added = abs(quantity) - abs(held.quantity)
            unit = self.unit(self.fill.price, self.fill.conversion)
            held.basis = (held.basis * abs(held.quantity) + unit * added) / abs(quantity)
            held.average = event.average_price
        if self.is_margined:
            self.cash += event.gross_pnl - held.gross
        held.gross, held.quantity = event.gross_pnl, quantity

    def worth(self, time: int) -> tuple[float, float]:
        """Return what the positions add to equity, and what they have gained, at the last closes."""
        value = gained = 0.0
        for held in self.held.values():
            bars = next(each for each in self.market.bars if each.symbol == held.symbol)
            unit = self.unit(float(bars.close[bars.time_ns <= time][-1]), self.rate(time))
            if self.is_margined:  # all of the gain is converted at the rate of now
                unrealized = held.quantity * (unit - self.unit(held.average, self.rate(time)))
                value += unrealized
            else:
                unrealized = held.quantity * (unit - held.basis)
                value += held.quantity * unit
            gained += held.realized + unrealized
        return value, gained


@SOME
@given(random_account())
def test_both_identities_hold_at_every_mark(drawn: dict[str, Any]) -> None:
    """equity = cash + what positions are worth = initial + realized + unrealized + funding + dividends - borrow."""
    events = [event for body in log_of(drawn) for event in decode_commit(body).events]
    books = Books(drawn["market"], drawn["account"]["cash"])
    marks = {time: values for event in events if isinstance(event, EquityMarked) for time, *values in _marks(event)}
    happened: dict[int, list[Any]] = {}
    for event in events:
        if not isinstance(event, EquityMarked | BacktestCompleted | PositionMarked):
            happened.setdefault(event.time_ns, []).append(event)
    for time in sorted(marks):
        for event in happened.get(time, []):
            books.take(event)
        equity, cash, exposure, _ = marks[time]
        value, gained = books.worth(time)
        scale = 1e-9 * max(20_000.0, abs(equity), exposure, abs(cash))
        assert abs(cash - books.cash) <= scale
        assert abs(equity - (books.cash + value)) <= scale
        assert abs(equity - (books.initial + books.closed + gained + books.funding + books.dividends - books.borrow)) <= scale
    completed = events[-1]
    assert isinstance(completed, BacktestCompleted)
    paid = (books.funding, books.dividends, books.borrow)
    assert paid == pytest.approx(tuple(completed.statistics[name] for name in ("funding", "dividends", "borrow_cost")))


@SOME
@given(random_account())
def test_replay_follows_cash_and_positions_at_every_mark(drawn: dict[str, Any]) -> None:
    """What the log alone tells of cash is what the engine marked; positions are worth the rest of equity at the end."""
    book = Book()
    for body in log_of(drawn):
        book.take(decode_commit(body), body)
        for mark, cash in book.marks:
            assert abs(mark.cash - cash) <= 1e-9 * max(20_000.0, abs(cash), mark.exposure)


@SOME
@given(random_account())
def test_marks_of_positions_sum_up_to_equity(drawn: dict[str, Any]) -> None:
    """The end's marks and the closed positions give the final equity; a mark lies within its excursions."""
    events = [event for body in log_of(drawn) for event in decode_commit(body).events]
    books = Books(drawn["market"], drawn["account"]["cash"])
    for event in events:
        books.take(event)
    marked = [event for event in events if isinstance(event, PositionMarked)]
    assert [event.position_id for event in marked] == sorted(books.held)
    total = books.initial + books.closed + books.funding + books.dividends - books.borrow
    total += sum(each.unrealized_pnl + books.held[each.position_id].realized for each in marked)
    assert events[-1].final_equity == pytest.approx(total, rel=1e-9, abs=1e-5)
    for each in marked:
        assert each.mae <= 1e-9 and each.mfe >= -1e-9
        assert each.mae - 1e-6 <= books.held[each.position_id].gross + each.unrealized_pnl <= each.mfe + 1e-6


@SOME
@given(random_account())
def test_every_way_to_make_trades_sums_to_the_same_gain(drawn: dict[str, Any]) -> None:
    """Once all positions are closed, FIFO, LIFO and flat-to-flat trades have gained what the positions have.

    Not where gains are converted when they are realised: which entry an exit closes then changes at which rate.
    """
    terms = drawn["market"].instruments[0]
    if terms.settlement == "margin" and terms.currency != "USD":
        return
    last = max(len(bars) for bars in drawn["market"].bars) - 1
    drawn = {**drawn, "deeds": tuple(deed for deed in drawn["deeds"] if deed[0] < last - 1)}
    for symbol in ("X", "Y"):
        drawn["deeds"] += ((last - 1, "close", symbol, 1.0, 1.0),)
    bodies = log_of(drawn)
    events = [event for body in bodies for event in decode_commit(body).events]
    if any(isinstance(event, PositionMarked) for event in events):
        return  # a limit order came in between, or there was no bar to close in
    gross = sum(event.gross_pnl for event in events if isinstance(event, PositionClosed))
    for method in ("fifo", "lifo", "flat_to_flat"):
        assert trade_frame(bodies, method)["gross_pnl"].sum() == pytest.approx(gross, rel=1e-9, abs=1e-5)


def _marks(event: EquityMarked) -> list[tuple[Any, ...]]:
    return list(zip(event.times_ns, event.equity, event.cash, event.exposure, event.drawdown, strict=True))


def test_a_run_of_drawn_deeds_is_the_same_twice() -> None:
    """Equal input, equal bytes: also with lots and actions."""
    bars = make_bars([(100.0, 101.0, 99.0, 100.0, 50.0)] * 6, symbol="X", step_ns=DAY_NS, timeframe="1d")
    market = Market(bars=(bars,), instruments=(Instrument(symbol="X", lot=1.0),), adjusted=False)
    market = replace(market, actions=(CorporateAction(START_NS + 3 * DAY_NS, "X", ActionKind.SPLIT, 0.5),))
    strategy = type("Drawn", (Doing,), {"deeds": ((0, "buy", "X", 10.0, 1.0), (1, "sell", "X", 5.0, 1.0))})
    spec = make_spec(market, account={"positions": "hedging"})
    first, second = ([commit.body for commit in run_commits(market, spec, strategy)] for _ in range(2))
    assert first == second
