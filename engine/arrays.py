"""This module is the other way to write a strategy: a function of whole columns that returns signals, one value for each bar.

    class Momentum(ArrayStrategy):
        def signals(self, data):
            average = sma(data.close, 50)
            return Signals(entries=data.close > average, exits=data.close < average, size=0.95)

A bar's signals follow from bars up to it, and are acted on at its close, with the same events as from an event-driven strategy
that makes the same order calls. The whole run is compiled (``kernels/driving.py``), unless the class overrides a callback about
orders, or the market or the account needs more than that loop knows (``is_driven``); then ``follow`` makes the calls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import StrategyError
from engine.kernels.driving import Plan, packed
from engine.market import read_only
from engine.strategy import Data, Strategy

__all__ = ["ArrayStrategy", "Signals"]

Array = NDArray[Any]

_PRICES = ("limit", "stop", "stop_loss", "take_profit")
_FLAGS = ("exits", "entries", "short_entries")
_BLANKS: dict[str, Any] = {"exits": False, "entries": False, "short_entries": False, "size": 1.0}  # of the others: NaN


@dataclass(frozen=True, slots=True)
class Signals:
    """What to do at each bar's close, in the order of the fields. Arrays have one value for each bar of the symbol.

    exits : close the position, if there is one
    target : bring the position to this share of equity; NaN: leave it
    entries : buy ``size`` of equity, unless the position is long already
    short_entries : sell ``size`` of equity, unless the position is short already
    limit, stop : prices of the order that a target or an entry sends; NaN: none (a target takes no stop)
    stop_loss, take_profit : prices of orders that are attached to an entry; NaN: none
    """

    exits: Array | None = None
    target: Array | None = None
    entries: Array | None = None
    short_entries: Array | None = None
    size: float | Array = 1.0
    limit: Array | None = None
    stop: Array | None = None
    stop_loss: Array | None = None
    take_profit: Array | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """What one symbol's signals say at one bar."""

    symbol: str
    exits: bool
    target: float | None
    side: int  # of an entry; 0: none
    size: float
    prices: dict[str, float]


class ArrayStrategy(Strategy):
    """The base of array-driven strategies: ``signals`` instead of ``on_bar``. The callbacks about orders may be overridden."""

    def signals(self, data: Data) -> Signals | Mapping[str, Signals]:
        """Return the first symbol's signals, or those of several by symbol. Value t must follow from bars up to t."""
        raise NotImplementedError

    _plan: Plan | None = None  # the signals as the compiled loop reads them
    _is_driven: bool = False  # set before ``prepare``

    def prepare(self, data: Data) -> None:
        given = self.signals(data)
        by_symbol = given if isinstance(given, Mapping) else {data.symbols[0]: given}
        if self._is_driven:
            self._plan = plan_of(by_symbol, {symbol: len(data[symbol]) for symbol in data.symbols})
            return
        self._by_step: dict[int, list[Signal]] = {}
        for symbol in data.symbols:  # in the spec's order, whatever the mapping's is
            if symbol in by_symbol:
                rows = signals_of(symbol, by_symbol[symbol], len(data[symbol]))
                steps = self._broker.steps_of(symbol)
                for row, signal in rows:
                    self._by_step.setdefault(int(steps[row]), []).append(signal)
        self._wakes = sorted(step for step in self._by_step if step >= 0)  # those of the warm-up are before the first step

    def on_bar(self) -> None:
        for signal in self._by_step.get(self.step, ()):
            follow(self, signal)


def is_driven(strategy: type[Strategy]) -> bool:
    """Tell whether the strategy leaves all callbacks but ``signals`` as they are, so that nothing has to be told to it."""
    return issubclass(strategy, ArrayStrategy) and all(
        getattr(strategy, name) is getattr(ArrayStrategy, name)
        for name in ("on_start", "on_bar", "on_order", "on_fill", "on_position", "on_end")
    )


