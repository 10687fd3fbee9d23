"""This module stands between a strategy and the kernels: order calls become actions, effects become events and handles."""

import math
from collections.abc import Callable
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.happenings import most_at_once
from engine.kernels import codes
from engine.kernels.accounting import equity_now
from engine.kernels.placed import Placed
from engine.kernels.records import EFFECT, ORDER, SYMBOL, State, Tape, blank_orders, effects_capacity
from engine.kernels.valuation import notional, rate_now
from engine.orders import Order, Position
from engine.rendering import BUY, SELL
from engine.series import Feed, Series
from engine.timeline import Scene
from engine.timers import Timers
from engine.views import MAIN, Lane, Lanes
from schemas.events import OrderType, TimeInForce
from schemas.times import parse_time

MAX_TEXT = 64  # characters
_SIZE = ORDER.itemsize
_BLANK = blank_orders(1).tobytes()
_HEAD = Struct("qqqqqqqd")  # what every order has: action, id, symbol, side, type, time in force, sizing, quantity
assert ORDER.names is not None and ORDER.names[:8] == (
    "action", "id", "symbol", "side", "type", "time_in_force", "sizing", "quantity"
), "an action begins with these"  # fmt: skip


def _term(name: str) -> Callable[[Any, int, Any], None]:
    """Return what writes one further field of an action: (inbox, where the action begins, value)."""
    offset, pack_into = ORDER.fields[name][1], Struct("d" if ORDER[name] == np.float64 else "q").pack_into  # type: ignore[index]
    return lambda inbox, first, value: pack_into(inbox, first + offset, value)


(_LIMIT, _STOP, _EXPIRES, _GROUP, _PARENT, _WAITING, _REDUCE, _TRAIL_AMOUNT, _TRAIL_PERCENT, _LIMIT_OFFSET, _POST_ONLY,
 _POSITION) = (
    _term(name)
    for name in (
        "limit", "stop", "expires_ns", "group", "parent", "is_waiting", "reduce_only", "trail_amount", "trail_percent",
        "limit_offset", "post_only", "position",
    )
)  # fmt: skip
Action = tuple[tuple[Any, ...], list[tuple[Callable[[Any, int, Any], None], Any]]]  # its head, its other terms
_TIME_IN_FORCE = {str(member): (codes.code(member), member) for member in TimeInForce}
_TYPES = {member: codes.code(member) for member in OrderType}
_TYPES[OrderType.TRAILING_STOP] = codes.STOP  # what trails is a stop that moves
_TYPES[OrderType.TRAILING_STOP_LIMIT] = codes.STOP_LIMIT
_NO_TERMS: list[Any] = []
_ONLY_REDUCES: list[Any] = [(_REDUCE, 1)]
_MARKET = OrderType.MARKET
_SESSIONS = {"open": OrderType.MARKET_ON_OPEN, "close": OrderType.MARKET_ON_CLOSE}


