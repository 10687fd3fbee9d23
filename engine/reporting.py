"""This module turns the kernels' effects into events, keeps the strategy's handles and positions, and tells its callbacks."""

import math
from array import array
from collections.abc import Callable
from typing import Any

from engine.broker import Broker
from engine.kernels import codes
from engine.kernels.records import EFFECT
from engine.kernels.tape import price_at, row_at
from engine.kernels.valuation import gain_of, rate_at
from engine.orders import Fill, Order, OrderStatus, Position
from engine.recorder import MARK_WEIGHT, MARKS_PER_EVENT, Recorder
from engine.strategy import Strategy
from schemas.events import (
    BorrowPaid,
    DividendPaid,
    EquityMarked,
    FundingPaid,
    InstrumentDelisted,
    MarginCalled,
    OrderCancelled,
    OrderEnd,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderType,
    PositionChanged,
    PositionClosed,
    PositionMarked,
    PositionOpened,
    RejectReason,
    Side,
    SplitApplied,
    SymbolChanged,
)

_PLACES = {name: place for place, name in enumerate(EFFECT.names or ())}
(_KIND, _STEP, _ORDER, _SYMBOL, _SIDE, _REASON, _FILL, _POSITION, _QUANTITY, _PRICE, _COMMISSION, _LEAVES, _LIMIT, _STOP,
 _AVERAGE, _CLOSE, _REALIZED, _GROSS, _MAE, _MFE, _OPENED, _BARS, _MAKER,
 _RATE, _TRAIL, _CAUSE, _TYPE) = (
    _PLACES[name]
    for name in (
        "kind", "step", "order", "symbol", "side", "reason", "fill", "position", "quantity", "price", "commission", "leaves",
        "limit", "stop", "average", "close", "realized", "gross", "mae", "mfe", "opened_step", "bars", "is_maker",
        "rate", "trail", "cause", "type",
    )
)  # fmt: skip
_REJECT_REASONS = list(RejectReason)
_ENDS = list(OrderEnd)
SHORT_SYMBOL = 24  # characters; with more of them an event weighs more

