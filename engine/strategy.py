"""This module is what users write strategies with: a class with callbacks, order calls, positions and growing series.

    class Cross(Strategy):
        class Parameters(Strategy.Parameters):
            fast: int = Field(default=20, ge=1)
            slow: int = Field(default=100, ge=2)

        def prepare(self, data):
            self.fast = self.indicator(moving_average(data.close, self.parameters.fast))
            self.slow = self.indicator(moving_average(data.close, self.parameters.slow))

        def on_bar(self):
            if crossed_above(self.fast, self.slow):
                self.buy(fraction=1)
            elif crossed_above(self.slow, self.fast):
                self.close()

Every series ends at the current bar; nothing in a callback reaches the future. ``prepare`` alone sees whole columns, once,
for vectorised indicators: value t of what it hands to ``indicator`` must follow from bars up to t.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.orders import Fill, Order, Position
from engine.series import COLUMNS, Columns, Series
from engine.timers import Timer
from schemas.spec import Model
from schemas.times import Moment, moment

if TYPE_CHECKING:
    from engine.broker import Broker

__all__ = ["Data", "Fill", "Order", "Position", "Series", "Strategy", "Timer", "crossed", "crossed_above", "crossed_below"]

Value = TypeVar("Value")
Crossing = TypeVar("Crossing", bound=int)


class Data:
    """All symbols' columns in ``prepare``: ``data.close`` is the first symbol's, ``data["AAPL"].close`` any symbol's.

    ``data.frame("1h").close`` and ``data["AAPL"].frame("1h").close`` are those of a further time frame.
    """

    def __init__(self, columns: dict[str, Columns]) -> None:
        self._columns = columns
        self._first = next(iter(columns.values()))
        self.symbols = tuple(columns)

    def __getitem__(self, symbol: str) -> Columns:
        return _of(symbol, self._columns)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._first, name)

    def __len__(self) -> int:
        return len(self._first)


class View:
    """One symbol's bars up to now, as series: ``open, high, low, close, volume, time_ns``. Made when first looked at."""

    open: Series
    high: Series
    low: Series
    close: Series
    volume: Series
    time_ns: list[int]
    bid: Series
    ask: Series

    def __init__(self, broker: "Broker", index: int, timeframe: str = "") -> None:
        self._broker = broker
        self._index = index
        self._timeframe = timeframe

    def __getattr__(self, name: str) -> Any:
        if name not in COLUMNS:
            raise AttributeError(f"bars have no column {name!r}; they have {', '.join(COLUMNS)}")
        series = self._broker.column(self._index, name, self._timeframe)
        setattr(self, name, series)
        return series

    @property
    def count(self) -> int:
        """How many bars are complete by now, those of the warm-up included."""
        lane = self._broker.lanes.lane(self._index, self._timeframe)
        return lane.shown(self._broker.step)

    @property
    def is_new(self) -> bool:
        """Tell whether a bar was completed with this step: always for the only symbol's own, now and then for slower ones."""
        lane = self._broker.lanes.lane(self._index, self._timeframe)
        return lane.shown(self._broker.step) > lane.shown(self._broker.step - 1)


class SymbolView(View):
    """One symbol's bars, also in the further time frames that the spec's ``data.frames`` names."""

    def frame(self, timeframe: str) -> View:
        """Return the symbol's bars in a further time frame: a bar shows when it is complete, not before."""
        frames: dict[str, View] = self.__dict__.setdefault("_frames", {})
        if timeframe not in frames:
            self._broker.lanes.lane(self._index, timeframe)
            frames[timeframe] = View(self._broker, self._index, timeframe)
        return frames[timeframe]


class Bars(SymbolView):
    """The first symbol's bars; ``bars["AAPL"]`` any symbol's."""

    def __init__(self, broker: "Broker", symbols: Sequence[str]) -> None:
        super().__init__(broker, 0)
        self._views: dict[str, SymbolView] = {
            symbol: self if index == 0 else SymbolView(broker, index) for index, symbol in enumerate(symbols)
        }

    def __getitem__(self, symbol: str) -> SymbolView:
        return _of(symbol, self._views)


class Positions:
    """The first symbol's position; ``position["AAPL"]`` any symbol's."""

    def __init__(self, positions: dict[str, Position]) -> None:
        self._positions = positions
        self._first = next(iter(positions.values()))

    def __getitem__(self, symbol: str) -> Position:
        return _of(symbol, self._positions)

    def __iter__(self) -> Any:
        return iter(self._positions.values())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._first, name)

    def __bool__(self) -> bool:
        return self._first.quantity != 0.0


