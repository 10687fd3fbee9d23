"""This module replays a run: its working orders, positions, cash and equity after any event, or at any market time.

Orders and positions are those of the one fold. Cash follows from the events alone, by the engine's own arithmetic in the engine's
own order, so it is equal to the recorded cash at every equity mark, to the last bit (tests/property/test_replay.py).
Prices are not in the log: what a position is worth is known at the prices that its events name, and at equity marks.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from projections.errors import FoldError
from projections.fold import RunFold
from projections.positions import PositionState
from projections.replay_state import Mark, OpenPosition, Replayed, working_order
from projections.rows import Rows
from schemas.commit import Commit, Head, decode_commit, follow
from schemas.events import (
    AnyEvent,
    BacktestAccepted,
    BacktestImported,
    BacktestStarted,
    BorrowPaid,
    DividendPaid,
    EquityMarked,
    FundingPaid,
    InstrumentDelisted,
    OrderFilled,
    OrderTriggered,
    PositionChanged,
    PositionClosed,
    PositionMarked,
    Side,
    SplitApplied,
    SymbolChanged,
)
from schemas.ids import Digest


class ReplayError(FoldError):
    """The log can't be replayed to this point."""


def worth(quantity: float, multiplier: float, price: float, conversion: float, *, is_inverse: bool) -> float:
    """Return what a quantity is worth at a price, in account currency, evaluated as the engine does.

    100 contracts of 1 USD at 50,000, inverse: 0.002 of the base currency.
    """
    if is_inverse:
        return quantity * multiplier / price * conversion
    return quantity * multiplier * price * conversion


def cash_of_fill(event: OrderFilled, multiplier: float) -> float:
    """Return what a fill of what is paid in full takes from cash: ``side * value + commission``.

    A sale of 10 at 99.5 for 1.0 takes -10 * 99.5 + 1.0 = -994.0: it adds 994.0.
    """
    side = 1 if event.side is Side.BUY else -1
    return side * worth(event.quantity, multiplier, event.price, event.conversion, is_inverse=False) + event.commission


def replay(bodies: Iterable[bytes], *, sequence: int | None = None, time_ns: int | None = None) -> Replayed:
    """Return the state after the event ``sequence``, or after everything that happened at or before ``time_ns``; else at the end.

    bodies : the run's commits from its first on; no more of them are taken than are needed
    Raises ReplayError for a point before the run's first event or after its last, ChainError, FoldError or
    msgspec.DecodeError for what is not a run's log.
    """
    assert sequence is None or time_ns is None, "a sequence or a time, not both"
    book = Book()
    for body in bodies:
        if book.take(decode_commit(body), body, sequence=sequence, time_ns=time_ns):
            break
    if book.sequence == 0:
        what = f"time {time_ns} ns" if time_ns is not None else f"sequence {sequence}"
        raise ReplayError(f"{what} is before the first event" if book.is_begun else "the log of the run is empty")
    if sequence is not None and book.sequence < sequence:
        raise ReplayError(f"sequence {sequence} is after the log's last event, which has sequence {book.sequence}")
    return book.state(time_ns)


@dataclass(slots=True)
class _Price:
    """The last price that the log names for a symbol, and what one unit of its currency was worth."""

    price: float
    time_ns: int
    conversion: float = 1.0


