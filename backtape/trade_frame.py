"""This module lays a log's fills out as trades: flat to flat, or each exit with the oldest or the newest entry."""

from collections.abc import Iterable
from typing import Literal, get_args

import pandas as pd

from engine.trades import Execution, Grouping, Matcher, Terms, Trade
from schemas.commit import decode_commit
from schemas.errors import FieldError
from schemas.events import (
    AnyEvent,
    BacktestStarted,
    OrderFilled,
    PositionChanged,
    PositionClosed,
    Side,
    SplitApplied,
    SymbolChanged,
)

Method = Literal["fifo", "lifo", "flat_to_flat"]

COLUMNS = (
    "symbol", "position_id", "side", "quantity", "opened_at", "closed_at", "entry_price", "exit_price", "gross_pnl", "commission",
    "realized_pnl",
)  # fmt: skip

_Key = tuple[str, int | None]  # symbol, with hedging the lot


def trade_frame(commits: Iterable[bytes], method: str) -> pd.DataFrame:
    """Return one row per closed trade, in the order of closing: symbol, lot (hedging), side, prices, money in account currency.

    method : fifo, lifo (each exit closes the oldest, or newest, fill that is open) or flat_to_flat (from nothing to nothing)
    What is still open has no row. Prices of before a split are adjusted by it. Raises FieldError for another method.
    """
    if method not in get_args(Method):
        raise FieldError.of("method", method, f"one of {', '.join(get_args(Method))}")
    found = _Fills(newest_first=method == "lifo")
    for body in commits:
        for event in decode_commit(body).events:
            found.take(event)
    grouping: Grouping = "flat_to_flat" if method == "flat_to_flat" else "fill_to_fill"
    rows = [(key, trade) for key, matcher in found.matchers.items() for trade in matcher.trades(grouping)]
    rows.sort(key=lambda row: row[1].closed_ns)
    frame = pd.DataFrame([_row(key, trade) for key, trade in rows], columns=list(COLUMNS))
    for name in ("opened_at", "closed_at"):
        frame[name] = pd.to_datetime(frame[name], unit="ns", utc=True)
    frame["position_id"] = pd.array(frame["position_id"].tolist(), dtype="Int64")
    return frame


def _row(key: _Key, trade: Trade) -> tuple[object, ...]:
    return (
        key[0], key[1], "buy" if trade.side > 0 else "sell", trade.quantity, trade.opened_ns, trade.closed_ns, trade.entry_price,
        trade.exit_price, trade.gross_pnl, trade.commission, trade.gross_pnl - trade.commission,
    )  # fmt: skip


class _Fills:
    """Collects a run's fills by symbol, with hedging by lot."""

    def __init__(self, *, newest_first: bool) -> None:
        self.matchers: dict[_Key, Matcher] = {}
        self._newest_first = newest_first
        self._terms: dict[str, Terms] = {}
        self._conversions: dict[str, float] = {}
        self._gross: dict[int, float] = {}  # of each position so far
        self._split: SplitApplied | None = None  # on margin: waits for what its fraction has realised

    def take(self, event: AnyEvent) -> None:
        match event:
            case BacktestStarted():
                multipliers = event.multipliers or (1.0,) * len(event.symbols)
                self._terms = {
                    symbol: Terms(multiplier, symbol in event.inverse, symbol in event.margined)
                    for symbol, multiplier in zip(event.symbols, multipliers, strict=True)
                }
            case OrderFilled():
                self._conversions[event.symbol] = event.conversion
                side = 1 if event.side is Side.BUY else -1
                self._matcher(event.symbol, event.position_id).fill(
                    Execution(side, event.quantity, event.price, event.commission, event.conversion, event.time_ns)
                )
            case SplitApplied():
                self._take_split(event)
            case PositionChanged() | PositionClosed():
                if self._split is not None and self._split.position_id == event.position_id:
                    self._finish_split(self._split, event.gross_pnl - self._gross.get(event.position_id, 0.0))
                self._split = None
                self._gross[event.position_id] = event.gross_pnl
            case SymbolChanged():
                for key in [key for key in self.matchers if key[0] == event.symbol and self.matchers[key].quantity > 0.0]:
                    self.matchers[event.new_symbol, key[1]] = self.matchers.pop(key)
            case _:
                pass

    def _matcher(self, symbol: str, lot: int | None) -> Matcher:
        terms = self._terms.get(symbol, Terms())
        return self.matchers.setdefault((symbol, lot), Matcher(terms, newest_first=self._newest_first))

    def _take_split(self, event: SplitApplied) -> None:
        matcher, terms = self._matcher_of(event), self._terms.get(event.symbol, Terms())
        fraction = matcher.quantity / event.ratio - abs(event.quantity)
        if terms.is_margined and fraction > 1e-9:
            self._split = event
            return
        price = abs(event.cash) / (fraction * terms.multiplier) if fraction > 1e-9 else 0.0  # the conversion is in the cash
        matcher.split(event.ratio, event.quantity, price, 1.0, event.time_ns)

    def _finish_split(self, event: SplitApplied, gain: float) -> None:
        """Close the fraction of a position on margin at the price that its gain tells."""
        matcher, terms = self._matcher_of(event), self._terms.get(event.symbol, Terms())
        fraction = matcher.quantity / event.ratio - abs(event.quantity)
        conversion = self._conversions.get(event.symbol, 1.0)
        price = event.average_price + gain / (matcher.side * fraction * terms.multiplier * conversion)
        matcher.split(event.ratio, event.quantity, price, conversion, event.time_ns)

    def _matcher_of(self, event: SplitApplied) -> Matcher:
        lot = event.position_id if (event.symbol, event.position_id) in self.matchers else None
        return self._matcher(event.symbol, lot)