class Strategy:
    """The base of event-driven strategies. Override the callbacks you need; those you don't are never called."""

    class Parameters(Model):
        """The strategy's parameters with their ranges: a strict pydantic model."""

    history: ClassVar[int] = 2_048  # values that every series keeps at least; ask for more by a class attribute

    parameters: Any
    symbols: tuple[str, ...]
    bars: Bars
    position: Positions
    random: random.Random  # seeded by the spec: the only chance there is
    _broker: "Broker"
    _wakes: Sequence[int] | None = None  # the steps at which on_bar has something to do, ascending; None: each of them

    # --- callbacks ---

    def prepare(self, data: Data) -> None:
        """Compute indicators over whole columns, once, before the first bar."""

    def on_start(self) -> None:
        """Called before the first bar. Orders sent here may fill in the first bar; they need a quantity."""

    def on_bar(self) -> None:
        """Called at the close of every step of the merged time line."""

    def on_order(self, order: Order) -> None:
        """Called when an order was taken, refused, changed, triggered, cancelled, expired or filled."""

    def on_fill(self, fill: Fill) -> None:
        """Called for each fill, before ``on_bar`` of the bar it happened in."""

    def on_position(self, position: Position) -> None:
        """Called when a position was opened, changed or closed."""

    def on_end(self) -> None:
        """Called after the last bar."""

    # --- what is now ---

    @property
    def step(self) -> int:
        """The current bar's place on the merged time line: 0, 1, 2 …; -1 before the first."""
        return self._broker.step

    @property
    def time_ns(self) -> int:
        """The start of the current bar, nanoseconds since 1970 UTC."""
        return self._broker.time_ns()

    @property
    def time(self) -> Moment:
        """The start of the current bar, in UTC, to the microsecond."""
        return moment(self.time_ns)

    @property
    def cash(self) -> float:
        return self._broker.cash

    @property
    def equity(self) -> float:
        """Cash and what positions are worth at the last close."""
        return self._broker.equity()

    @property
    def orders(self) -> list[Order]:
        """The orders that may still fill, in the order of their submission."""
        return self._broker.open_orders()

    def lots(self, symbol: str | None = None) -> list[Position]:
        """The open lots, of one symbol or of all, oldest first. Empty without hedging."""
        return [lot for lot in self._broker.lots.values() if symbol is None or lot.symbol == symbol]

    # --- what to do ---

    def buy(self, quantity: float | None = None, *, symbol: str | None = None, **terms: Any) -> Order:
        """Send a buy order. See ``Broker.send`` for the terms: symbol, value, fraction, limit, stop, stop_loss …"""
        return self._broker.order(1, quantity, symbol, terms)

    def sell(self, quantity: float | None = None, *, symbol: str | None = None, **terms: Any) -> Order:
        """Send a sell order; it may open a short position where the account allows it."""
        return self._broker.order(-1, quantity, symbol, terms)

    def target(
        self, *, quantity: float | None = None, value: float | None = None, fraction: float | None = None, **terms: Any
    ) -> Order | None:
        """Send the order that brings the position to a quantity, a value or a share of equity; None if there is nothing to do."""
        return self._broker.target(quantity=quantity, value=value, fraction=fraction, **terms)

    def close(self, symbol: str | None = None, **terms: Any) -> Order | None:
        """Send the market order that closes the position; None if there is none."""
        return self._broker.close(symbol, **terms)

    def cancel_all(self, symbol: str | None = None) -> None:
        """Ask to cancel all open orders, or those of one symbol."""
        for order in self.orders:
            if symbol is None or order.symbol == symbol:
                order.cancel()

    def indicator(self, values: Sequence[float] | NDArray[Any], symbol: str | None = None, *, frame: str | None = None) -> Series:
        """Hand in one value for each bar of the symbol; get the series that shows them bar by bar. Only in ``prepare``.

        frame : a further time frame, one value for each of its bars
        """
        return self._broker.indicator(np.asarray(values, dtype=np.float64), symbol, frame)

    # --- when ---

    def at(self, time: str | int, callback: Callable[[], Any]) -> Timer:
        """Call back once, at the close of the first bar that ends at or after a time (RFC 3339, or ns since 1970 UTC)."""
        timer = self._broker.timers.at(time, callback, self._broker.step)
        self._broker.look()
        return timer

    def every(self, period: str, callback: Callable[[], Any]) -> Timer:
        """Call back at the close of the first bar that ends at or after each whole ``15m``, ``1h``, ``1d`` … of UTC."""
        timer = self._broker.timers.every(period, callback, self._broker.step)
        self._broker.look()
        return timer


def _of(symbol: str, known: Mapping[str, Value]) -> Value:
    try:
        return known[symbol]
    except KeyError:
        raise KeyError(f"the run has no symbol {symbol!r}; it has {', '.join(known)}") from None


def crossed_above(first: Series, second: Series | float) -> bool:
    """Tell whether ``first`` rose above ``second`` with this bar: now above, before not. NaN crosses nothing.

    second : a series, or a level
    """
    try:  # to ask for the type of ``second`` would cost a quarter of all this; a level is a series that stands still
        return first[-1] > second[-1] and first[-2] <= second[-2]  # type: ignore[index]
    except TypeError:
        return _crossed(first, second, crossed_above)
    except IndexError:  # the first bar
        return False


def crossed_below(first: Series, second: Series | float) -> bool:
    """Tell whether ``first`` fell below ``second`` with this bar."""
    try:
        return first[-1] < second[-1] and first[-2] >= second[-2]  # type: ignore[index]
    except TypeError:
        return _crossed(first, second, crossed_below)
    except IndexError:
        return False


def crossed(first: Series, second: Series | float) -> int:
    """Return 1 if ``first`` rose above ``second`` with this bar, -1 if it fell below, else 0.

    What ``crossed_above`` and ``crossed_below`` say, in one call: half the time where a strategy asks for both.

    second : a series, or a level
    """
    try:
        value, level = first[-1], second[-1]  # type: ignore[index]
        if value > level:
            return 1 if first[-2] <= second[-2] else 0  # type: ignore[index]
        return -1 if value < level and first[-2] >= second[-2] else 0  # type: ignore[index]
    except TypeError:
        return _crossed(first, second, crossed)
    except IndexError:
        return 0


def _crossed(first: Series, level: Any, rule: Callable[[Series, Series], Crossing]) -> Crossing:
    """Take a level as a series. Raises TypeError for what is neither."""
    return rule(first, [float(level)] * 2)