def plan_of(by_symbol: Mapping[str, Signals], lengths: Mapping[str, int]) -> Plan:
    """Return the signals of all symbols as the compiled loop reads them: a value for each row of the tape.

    lengths : symbol -> bars, in the order of the tape
    Raises StrategyError for an array that has not one value for each bar.
    """
    parts: dict[str, list[Array | None]] = {name: [] for name in Signals.__dataclass_fields__}
    for symbol, bars in lengths.items():
        signals = by_symbol.get(symbol, Signals())
        for name, columns in parts.items():
            value = getattr(signals, name)
            is_one = name == "size" and np.ndim(value) == 0
            column = np.array([float(value)]) if is_one else _column(symbol, name, value, bars)
            columns.append(_flags(column, bars) if name in _FLAGS and column is not None else column)
    counts = list(lengths.values())
    joined = {name: _joined(columns, counts, _BLANKS.get(name, np.nan)) for name, columns in parts.items()}
    laid_out: dict[str, Any] = {name: packed(column) if name in _FLAGS else column for name, column in joined.items()}
    return Plan(**{name: read_only(column) for name, column in laid_out.items()})


def _joined(columns: list[Array | None], counts: list[int], blank: Any) -> Array:
    """Return the columns one after the other, blank where there is none; empty if there are none at all."""
    if len(columns) == 1:
        return np.ascontiguousarray(columns[0]) if columns[0] is not None else np.zeros(0, dtype=np.array(blank).dtype)
    if all(column is None for column in columns):
        return np.zeros(0, dtype=np.array(blank).dtype)
    full = [
        np.full(count, blank) if column is None else np.broadcast_to(column, (count,))
        for column, count in zip(columns, counts, strict=True)
    ]
    return np.concatenate(full)


def signals_of(symbol: str, signals: Signals, bars: int) -> list[tuple[int, Signal]]:
    """Return the bars that have a signal, each with what it says.

    Raises StrategyError for an array that has not one value for each bar.
    """
    columns = {name: _column(symbol, name, getattr(signals, name), bars) for name in Signals.__dataclass_fields__}
    flags = {name: _flags(columns[name], bars) for name in _FLAGS}
    has_target = np.zeros(bars, dtype=bool) if columns["target"] is None else ~np.isnan(columns["target"])
    said = np.flatnonzero(flags["exits"] | flags["entries"] | flags["short_entries"] | has_target)
    result = []
    for row in said.tolist():
        prices = {name: float(column[row]) for name in _PRICES if (column := columns[name]) is not None}
        target, size = columns["target"], columns["size"]
        result.append(
            (
                row,
                Signal(
                    symbol=symbol,
                    exits=bool(flags["exits"][row]),
                    target=float(target[row]) if target is not None and has_target[row] else None,
                    side=1 if flags["entries"][row] else -1 if flags["short_entries"][row] else 0,
                    size=float(size[row]) if size is not None else 1.0,
                    prices={name: price for name, price in prices.items() if price == price},
                ),
            )
        )
    return result


def follow(strategy: Strategy, signal: Signal) -> None:
    """Do what a signal says, by the strategy's own order calls."""
    symbol, quantity = signal.symbol, strategy.position[signal.symbol].quantity
    if signal.exits and quantity:
        strategy.close(symbol)
    if signal.target is not None:
        strategy.target(fraction=signal.target, symbol=symbol, limit=signal.prices.get("limit"))
    if signal.side and quantity * signal.side <= 0.0:
        send = strategy.buy if signal.side > 0 else strategy.sell
        send(fraction=signal.size, symbol=symbol, **signal.prices)


def _column(symbol: str, name: str, values: float | Array | None, bars: int) -> Array | None:
    if values is None:
        return None
    column = np.full(bars, float(values)) if np.ndim(values) == 0 else np.asarray(values)
    if column.shape != (bars,):
        raise StrategyError(f"signals: {name} of {symbol} has shape {column.shape}, not ({bars},)")
    return column if column.dtype == bool else column.astype(np.float64, copy=False)


def _flags(column: Array | None, bars: int) -> Array:
    """Return where a flag is set. NaN sets none, whether it came as a number or not."""
    if column is None:
        return np.zeros(bars, dtype=bool)
    return column if column.dtype == bool else np.nan_to_num(column) != 0.0