class Book:
    """A run's state while it is replayed, event by event."""

    def __init__(self) -> None:
        self.sequence = 0
        self.is_begun = False
        self.cash = 0.0
        self.marks: list[tuple[Mark, float]] = []  # of the newest commit, each with the cash that the events give at its time
        self._fold: RunFold | None = None
        self._head: Head | None = None
        self._whole = ""  # digest of the last commit that is in as a whole
        self._commit = 0
        self._time_ns = 0
        self._changed_ns = 0  # when cash or a position changed last
        self._cash_at: list[tuple[int, float]] = []  # cash after each change since the newest block of marks
        self._currency = ""
        self._initial = 0.0
        self._multipliers: dict[str, float] = {}
        self._margined: frozenset[str] = frozenset()
        self._inverse: frozenset[str] = frozenset()
        self._gross_before = 0.0  # of the position that the event changes
        self._prices: dict[str, _Price] = {}
        self._mark: Mark | None = None
        self._sums = dict.fromkeys(("closed", "commission", "funding", "dividends", "borrow"), 0.0)
        self._is_past = False  # the time that was asked for is over: only marks of that time can still follow

    def take(self, commit: Commit, body: bytes, *, sequence: int | None = None, time_ns: int | None = None) -> bool:
        """Fold a commit in, up to a point; return True when nothing after it matters. Raises as ``replay`` does."""
        self.is_begun = True
        if self._fold is None:
            first = commit.events[0] if commit.events else None
            parent = first.spec_digest if isinstance(first, BacktestAccepted) else commit.parent
            self._fold, self._head, self._whole = RunFold(commit.backtest_id), Head.start(Digest(parent)), parent
        assert self._head is not None, "a fold has a head"
        after = follow(self._head, commit, body)
        self.marks = []
        for event in commit.events:
            if sequence is not None and event.sequence > sequence:
                return True
            if time_ns is not None and event.time_ns > time_ns:
                self._is_past = True
            if not self._is_past:
                self._apply(event, commit.number)
            if isinstance(event, EquityMarked):
                self._note_marks(event, time_ns)
                if self._is_past and event.times_ns and event.times_ns[-1] > (time_ns or 0):
                    return True
        self._head = after
        if self._is_past:
            return commit.is_terminal
        self._whole = after.digest
        return sequence is not None and commit.last_sequence >= sequence

    def _apply(self, event: AnyEvent, number: int) -> None:
        assert self._fold is not None, "a commit was taken"
        self._note_before(event)
        self._fold.evolve(event, Rows())
        self.sequence, self._commit = event.sequence, number
        self._time_ns = max(self._time_ns, event.time_ns)
        taken = self._taken(event)
        if taken is not None:
            self.cash -= taken
            self._changed_ns = event.time_ns
            self._cash_at.append((event.time_ns, self.cash))

    def _note_before(self, event: AnyEvent) -> None:
        """Keep what the fold does not: the account's beginning, contracts, sums, the last prices."""
        match event:
            case BacktestAccepted():
                self._currency = event.spec["account"]["currency"]
                self.cash = self._initial = float(event.spec["account"]["cash"])
                self._cash_at.append((0, self.cash))
            case BacktestImported():
                raise ReplayError("an imported result has no events to replay")
            case BacktestStarted():
                if event.multipliers:
                    self._multipliers = dict(zip(event.symbols, event.multipliers, strict=True))
                self._margined, self._inverse = frozenset(event.margined), frozenset(event.inverse)
            case OrderFilled():
                self._sums["commission"] += event.commission
                self._note_price(event.symbol, event.price, event.time_ns, event.conversion)
            case OrderTriggered():
                order = self._fold.orders.get(event.order_id) if self._fold is not None else None
                if order is not None:
                    self._note_price(order.symbol, event.price, event.time_ns)
            case PositionMarked() | InstrumentDelisted():
                self._note_price(event.symbol, event.price, event.time_ns)
            case SymbolChanged():
                self._rename(event.symbol, event.new_symbol)
            case PositionChanged():
                self._gross_before = self._gross_of(event.position_id)
            case PositionClosed():
                self._gross_before = self._gross_of(event.position_id)
                self._sums["closed"] += event.realized_pnl
            case FundingPaid():
                self._sums["funding"] += event.amount
                self._note_price(event.symbol, event.price, event.time_ns)
            case BorrowPaid():
                self._sums["borrow"] += event.amount
            case DividendPaid():
                self._sums["dividends"] += event.amount
            case SplitApplied():
                last = self._prices.get(event.symbol)
                if last is not None and last.time_ns < event.time_ns:  # once, however many positions are split
                    last.price, last.time_ns = last.price * event.ratio, event.time_ns
            case _:
                pass

    def _note_price(self, symbol: str, price: float, time_ns: int, conversion: float | None = None) -> None:
        if conversion is None:
            conversion = self._prices[symbol].conversion if symbol in self._prices else 1.0
        self._prices[symbol] = _Price(price, time_ns, conversion)

    def _rename(self, symbol: str, new_symbol: str) -> None:
        if symbol in self._prices:
            self._prices[new_symbol] = self._prices.pop(symbol)
        if symbol in self._multipliers:
            self._multipliers[new_symbol] = self._multipliers.pop(symbol)
        if symbol in self._margined:
            self._margined |= {new_symbol}
        if symbol in self._inverse:
            self._inverse |= {new_symbol}

    def _gross_of(self, position_id: int) -> float:
        position = self._fold.positions.get(position_id) if self._fold is not None else None
        return 0.0 if position is None else position.gross_pnl

    def _taken(self, event: AnyEvent) -> float | None:
        """Return what the event takes from cash; None where it touches none."""
        match event:
            case OrderFilled() if event.symbol in self._margined:
                return event.commission
            case OrderFilled():
                return cash_of_fill(event, self._multipliers.get(event.symbol, 1.0))
            case PositionChanged() | PositionClosed() if event.symbol in self._margined:
                return self._gross_before - event.gross_pnl
            case FundingPaid() | DividendPaid():
                return -event.amount
            case BorrowPaid():
                return event.amount
            case SplitApplied():
                return -event.cash
            case _:
                return None

    def _note_marks(self, event: EquityMarked, until_ns: int | None) -> None:
        """Keep a block's marks, with the cash that the events give at each. Blocks come after what happened meanwhile."""
        columns = zip(event.times_ns, event.equity, event.cash, event.exposure, event.drawdown, strict=True)
        place = 0
        for mark in (Mark(*values) for values in columns):
            if until_ns is not None and mark.time_ns > until_ns:
                break
            while place + 1 < len(self._cash_at) and self._cash_at[place + 1][0] <= mark.time_ns:
                place += 1
            self.marks.append((mark, self._cash_at[place][1]))
            self._mark = mark
        del self._cash_at[:place]

    def state(self, time_ns: int | None = None) -> Replayed:
        """Return the state at this point."""
        fold = self._fold
        assert fold is not None and fold.run is not None, "something was folded"
        positions = tuple(self._position(each) for _, each in sorted(fold.positions.items()))
        equity, equity_ns = self._equity(positions)
        return Replayed(
            backtest_id=fold.backtest_id,
            status=fold.run.status,
            sequence=self.sequence,
            commit=self._commit,
            time_ns=self._time_ns if time_ns is None else time_ns,
            chain_head=self._whole,
            currency=self._currency,
            initial_cash=self._initial,
            cash=self.cash,
            equity=equity,
            equity_ns=equity_ns,
            realized_pnl=self._sums["closed"] + sum(each.realized_pnl for each in positions),
            commission=self._sums["commission"],
            funding=self._sums["funding"],
            dividends=self._sums["dividends"],
            borrow=self._sums["borrow"],
            orders=fold.run.orders,
            fills=fold.run.fills,
            trades=fold.run.trades,
            working_orders=tuple(working_order(each) for _, each in sorted(fold.orders.items())),
            positions=positions,
            mark=self._mark,
        )

    def _equity(self, positions: tuple[OpenPosition, ...]) -> tuple[float | None, int]:
        if not positions:
            return self.cash, self._time_ns
        if self._mark is not None and self._mark.time_ns >= self._changed_ns:
            return self._mark.equity, self._mark.time_ns
        equity = self.cash
        for position in positions:
            if position.value is None:
                return None, self._time_ns
            equity += position.value
        return equity, self._time_ns

    def _position(self, state: PositionState) -> OpenPosition:
        last = self._prices.get(state.symbol)
        value, unrealized = (None, None) if last is None else self._worth(state, last)
        return OpenPosition(
            position_id=state.position_id,
            symbol=state.symbol,
            quantity=state.quantity,
            average_price=state.average_price,
            realized_pnl=state.realized_pnl,
            commission=state.commission,
            opened_ns=state.opened_at,
            last_price=None if last is None else last.price,
            last_price_ns=None if last is None else last.time_ns,
            value=value,
            unrealized_pnl=unrealized,
        )

    def _worth(self, state: PositionState, last: _Price) -> tuple[float, float | None]:
        """Return what a position adds to equity, and its unrealised PnL: None where that depends on earlier conversion rates."""
        multiplier = self._multipliers.get(state.symbol, 1.0)
        if state.symbol in self._inverse:
            points = 1.0 / state.average_price - 1.0 / last.price
        else:
            points = last.price - state.average_price
        if state.symbol in self._margined:
            gain = state.quantity * multiplier * points * last.conversion
            return gain, gain
        value = worth(state.quantity, multiplier, last.price, last.conversion, is_inverse=False)
        return value, state.quantity * multiplier * points if last.conversion == 1.0 else None
