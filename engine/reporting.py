"""This module turns the kernels' effects into events, keeps the strategy's handles and positions, and tells its callbacks."""

import math
from array import array
from collections.abc import Callable
from typing import Any

from engine import rendering
from engine.broker import Broker
from engine.kernels import codes
from engine.kernels.records import Records, State, Tape
from engine.kernels.tape import price_at, row_at
from engine.kernels.valuation import gain_of, rate_at
from engine.orders import Fill, Order, OrderStatus, Position
from engine.recorder import MARK_WEIGHT, MARKS_PER_EVENT, Recorder
from engine.rendering import (
    AVERAGE,
    BARS,
    BUY,
    CAUSE,
    CAUSES,
    CLOSED_WEIGHT,
    COMMISSION,
    ENDS,
    GROSS,
    KIND,
    LEAVES,
    LIMIT,
    LONG_WEIGHT,
    OPENED,
    ORDER,
    POSITION,
    PRICE,
    QUANTITY,
    RATE,
    REALIZED,
    REASON,
    REJECT_REASONS,
    ROW,
    SELL,
    SHORT_SYMBOL,
    SIDE,
    STEP,
    STOP,
    SYMBOL,
    TRAIL,
    TYPE,
    finite,
    return_fraction,
)
from engine.strategy import Strategy
from schemas.events import (
    EquityMarked,
    OrderModified,
    OrderRejected,
    OrderSubmitted,
    OrderType,
    PositionMarked,
    RejectReason,
)

_WORKING, _FILLED = OrderStatus.WORKING, OrderStatus.FILLED
NO_STEP = -2  # none yet; -1 is the step before the first

_NONE: list[Any] = []  # no callbacks to make; never written to
_POSITION_KINDS = (codes.OPENED, codes.CHANGED, codes.CLOSED)