_NONE: list[Any] = []  # no callbacks to make; never written to
_POSITION_KINDS = (codes.OPENED, codes.CHANGED, codes.CLOSED)
_CAUSES = ("margin_call", "delisted", "symbol_changed")  # tags of the engine's own orders, by codes.BY_...


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
            time_ns, group = broker.time_ns(), self._recorder.group
            for row in broker.state.effects[:count].tolist():
                kind = row[_KIND]
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
        order = self._broker.handles.get(row[_ORDER])
        if order is None:  # the engine's own
            symbol = self._broker.symbols[row[_SYMBOL]]
            side = Side.BUY if row[_SIDE] > 0 else Side.SELL
            order = Order(None, row[_ORDER], symbol, side, OrderType.MARKET, tag=_CAUSES[row[_CAUSE]])
            self._broker.handles[order.id] = order
        quantity = None if math.isnan(row[_QUANTITY]) else row[_QUANTITY]
        order.quantity = quantity
        order.leaves = quantity or 0.0
        order.status = OrderStatus.WORKING
        self._record_submission(order, time_ns)
        self._tell_order(order)

    def _record_submission(self, order: Order, time_ns: int) -> None:
        if not self._records_orders:
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
                limit_price=_finite(order.limit),
                stop_price=_finite(order.stop),
                trail_amount=_finite(order.trail_amount),
                trail_percent=_finite(order.trail_percent),
                limit_offset=_finite(order.limit_offset),
                expires_ns=order.expires_ns,
                post_only=order.post_only,
                reduce_only=order.reduce_only,
                oco_group=order.group,
                parent_order_id=order.parent_id,
                tag=order.tag,
                position_id=order.position_id,
            ),
            256 if order.tag is None and order.group is None and len(order.symbol) <= SHORT_SYMBOL else 1_024,
        )

    def _refuse(self, order: Order, quantity: float) -> None:
        """Refuse an order for a symbol that the run does not have."""
        self.orders += 1
        order.quantity = _finite(quantity)
        time_ns = self._broker.time_ns()
        self._recorder.group()
        self._record_submission(order, time_ns)
        self._rejected_with(order, RejectReason.UNKNOWN_SYMBOL, time_ns)

    def _rejected(self, row: tuple[Any, ...], time_ns: int) -> None:
        order = self._broker.handles.pop(row[_ORDER])
        self._rejected_with(order, _REJECT_REASONS[row[_REASON]], time_ns)

    def _rejected_with(self, order: Order, reason: RejectReason, time_ns: int) -> None:
        order.status = OrderStatus.REJECTED
        order.reason = reason
        order.leaves = 0.0
        if self._records_orders:
            sequence = self._recorder.next_sequence()
            self._recorder.add(OrderRejected(sequence=sequence, time_ns=time_ns, order_id=order.id, reason=reason))
        self._tell_order(order)

    def _modified(self, row: tuple[Any, ...], time_ns: int) -> None:
        order = self._broker.handles[row[_ORDER]]
        order.leaves = row[_QUANTITY]
        order.quantity = order.filled + order.leaves
        order.limit = _finite(row[_LIMIT])
        order.stop = _finite(row[_STOP])
        order.trail_amount = _finite(row[_TRAIL])
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
                    trail_percent=_finite(order.trail_percent),
                )
            )
        self._tell_order(order)

    def _triggered(self, row: tuple[Any, ...], time_ns: int) -> None:
        order = self._broker.handles[row[_ORDER]]
        if self._records_orders:
            sequence = self._recorder.next_sequence()
            self._recorder.add(OrderTriggered(sequence=sequence, time_ns=time_ns, order_id=order.id, price=row[_PRICE]))
        self._tell_order(order)

    def _cancelled(self, row: tuple[Any, ...], time_ns: int) -> None:
        order = self._broker.handles.pop(row[_ORDER])
        order.status = OrderStatus.CANCELLED
        reason = order.reason = _ENDS[row[_REASON]]
        order.leaves = 0.0
        if self._records_orders:
            self._recorder.add(
                OrderCancelled(
                    sequence=self._recorder.next_sequence(),
                    time_ns=time_ns,
                    order_id=order.id,
                    reason=reason,
                    quantity=row[_LEAVES],
                )
            )
        self._tell_order(order)

    def _expired(self, row: tuple[Any, ...], time_ns: int) -> None:
        order = self._broker.handles.pop(row[_ORDER])
        order.status = OrderStatus.EXPIRED
        order.leaves = 0.0
        if self._records_orders:
            sequence = self._recorder.next_sequence()
            self._recorder.add(OrderExpired(sequence=sequence, time_ns=time_ns, order_id=order.id, quantity=row[_LEAVES]))
        self._tell_order(order)

    def _filled(self, row: tuple[Any, ...], time_ns: int) -> None:
        self.fills += 1
        order = self._broker.handles[row[_ORDER]]
        quantity, price, leaves = row[_QUANTITY], row[_PRICE], row[_LEAVES]
        value = (order.average_price or 0.0) * order.filled + price * quantity
        order.filled += quantity
        order.average_price = value / order.filled
        order.leaves = leaves
        if leaves <= 0.0:
            order.status = OrderStatus.FILLED
            del self._broker.handles[order.id]
        self._recorder.add(
            OrderFilled(
                sequence=self._recorder.next_sequence(),
                time_ns=time_ns,
                fill_id=row[_FILL],
                order_id=order.id,
                symbol=order.symbol,
                side=order.side,
                quantity=quantity,
                price=price,
                commission=row[_COMMISSION],
                leaves_quantity=leaves,
                is_maker=bool(row[_MAKER]),
                conversion=row[_RATE],
                position_id=row[_POSITION] or None,
            )
        )
        if self._on_fill is not None:
            fill = Fill(order, order.symbol, order.side, quantity, price, row[_COMMISSION], row[_RATE], row[_POSITION] or None)
            self._notices.append((self._on_fill, fill))
        self._tell_order(order)

    # --- positions ---

    def _position(self, row: tuple[Any, ...]) -> Position:
        symbol = self._broker.symbols[row[_SYMBOL]]
        if self._is_hedging:
            position = self._broker.lots.setdefault(row[_POSITION], Position(symbol))
        else:
            position = self._broker.positions[symbol]
        position.id = row[_POSITION]
        position.quantity = row[_QUANTITY]
        position.average_price = row[_AVERAGE]
        position.commission = row[_COMMISSION]
        position.realized_pnl = row[_REALIZED]
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
        self._recorder.add(
            PositionOpened(
                sequence=self._recorder.next_sequence(),
                time_ns=time_ns,
                position_id=row[_POSITION],
                symbol=position.symbol,
                quantity=row[_QUANTITY],
                average_price=row[_AVERAGE],
                commission=row[_COMMISSION],
                realized_pnl=row[_REALIZED],
            )
        )

    def _changed(self, row: tuple[Any, ...], time_ns: int) -> None:
        position = self._position(row)
        self._recorder.add(
            PositionChanged(
                sequence=self._recorder.next_sequence(),
                time_ns=time_ns,
                position_id=row[_POSITION],
                symbol=position.symbol,
                quantity=row[_QUANTITY],
                average_price=row[_AVERAGE],
                commission=row[_COMMISSION],
                realized_pnl=row[_REALIZED],
                gross_pnl=row[_GROSS],
            )
        )

    def _closed(self, row: tuple[Any, ...], time_ns: int) -> None:
        position = self._position(row)
        position.quantity = 0.0
        if self._is_hedging:
            del self._broker.lots[row[_POSITION]]
            self._net(position.symbol)
        average, side = row[_AVERAGE], row[_SIDE]
        fraction = side * (row[_CLOSE] / average - 1.0) if average > 0.0 else None
        self.pnl.append(row[_REALIZED])
        self.gross.append(row[_GROSS])
        self.returns.append(math.nan if fraction is None else fraction)
        self.bars_held.append(row[_BARS])
        self.sides.append(side)
        self.traded.append(row[_SYMBOL])
        self.fees.append(row[_COMMISSION])
        self._recorder.add(
            PositionClosed(
                sequence=self._recorder.next_sequence(),
                time_ns=time_ns,
                position_id=row[_POSITION],
                symbol=position.symbol,
                side=Side.BUY if side > 0 else Side.SELL,
                quantity=row[_QUANTITY],
                average_price=average,
                average_close=row[_CLOSE],
                commission=row[_COMMISSION],
                realized_pnl=row[_REALIZED],
                gross_pnl=row[_GROSS],
                return_fraction=fraction,
                opened_ns=int(self._broker.tape.time_ns[row[_OPENED]]),
                bars_held=row[_BARS],
                mae=row[_MAE],
                mfe=row[_MFE],
            ),
            512,
        )

    def report_positions(self, step: int) -> None:
        """Report what each open position is worth at the step's close, ascending by its id.

        Excursions are those up to the last marked step, and at this close: what a close at this price would report.
        """
        tape, state = self._broker.tape, self._broker.state
        held = [place for place in range(int(state.core[0]["symbols"])) if state.symbols[place]["quantity"] != 0.0]
        for place in sorted(held, key=lambda place: int(state.symbols[place]["position_id"])):
            position = state.symbols[place]
            price = float(price_at(tape, state, place, step))
            unrealized = float(gain_of(position, position["quantity"], price, rate_at(tape, position, step)))
            gain = float(position["gross"]) + unrealized
            self._recorder.group()
            self._recorder.add(
                PositionMarked(
                    sequence=self._recorder.next_sequence(),
                    time_ns=int(tape.time_ns[step]),
                    position_id=int(position["position_id"]),
                    symbol=self._broker.symbols[int(position["base"])],
                    price=price,
                    unrealized_pnl=unrealized,
                    mae=min(float(position["mae"]), gain),
                    mfe=max(float(position["mfe"]), gain),
                    bars_held=int(row_at(tape, state, place, step)) - int(position["opened_row"]),
                )
            )

    # --- account ---

    def _margin_called(self, row: tuple[Any, ...], time_ns: int) -> None:
        sequence = self._recorder.next_sequence()
        self._recorder.add(
            MarginCalled(sequence=sequence, time_ns=time_ns, equity=row[_QUANTITY], maintenance=row[_PRICE])
        )  # fmt: skip

    def _split_applied(self, row: tuple[Any, ...], time_ns: int) -> None:
        symbol = self._broker.symbols[row[_SYMBOL]]
        position = self._broker.lots[row[_POSITION]] if self._is_hedging else self._broker.positions[symbol]
        position.quantity, position.average_price = row[_QUANTITY], row[_AVERAGE]
        if self._is_hedging:
            self._net(symbol)
        self._recorder.add(
            SplitApplied(
                sequence=self._recorder.next_sequence(),
                time_ns=time_ns,
                symbol=symbol,
                position_id=row[_POSITION],
                ratio=row[_RATE],
                quantity=row[_QUANTITY],
                average_price=row[_AVERAGE],
                cash=row[_PRICE],
            )
        )

    def _dividend_paid(self, row: tuple[Any, ...], time_ns: int) -> None:
        self._recorder.add(
            DividendPaid(
                sequence=self._recorder.next_sequence(),
                time_ns=time_ns,
                symbol=self._broker.symbols[row[_SYMBOL]],
                position_id=row[_POSITION],
                per_share=row[_RATE],
                amount=row[_QUANTITY],
            )
        )

    def _funding_paid(self, row: tuple[Any, ...], time_ns: int) -> None:
        self._recorder.add(
            FundingPaid(
                sequence=self._recorder.next_sequence(),
                time_ns=time_ns,
                symbol=self._broker.symbols[row[_SYMBOL]],
                position_id=row[_POSITION],
                rate=row[_RATE],
                price=row[_PRICE],
                amount=row[_QUANTITY],
            )
        )

    def _borrow_paid(self, row: tuple[Any, ...], time_ns: int) -> None:
        self._recorder.add(
            BorrowPaid(
                sequence=self._recorder.next_sequence(),
                time_ns=time_ns,
                symbol=self._broker.symbols[row[_SYMBOL]],
                position_id=row[_POSITION],
                rate=row[_RATE],
                amount=row[_QUANTITY],
            )
        )

    def _symbol_changed(self, row: tuple[Any, ...], time_ns: int) -> None:
        """Record the change, and move what the strategy sees: the position, the lots, the orders' handles."""
        broker = self._broker
        symbol, successor = broker.symbols[row[_SYMBOL]], broker.symbols[row[_TYPE]]
        sequence = self._recorder.next_sequence()
        self._recorder.add(SymbolChanged(sequence=sequence, time_ns=time_ns, symbol=symbol, new_symbol=successor))
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
            moved = broker.positions[symbol]
            broker.positions[symbol].copy_to(broker.positions[successor])
            Position(symbol).copy_to(moved)

    def _delisted(self, row: tuple[Any, ...], time_ns: int) -> None:
        sequence, symbol = self._recorder.next_sequence(), self._broker.symbols[row[_SYMBOL]]
        self._recorder.add(InstrumentDelisted(sequence=sequence, time_ns=time_ns, symbol=symbol, price=row[_PRICE]))

    def report_marks(self, at_least: int) -> None:
        """Report the pending equity marks in blocks, if there are ``at_least`` so many."""
        core = self._broker.state.core[0]
        count = int(core["marks"])
        if count < max(at_least, 1):
            return
        marks = self._broker.state.marks
        for first in range(0, count, MARKS_PER_EVENT):
            part = marks[first : min(count, first + MARKS_PER_EVENT)]
            times = self._broker.tape.time_ns[part["step"]].tolist()
            self._recorder.group()
            self._recorder.add(
                EquityMarked(
                    sequence=self._recorder.next_sequence(),
                    time_ns=times[-1],
                    times_ns=tuple(times),
                    equity=tuple(part["equity"].tolist()),
                    cash=tuple(part["cash"].tolist()),
                    exposure=tuple(part["exposure"].tolist()),
                    drawdown=tuple(part["drawdown"].tolist()),
                ),
                256 + MARK_WEIGHT * len(times),
            )
        core["marks"] = 0


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


def _finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity: such a price is shown as absent. Its order is rejected."""
    return value if value is not None and math.isfinite(value) else None