class Broker:
    """Takes a strategy's orders and shows it the account. One for each simulation."""

    def __init__(self, scene: Scene, tape: Tape, state: State, history: int) -> None:
        market = scene.market
        self.tape = tape
        self.lanes = Lanes(scene, tape)
        self.timers = Timers(self.lanes)
        self.state = state
        self.step = -1
        self.actions: list[Action | None] = []  # asked for in this callback; None: only look again at the feeds
        self.feeds: list[Feed] = []
        self.handles: dict[int, Order] = {}
        self.symbols = tuple(bars.symbol for bars in market.bars)
        self.positions = {symbol: Position(symbol) for symbol in self.symbols}  # with hedging: the net of the lots
        self.lots: dict[int, Position] = {}  # hedging: the open positions by id, oldest first
        self.cash = float(state.core[0]["cash"])
        self.next_order = 1
        self.refuse: Callable[[Order, float], None] = lambda order, quantity: None  # set by the simulation
        self._index = {symbol: index for index, symbol in enumerate(self.symbols)}
        self._offsets = [int(record["offset"]) for record in state.symbols[:-1]]
        self._multipliers = [float(record["multiplier"]) for record in state.symbols]
        self._is_plain = bool(state.core[0]["is_plain"])
        self._is_hedging = bool(state.core[0]["is_hedging"])
        self._most_due = most_at_once(tape.happenings)
        self._groups: dict[str, int] = {}
        self._history = history
        self._can_prepare = True
        self._working = state.core["orders"]  # views of the core's counters: a third of the price of a look at the record
        self._take_bytes()
        self._lots = [float(record["lot"]) for record in state.symbols]

    # --- what is now ---

    def time_ns(self) -> int:
        return int(self.tape.time_ns[self.step]) if self.step >= 0 else 0

    def price(self, index: int) -> float:
        """Return the symbol's last close, 0 before its first bar."""
        if self.step < 0:
            return 0.0
        is_dense = self.tape.latest.size == 0
        row = self._offsets[index] + self.step if is_dense else int(self.tape.latest[index, self.step])
        return float(self.tape.close[row]) if row >= 0 else 0.0

    def equity(self) -> float:
        if not self._is_plain:
            self._look()
            return float(equity_now(self.tape, self.state))
        equity = self.cash
        for index, symbol in enumerate(self.symbols):
            quantity = self.positions[symbol].quantity
            if quantity:
                equity += quantity * self._multipliers[index] * self.price(index)
        return equity

    def _worth(self, index: int, price: float) -> float:
        """Return what one unit is worth at a price, in account currency."""
        if self._is_plain:
            return price * self._multipliers[index]
        self._look()
        return float(notional(self.state.symbols[index], 1.0, price, rate_now(self.tape, self.state, index)))

    def _look(self) -> None:
        """Let the kernels value positions as of this step."""
        core = self.state.core[0]
        core["price_step"], core["now"] = self.step, max(self.step, 0)

    def has_orders(self) -> bool:
        """Tell whether an order is on the book."""
        return bool(self._working.item())

    def open_orders(self) -> list[Order]:
        return [order for order in self.handles.values() if order.is_open]

    def steps_of(self, symbol: str) -> NDArray[np.int64]:
        """Return the step from which each of the symbol's bars can be seen, -1 for bars of the warm-up."""
        return self.lanes.steps_of(self._index[symbol])

    # --- series ---

    def column(self, index: int, name: str, timeframe: str = MAIN) -> Series:
        """Make the series of one of the symbol's columns, up to now. Raises AttributeError for quotes that are not there."""
        lane = self.lanes.lane(index, timeframe)
        values = getattr(lane.bars, name)
        if values is None:
            raise AttributeError(f"the data has no quotes of {self.symbols[index]}: no column {name!r}")
        return self._feed(values, lane)

    def indicator(self, values: NDArray[np.float64], symbol: str | None, timeframe: str | None) -> Series:
        index = 0 if symbol is None else self.index_of(symbol)
        if not self._can_prepare:
            raise RuntimeError("indicator() belongs into prepare(): later it would let values of later bars in")
        lane = self.lanes.lane(index, timeframe or MAIN)
        if values.shape != (len(lane.bars),):
            which = self.symbols[index] if timeframe is None else f"{self.symbols[index]} in {timeframe}"
            raise ValueError(f"an indicator of {which} has shape ({len(lane.bars)},), not {values.shape}")
        return self._feed(values, lane)

    def index_of(self, symbol: str) -> int:
        """Return the symbol's place. Raises KeyError that says which ones there are."""
        if symbol not in self._index:
            raise KeyError(f"the run has no symbol {symbol!r}; it has {', '.join(self.symbols)}")
        return self._index[symbol]

    def close_preparation(self) -> None:
        """From here on every series shows the past only."""
        self._can_prepare = False

    def _feed(self, values: NDArray[Any], lane: Lane) -> Series:
        feed = Feed(values, lane.lead, lane.counts, self.step, self._history)
        self.feeds.append(feed)
        self.actions.append(None)
        return feed.series

    # --- time ---

    def look(self) -> None:
        """Have the simulation look again at what there is to do, as after an order."""
        self.actions.append(None)

    # --- orders ---

    def order(self, side: int, quantity: float | None, symbol: str | None, terms: dict[str, Any]) -> Order:
        """Send an order, on the short way if a quantity is all that is said of it."""
        if quantity is not None and not terms:
            order = self.market(side, float(quantity), symbol)
            if order is not None:
                return order
        return self.send(side, quantity, symbol=symbol, **terms)

    def send(
        self,
        side: int,
        quantity: float | None = None,
        *,
        symbol: str | None = None,
        value: float | None = None,
        fraction: float | None = None,
        limit: float | None = None,
        stop: float | None = None,
        time_in_force: str = "gtc",
        expires_at: str | int | None = None,
        reduce_only: bool = False,
        post_only: bool = False,
        trail_amount: float | None = None,
        trail_percent: float | None = None,
        trail_ticks: float | None = None,
        limit_offset: float | None = None,
        touch: float | None = None,
        session: str | None = None,
        oco: str | None = None,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        parent: Order | None = None,
        position: int | Position | None = None,
        tag: str | None = None,
    ) -> Order:
        """Send an order, and return its handle.

        quantity, value, fraction : exactly one; units, money, or share of equity (a value or a share is turned into units
            at the price and equity of the fill, whole lots, rounded down)
        limit, stop : prices; both make a stop-limit order, none a market order
        trail_amount, trail_percent, trail_ticks : instead of a stop: it trails the best price by so much
        limit_offset : makes a trailing stop a trailing stop-limit: its limit lies so far beyond the stop
        touch : a price; the order becomes a market order, or with a limit a limit order, when the market has come to it
        session : "open" or "close": a market order for the next first open, or last close, of a session (or UTC day)
        post_only : refuse a limit order that could fill at once, at the last close
        oco : orders with the same text cancel each other
        stop_loss, take_profit : prices of orders that are attached, and live when this one has filled
        parent : attach this order to another: it lives when that one has filled, with the quantity that it filled
        position : hedging: the lot that the order closes, or its id; it then reduces that lot only. Without one the order opens
            a lot of its own
        """
        sizing, amount = _one_of(quantity, value, fraction, codes.BY_UNITS)
        order = self._send(
            side, sizing, amount, symbol, limit=limit, stop=stop, time_in_force=time_in_force, expires_at=expires_at,
            reduce_only=reduce_only, post_only=post_only, trail_amount=trail_amount, trail_percent=trail_percent,
            trail_ticks=trail_ticks, limit_offset=limit_offset, touch=touch, session=session, oco=oco, parent=parent,
            position=position, tag=tag,
        )  # fmt: skip
        if stop_loss is not None or take_profit is not None:
            self._attach(order, side, sizing, amount, stop_loss, take_profit)
        return order

    def target(
        self,
        *,
        symbol: str | None = None,
        quantity: float | None = None,
        value: float | None = None,
        fraction: float | None = None,
        limit: float | None = None,
        tag: str | None = None,
    ) -> Order | None:
        """Send the order that brings the position to a target, judged at the last close; None if nothing is to do."""
        if self._is_hedging:
            raise ValueError("a target needs account.positions netting: with hedging an order opens or closes one lot")
        sizing, amount = _one_of(quantity, value, fraction, codes.TO_UNITS)
        index = self._index.get(symbol or self.symbols[0], 0)
        price = self.price(index) if limit is None else limit
        wanted = amount
        if sizing != codes.TO_UNITS:
            worth = self._worth(index, price)
            if worth <= 0.0:
                return None
            wanted = (amount if sizing == codes.TO_VALUE else amount * self.equity()) / worth
        held = self.positions[self.symbols[index]].quantity
        lot = self._lots[index]
        if not math.isfinite(wanted) or abs(wanted - held) < lot:
            return None
        side = 1 if wanted > held else -1
        return self._send(side, sizing, amount, symbol, limit=limit, tag=tag)

    def close(self, symbol: str | None = None, *, position: int | Position | None = None, tag: str | None = None) -> Order | None:
        """Close a symbol's position, with hedging one lot or all of the symbol's, oldest first (the last order is returned)."""
        if self._is_hedging:
            chosen = self._lots_of(symbol or self.symbols[0]) if position is None else [self._lot(position)]
            order = None
            for lot in chosen:
                side = -1 if lot.quantity > 0.0 else 1
                order = self._send(side, codes.BY_UNITS, abs(lot.quantity), lot.symbol, position=lot, tag=tag)
            return order
        held = self.positions[symbol or self.symbols[0]].quantity
        if held == 0.0:
            return None
        side = -1 if held > 0.0 else 1
        if tag is None:
            return self.market(side, abs(held), symbol, reduce_only=True)
        return self._send(side, codes.BY_UNITS, abs(held), symbol, reduce_only=True, tag=tag)

    def _lots_of(self, symbol: str) -> list[Position]:
        return [lot for lot in self.lots.values() if lot.symbol == symbol]

    def _lot(self, position: int | Position) -> Position:
        """Return a lot by its id; one that is not open, of which an order is refused, where there is none."""
        identity = position.id if isinstance(position, Position) else position
        if not self._is_hedging or identity is None:
            raise ValueError("an order names a position only with account.positions hedging, and by one that was opened")
        return self.lots.get(identity) or Position(self.symbols[0], id=identity)

    def cancel(self, order: Order) -> None:
        if order.is_open:
            self.actions.append(((codes.CANCEL, order.id, 0, 0, 0, 0, 0, math.nan), []))

    def modify(self, order: Order, *, quantity: float | None, limit: float | None, stop: float | None) -> None:
        if order.is_open:
            head = (codes.MODIFY, order.id, 0, 0, 0, 0, 0, math.nan if quantity is None else quantity)
            prices = [(_LIMIT, limit), (_STOP, stop)]
            self.actions.append((head, [(term, price) for term, price in prices if price is not None]))

    def market(self, side: int, quantity: float, symbol: str | None = None, *, reduce_only: bool = False) -> Order | None:
        """Send a market order of so many units without further terms; None for a symbol that the run does not have."""
        if symbol is None:
            symbol = self.symbols[0]
        index = self._index.get(symbol)
        if index is None:
            return None
        number = self.next_order
        self.next_order = number + 1
        order = Order(self, number, symbol, BUY if side > 0 else SELL, _MARKET)
        order._is_plain = True
        self.handles[number] = order
        head = (codes.SUBMIT, number, index, side, codes.MARKET, codes.GTC, codes.BY_UNITS, quantity)
        if reduce_only:
            order.reduce_only = True
            self.actions.append((head, _ONLY_REDUCES))
        else:
            self.actions.append((head, _NO_TERMS))
        return order

    def _send(
        self, side: int, sizing: int, amount: float, symbol: str | None, *, limit: float | None = None,
        stop: float | None = None, time_in_force: str = "gtc", expires_at: str | int | None = None, reduce_only: bool = False,
        post_only: bool = False, trail_amount: float | None = None, trail_percent: float | None = None,
        trail_ticks: float | None = None, limit_offset: float | None = None, touch: float | None = None,
        session: str | None = None, oco: str | None = None, parent: Order | None = None,
        position: int | Position | None = None, tag: str | None = None,
    ) -> Order:  # fmt: skip
        lot = None if position is None else self._lot(position)
        if symbol is None:
            symbol = self.symbols[0] if lot is None else lot.symbol
        if lot is not None:
            reduce_only = True
        for text in (tag, oco, symbol):
            if text is not None and len(text) > MAX_TEXT:
                raise ValueError(f"a tag, a group and a symbol have at most {MAX_TEXT} characters")
        if trail_ticks is not None:
            trail_amount = self._amount_of(trail_ticks, symbol, trail_amount)
        is_trailing = trail_amount is not None or trail_percent is not None
        order_type = _type_of(limit, stop, touch, session, limit_offset, is_trailing)
        stop = stop if touch is None else touch
        tif_code, tif = _TIME_IN_FORCE[time_in_force]
        expires_ns = _expiry(tif, expires_at)
        order = Order(
            self, self.next_order, symbol, BUY if side > 0 else SELL, order_type, limit=limit, stop=stop,
            time_in_force=tif, expires_ns=expires_ns, reduce_only=reduce_only, group=oco,
            parent_id=None if parent is None else parent.id, tag=tag,
        )  # fmt: skip
        order.position_id = None if lot is None else lot.id
        self.next_order += 1
        index = self._index.get(symbol)
        if index is None:
            self.state.core[0]["next_order"] = self.next_order
            self.refuse(order, amount)
            return order
        self.handles[order.id] = order
        terms: list[tuple[Any, Any]] = [(_REDUCE, 1)] if reduce_only else []
        if limit is not None:
            terms.append((_LIMIT, limit))
        if stop is not None:
            terms.append((_STOP, stop))
        if is_trailing:
            order.trail_amount, order.trail_percent = trail_amount, trail_percent
            terms.append((_TRAIL_AMOUNT, math.nan if trail_amount is None else trail_amount))
            terms.append((_TRAIL_PERCENT, math.nan if trail_percent is None else trail_percent))
        if limit_offset is not None:
            order.limit_offset = limit_offset
            terms.append((_LIMIT_OFFSET, limit_offset))
        if post_only:
            order.post_only = True
            terms.append((_POST_ONLY, 1))
        if expires_ns is not None:
            terms.append((_EXPIRES, expires_ns))
        if oco is not None:
            terms.append((_GROUP, self._groups.setdefault(oco, len(self._groups) + 1)))
        if lot is not None:
            terms.append((_POSITION, lot.id))
        if parent is not None:
            terms += [(_PARENT, parent.id), (_WAITING, 1)]
        self.actions.append(((codes.SUBMIT, order.id, index, side, _TYPES[order_type], tif_code, sizing, amount), terms))
        return order

    def _amount_of(self, trail_ticks: float, symbol: str, trail_amount: float | None) -> float:
        """Return a distance in ticks as an amount. Without a tick it is 0, which is refused."""
        if trail_amount is not None:
            raise ValueError("a stop trails by an amount, a percentage or ticks: one of them")
        index = self._index.get(symbol, 0)
        return trail_ticks * float(self.state.symbols[index]["tick"])

    def _attach(
        self, order: Order, side: int, sizing: int, amount: float, stop_loss: float | None, take_profit: float | None
    ) -> None:
        """Send the two exits of a bracket: they live with the entry's fills, and cancel each other."""
        group = f"bracket {order.id}"
        name = "" if order.tag is None else order.tag[: MAX_TEXT - 8] + "."
        terms: dict[str, Any] = {"reduce_only": True, "oco": group, "parent": order}
        if stop_loss is not None:
            self._send(-side, sizing, amount, order.symbol, stop=stop_loss, tag=name + "stop", **terms)
        if take_profit is not None:
            self._send(-side, sizing, amount, order.symbol, limit=take_profit, tag=name + "target", **terms)

    # --- towards the kernels ---

    def fill_inbox(self) -> int:
        """Write the actions into the inbox, with room for what they can bring about. Return how many there are."""
        if not self.actions:
            return 0
        actions = [action for action in self.actions if action is not None]
        self.actions.clear()
        if not actions:
            return 0
        state = self.state
        working = self._working.item() + len(actions)
        needs_lots = self._is_hedging and len(self.lots) + working + len(self.symbols) >= len(state.symbols) - 1
        if len(actions) > len(state.inbox) or working >= len(state.book) or needs_lots:
            self._grow(len(actions), working)
        inbox, first = self._inbox, 0
        for head, terms in actions:
            inbox[first : first + _SIZE] = _BLANK
            _HEAD.pack_into(inbox, first, *head)
            for write, value in terms:
                write(inbox, first, value)
            first += _SIZE
        return len(actions)

    def _grow(self, actions: int, working: int) -> None:
        state = self.state
        book = np.zeros(max(len(state.book), 2 * working + 1), dtype=ORDER)
        book[: len(state.book)] = state.book
        symbols = state.symbols
        if self._is_hedging:  # every working order may open a lot
            needed = len(self.lots) + working + len(self.symbols)
            symbols = np.zeros(max(len(state.symbols), 2 * needed + 1), dtype=SYMBOL)
            symbols[: len(state.symbols)] = state.symbols
        self.state = state._replace(
            symbols=symbols,
            book=book,
            inbox=np.zeros(max(len(state.inbox), 2 * actions), dtype=ORDER),
            effects=np.zeros(effects_capacity(len(book) + 2 * actions, len(symbols), self._most_due), dtype=EFFECT),
        )
        self._take_bytes()

    def _take_bytes(self) -> None:
        """Place the state for the kernels. Take the bytes of the arrays that are read and written record by record; numpy needs
        10 us for each such look.
        """
        self.placed = Placed(self.state)
        self._inbox = self.state.inbox.view(np.uint8).data
        self.effects = self.state.effects.view(np.uint8).data