class Reporter:
    """Reports what happened, in its order, to the log and to the strategy. One for each simulation."""

    def __init__(self, broker: Broker, recorder: Recorder, strategy: Strategy, *, records_orders: bool) -> None:
        self._broker = broker
        self._recorder = recorder
        self._records_orders = records_orders
        self._is_hedging = bool(broker.state.core[0]["is_hedging"])
        self._on_order = _overridden(strategy, "on_order")
        self._on_fill = _overridden(strategy, "on_fill")
        self._on_position = _overridden(strategy, "on_position")
        self.has_callbacks = any(callback is not None for callback in (self._on_order, self._on_fill, self._on_position))
        self._notices: list[tuple[Callable[[Any], None], Any]] = []
        self.pnl = array("d")  # realised PnL of each closed position
        self.gross = array("d")
        self.returns = array("d")  # NaN where undefined
        self.bars_held = array("q")
        self.sides = array("b")  # +1: it was long
        self.traded = array("l")  # place of the symbol
        self.fees = array("d")
        self.orders = 0
        self.fills = 0
        core = broker.state.core  # views of single fields: looked at in every busy step
        self._effects, self._cash, self._next_order = core["effects"], core["cash"], core["next_order"]
        broker.refuse = self._refuse

    def report(self) -> list[tuple[Callable[[Any], None], Any]]:
        """Turn the pending effects into events; return the callbacks to make, in their order."""
        broker = self._broker
        count = self._effects.item()
        if count:
            group, step, time_ns = self._recorder.group, NO_STEP, 0
            for row in ROW.iter_unpack(broker.effects[: count * ROW.size]):
                kind = row[KIND]
                if row[STEP] != step:
                    step = row[STEP]
                    time_ns = int(broker.tape.time_ns[step]) if step >= 0 else 0
                if kind not in _POSITION_KINDS:
                    group()
                _REPORTS[kind](self, row, time_ns)
            self._effects[0] = 0
            broker.cash = self._cash.item()
            broker.next_order = max(broker.next_order, self._next_order.item())
        if not self._notices:
            return _NONE
        notices, self._notices = self._notices, []
        return notices

    def _tell_order(self, order: Order) -> None:
        if self._on_order is not None:
            self._notices.append((self._on_order, order))

    # --- orders ---

    def _submitted(self, row: tuple[Any, ...], time_ns: int) -> None:
        self.orders += 1
        order = self._broker.handles.get(row[ORDER])
        if order is None:  # the engine's own
            symbol = self._broker.symbols[row[SYMBOL]]
            side = BUY if row[SIDE] > 0 else SELL
            order = Order(None, row[ORDER], symbol, side, OrderType.MARKET, tag=CAUSES[row[CAUSE]])
            self._broker.handles[order.id] = order
        quantity = row[QUANTITY] if row[QUANTITY] == row[QUANTITY] else None
        order.quantity = quantity
        order.leaves = quantity or 0.0
        order.status = _WORKING
        self._record_submission(order, time_ns)
        if self._on_order is not None:
            self._notices.append((self._on_order, order))

    def _record_submission(self, order: Order, time_ns: int) -> None:
        if not self._records_orders:
            return
        if order._is_plain:
            self._recorder.add(
                OrderSubmitted(
                    sequence=self._recorder.next_sequence(),
                    time_ns=time_ns,
                    order_id=order.id,
                    symbol=order.symbol,
                    side=order.side,
                    order_type=order.type,
                    quantity=order.quantity,
                    reduce_only=order.reduce_only,
                ),
                256 if len(order.symbol) <= SHORT_SYMBOL else LONG_WEIGHT,
            )
            return
        self._recorder.add(
            OrderSubmitted(
                sequence=self._recorder.next_sequence(),
                time_ns=time_ns,
                order_id=order.id,
                symbol=order.symbol,
                side=order.side,
                order_type=order.type,
                quantity=order.quantity,
                time_in_force=order.time_in_force,
                limit_price=finite(order.limit),
                stop_price=finite(order.stop),
                trail_amount=finite(order.trail_amount),
                trail_percent=finite(order.trail_percent),
                limit_offset=finite(order.limit_offset),
                expires_ns=order.expires_ns,
                post_only=order.post_only,
                reduce_only=order.reduce_only,
                oco_group=order.group,
                parent_order_id=order.parent_id,
                tag=order.tag,
                position_id=order.position_id,
            ),
            256 if order.tag is None and order.group is None and len(order.symbol) <= SHORT_SYMBOL else LONG_WEIGHT,
        )

    def _refuse(self, order: Order, quantity: float) -> None:
        """Refuse an order for a symbol that the run does not have."""
        self.orders += 1
        order.quantity = finite(quantity)
        time_ns = self._broker.time_ns()
        self._recorder.group()
        self._record_submission(order, time_ns)
        self._rejected_with(order, RejectReason.UNKNOWN_SYMBOL, time_ns)

    def _rejected(self, row: tuple[Any, ...], time_ns: int) -> None:
        order = self._broker.handles.pop(row[ORDER])
        self._rejected_with(order, REJECT_REASONS[row[REASON]], time_ns)

    def _rejected_with(self, order: Order, reason: RejectReason, time_ns: int) -> None:
        order.status = OrderStatus.REJECTED
        order.reason = reason
        order.leaves = 0.0
        if self._records_orders:
            sequence = self._recorder.next_sequence()
            self._recorder.add(OrderRejected(sequence=sequence, time_ns=time_ns, order_id=order.id, reason=reason))
        self._tell_order(order)

    def _modified(self, row: tuple[Any, ...], time_ns: int) -> None:
        order = self._broker.handles[row[ORDER]]
        order.leaves = row[QUANTITY]
        order.quantity = order.filled + order.leaves
        order.limit = finite(row[LIMIT])
        order.stop = finite(row[STOP])
        order.trail_amount = finite(row[TRAIL])
        if self._records_orders:
            self._recorder.add(
                OrderModified(
                    sequence=self._recorder.next_sequence(),
                    time_ns=time_ns,
                    order_id=order.id,
                    quantity=order.quantity,
                    limit_price=order.limit,
                    stop_price=order.stop,
                    trail_amount=order.trail_amount,
                    trail_percent=finite(order.trail_percent),
                )
            )
        self._tell_order(order)

    def _triggered(self, row: tuple[Any, ...], time_ns: int) -> None:
        order = self._broker.handles[row[ORDER]]
        if self._records_orders:
            self._recorder.add(rendering.triggered(row, self._recorder.next_sequence(), time_ns))
        self._tell_order(order)

    def _cancelled(self, row: tuple[Any, ...], time_ns: int) -> None:
        order = self._broker.handles.pop(row[ORDER])
        order.status = OrderStatus.CANCELLED
        order.reason = ENDS[row[REASON]]
        order.leaves = 0.0
        if self._records_orders:
            self._recorder.add(rendering.cancelled(row, self._recorder.next_sequence(), time_ns))
        self._tell_order(order)

    def _expired(self, row: tuple[Any, ...], time_ns: int) -> None:
        order = self._broker.handles.pop(row[ORDER])
        order.status = OrderStatus.EXPIRED
        order.leaves = 0.0
        if self._records_orders:
            self._recorder.add(rendering.expired(row, self._recorder.next_sequence(), time_ns))
        self._tell_order(order)

    def _filled(self, row: tuple[Any, ...], time_ns: int) -> None:
        self.fills += 1
        order = self._broker.handles[row[ORDER]]
        quantity, price, leaves = row[QUANTITY], row[PRICE], row[LEAVES]
        value = (order.average_price or 0.0) * order.filled + price * quantity
        order.filled += quantity
        order.average_price = value / order.filled
        order.leaves = leaves
        if leaves <= 0.0:
            order.status = _FILLED
            del self._broker.handles[order.id]
        self._recorder.add(rendering.filled(row, self._recorder.next_sequence(), time_ns, order.symbol))
        if self._on_fill is not None:
            fill = Fill(order, order.symbol, order.side, quantity, price, row[COMMISSION], row[RATE], row[POSITION] or None)
            self._notices.append((self._on_fill, fill))
        if self._on_order is not None:
            self._notices.append((self._on_order, order))

    # --- positions ---

    def _position(self, row: tuple[Any, ...]) -> Position:
        symbol = self._broker.symbols[row[SYMBOL]]
        if self._is_hedging:
            position = self._broker.lots.setdefault(row[POSITION], Position(symbol))
        else:
            position = self._broker.positions[symbol]
        position.id = row[POSITION]
        position.quantity = row[QUANTITY]
        position.average_price = row[AVERAGE]
        position.commission = row[COMMISSION]
        position.realized_pnl = row[REALIZED]
        if self._is_hedging:
            self._net(symbol)
        if self._on_position is not None:
            self._notices.append((self._on_position, position))
        return position

    def _net(self, symbol: str) -> None:
        """Let a symbol's position show the net of its lots; its average price is that of lots of one side, else 0."""
        net, lots = self._broker.positions[symbol], [lot for lot in self._broker.lots.values() if lot.symbol == symbol]
        net.quantity = math.fsum(lot.quantity for lot in lots)
        net.commission = math.fsum(lot.commission for lot in lots)
        net.realized_pnl = math.fsum(lot.realized_pnl for lot in lots)
        is_one_sided = len({lot.quantity > 0.0 for lot in lots}) == 1
        value = math.fsum(lot.quantity * lot.average_price for lot in lots)
        net.average_price = value / net.quantity if is_one_sided and net.quantity else 0.0

    def _opened(self, row: tuple[Any, ...], time_ns: int) -> None:
        position = self._position(row)
        self._recorder.add(rendering.opened(row, self._recorder.next_sequence(), time_ns, position.symbol))

    def _changed(self, row: tuple[Any, ...], time_ns: int) -> None:
        position = self._position(row)
        self._recorder.add(rendering.changed(row, self._recorder.next_sequence(), time_ns, position.symbol))

    def _closed(self, row: tuple[Any, ...], time_ns: int) -> None:
        position = self._position(row)
        position.quantity = 0.0
        if self._is_hedging:
            del self._broker.lots[row[POSITION]]
            self._net(position.symbol)
        fraction, side = return_fraction(row), row[SIDE]
        self.pnl.append(row[REALIZED])
        self.gross.append(row[GROSS])
        self.returns.append(math.nan if fraction is None else fraction)
        self.bars_held.append(row[BARS])
        self.sides.append(side)
        self.traded.append(row[SYMBOL])
        self.fees.append(row[COMMISSION])
        opened_ns = int(self._broker.tape.time_ns[row[OPENED]])
        event = rendering.closed(row, self._recorder.next_sequence(), time_ns, position.symbol, opened_ns)
        self._recorder.add(event, CLOSED_WEIGHT)

    def report_positions(self, step: int) -> None:
        """Report what each open position is worth at the step's close, ascending by its id."""
        report_positions(self._recorder, positions_at(self._broker.tape, self._broker.state, self._broker.symbols, step))

    # --- account ---

    def _margin_called(self, row: tuple[Any, ...], time_ns: int) -> None:
        self._recorder.add(rendering.margin_called(row, self._recorder.next_sequence(), time_ns))

    def _split_applied(self, row: tuple[Any, ...], time_ns: int) -> None:
        symbol = self._broker.symbols[row[SYMBOL]]
        position = self._broker.lots[row[POSITION]] if self._is_hedging else self._broker.positions[symbol]
        position.quantity, position.average_price = row[QUANTITY], row[AVERAGE]
        if self._is_hedging:
            self._net(symbol)
        self._recorder.add(rendering.split_applied(row, self._recorder.next_sequence(), time_ns, symbol))

    def _dividend_paid(self, row: tuple[Any, ...], time_ns: int) -> None:
        symbol = self._broker.symbols[row[SYMBOL]]
        self._recorder.add(rendering.dividend_paid(row, self._recorder.next_sequence(), time_ns, symbol))

    def _funding_paid(self, row: tuple[Any, ...], time_ns: int) -> None:
        symbol = self._broker.symbols[row[SYMBOL]]
        self._recorder.add(rendering.funding_paid(row, self._recorder.next_sequence(), time_ns, symbol))

    def _borrow_paid(self, row: tuple[Any, ...], time_ns: int) -> None:
        symbol = self._broker.symbols[row[SYMBOL]]
        self._recorder.add(rendering.borrow_paid(row, self._recorder.next_sequence(), time_ns, symbol))

    def _symbol_changed(self, row: tuple[Any, ...], time_ns: int) -> None:
        """Record the change, and move what the strategy sees: the position, the lots, the orders' handles."""
        broker = self._broker
        symbol, successor = broker.symbols[row[SYMBOL]], broker.symbols[row[TYPE]]
        self._recorder.add(rendering.symbol_changed(row, self._recorder.next_sequence(), time_ns, symbol, successor))
        for order in broker.handles.values():
            if order.symbol == symbol:
                order.symbol = successor
        if self._is_hedging:
            for lot in broker.lots.values():
                if lot.symbol == symbol:
                    lot.symbol = successor
            self._net(symbol)
            self._net(successor)
        elif broker.positions[symbol].quantity:
            broker.positions[symbol].copy_to(broker.positions[successor])
            Position(symbol).copy_to(broker.positions[symbol])

    def _delisted(self, row: tuple[Any, ...], time_ns: int) -> None:
        symbol = self._broker.symbols[row[SYMBOL]]
        self._recorder.add(rendering.delisted(row, self._recorder.next_sequence(), time_ns, symbol))

    def report_marks(self, at_least: int) -> None:
        """Report the pending equity marks in blocks, if there are ``at_least`` so many."""
        core = self._broker.state.core[0]
        count = int(core["marks"])
        if count < max(at_least, 1):
            return
        report_marks(self._recorder, self._broker.tape, self._broker.state.marks[:count])
        core["marks"] = 0


def report_marks(recorder: Recorder, tape: Tape, marks: Records) -> None:
    """Report equity marks in blocks of columns."""
    for first in range(0, len(marks), MARKS_PER_EVENT):
        part = marks[first : first + MARKS_PER_EVENT]
        times = tape.time_ns[part["step"]].tolist()
        recorder.group()
        recorder.add(
            EquityMarked(
                sequence=recorder.next_sequence(),
                time_ns=times[-1],
                times_ns=tuple(times),
                equity=tuple(part["equity"].tolist()),
                cash=tuple(part["cash"].tolist()),
                exposure=tuple(part["exposure"].tolist()),
                drawdown=tuple(part["drawdown"].tolist()),
            ),
            256 + MARK_WEIGHT * len(times),
        )


def positions_at(tape: Tape, state: State, symbols: tuple[str, ...], step: int) -> list[dict[str, Any]]:
    """Return what each open position is worth at the step's close, ascending by its id: the fields of PositionMarked.

    Excursions are those up to the last marked step, and at this close: what a close at this price would report.
    """
    held = [place for place in range(int(state.core[0]["symbols"])) if state.symbols[place]["quantity"] != 0.0]
    result = []
    for index in sorted(held, key=lambda index: int(state.symbols[index]["position_id"])):
        symbol = state.symbols[index]
        price = float(price_at(tape, state, index, step))
        unrealized = float(gain_of(symbol, symbol["quantity"], price, rate_at(tape, symbol, step)))
        gain = float(symbol["gross"]) + unrealized
        result.append(
            {
                "time_ns": int(tape.time_ns[step]),
                "position_id": int(symbol["position_id"]),
                "symbol": symbols[int(symbol["base"])],
                "price": price,
                "unrealized_pnl": unrealized,
                "mae": min(float(symbol["mae"]), gain),
                "mfe": max(float(symbol["mfe"]), gain),
                "bars_held": int(row_at(tape, state, index, step)) - int(symbol["opened_row"]),
            }
        )
    return result


def report_positions(recorder: Recorder, positions: list[dict[str, Any]]) -> None:
    for position in positions:
        recorder.group()
        recorder.add(PositionMarked(sequence=recorder.next_sequence(), **position))


_REPORTS: list[Callable[[Reporter, tuple[Any, ...], int], None]] = [
    Reporter._submitted,
    Reporter._rejected,
    Reporter._modified,
    Reporter._triggered,
    Reporter._cancelled,
    Reporter._expired,
    Reporter._filled,
    Reporter._opened,
    Reporter._changed,
    Reporter._closed,
    Reporter._margin_called,
    Reporter._split_applied,
    Reporter._dividend_paid,
    Reporter._funding_paid,
    Reporter._borrow_paid,
    Reporter._symbol_changed,
    Reporter._delisted,
]


def _overridden(strategy: Strategy, name: str) -> Callable[[Any], None] | None:
    """Return the strategy's callback, None where it is the base class's empty one."""
    if getattr(type(strategy), name) is getattr(Strategy, name):
        return None
    callback: Callable[[Any], None] = getattr(strategy, name)
    return callback