def _one_of(quantity: float | None, value: float | None, fraction: float | None, first: int) -> tuple[int, float]:
    given = [(place, amount) for place, amount in enumerate((quantity, value, fraction)) if amount is not None]
    if len(given) != 1:
        raise ValueError("an order needs exactly one of quantity, value, fraction")
    place, amount = given[0]
    return first + place, float(amount)


def _type_of(
    limit: float | None, stop: float | None, touch: float | None, session: str | None, offset: float | None, is_trailing: bool
) -> OrderType:
    """Return the type that an order's terms make. Raises ValueError for terms that exclude each other."""
    if offset is not None and not is_trailing:
        raise ValueError("limit_offset belongs to a trailing stop")
    if is_trailing:
        if limit is not None or stop is not None or touch is not None or session is not None:
            raise ValueError("a trailing stop takes no limit, no stop, no touch and no session")
        return OrderType.TRAILING_STOP if offset is None else OrderType.TRAILING_STOP_LIMIT
    if session is not None:
        if session not in _SESSIONS or limit is not None or stop is not None or touch is not None:
            raise ValueError("session is 'open' or 'close', and makes a market order: it takes no price")
        return _SESSIONS[session]
    if touch is not None:
        if stop is not None:
            raise ValueError("an order waits for a stop or for a touch, not for both")
        return OrderType.MARKET_IF_TOUCHED if limit is None else OrderType.LIMIT_IF_TOUCHED
    if limit is None:
        return OrderType.MARKET if stop is None else OrderType.STOP
    return OrderType.LIMIT if stop is None else OrderType.STOP_LIMIT


def _expiry(time_in_force: TimeInForce, expires_at: str | int | None) -> int | None:
    if (time_in_force is TimeInForce.GTD) != (expires_at is not None):
        raise ValueError("expires_at belongs to time_in_force='gtd', and only to it")
    return parse_time(expires_at) if isinstance(expires_at, str) else expires_at
