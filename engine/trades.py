"""This module groups fills into trades: flat to flat, or fill to fill with the oldest (FIFO) or the newest (LIFO) first.

A backtest's own trades are its positions (flat to flat); the other groupings are other views of the same fills, and sum
to the same gross PnL (but for contracts on margin in another currency, whose gains are converted when they are realised).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Grouping = Literal["flat_to_flat", "fill_to_fill"]

DUST = 1e-12  # units: below it a quantity is the noise of a float


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill as it went in."""

    side: int
    quantity: float
    price: float
    commission: float
    conversion: float = 1.0  # account currency per unit of the currency that price is in
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a contract's units are worth."""

    multiplier: float = 1.0
    is_inverse: bool = False
    is_margined: bool = False


@dataclass(frozen=True, slots=True)
class Trade:
    """One round trip. Money in account currency."""

    side: int
    quantity: float
    entry_price: float
    exit_price: float
    gross_pnl: float
    commission: float
    opened_ns: int = 0
    closed_ns: int = 0


class Matcher:
    """Matches the fills of one position, or of one symbol's positions one after the other."""

    def __init__(self, terms: Terms, *, newest_first: bool = False) -> None:
        self.terms = terms
        self.pairs: list[tuple[int, Trade]] = []  # closed trades, each with the number of its flat-to-flat round
        self._newest_first = newest_first
        self._open: list[Execution] = []  # what is left of the fills that opened; their commission is per unit
        self.side = 0  # of what is open
        self._round = 0

    @property
    def quantity(self) -> float:
        """What is open, without its sign."""
        return sum(each.quantity for each in self._open)

    def fill(self, fill: Execution) -> None:
        """Close open fills against this one; what is left of it opens."""
        left, fee = fill.quantity, fill.commission / fill.quantity
        while left > DUST and self._open and fill.side != self.side:
            place = -1 if self._newest_first else 0
            entry = self._open[place]
            size = min(left, entry.quantity)
            gain = gain_of(self.terms, entry, fill, size)
            fees = size * (entry.commission + fee)
            trade = Trade(self.side, size, entry.price, fill.price, gain, fees, entry.time_ns, fill.time_ns)
            self.pairs.append((self._round, trade))
            left -= size
            self._open[place] = replace(entry, quantity=entry.quantity - size)
            if entry.quantity - size <= DUST:
                del self._open[place]
        if left > DUST:
            if not self._open:
                self.side, self._round = fill.side, self._round + 1
            self._open.append(replace(fill, quantity=left, commission=fee))

    def split(self, ratio: float, whole: float, price: float, conversion: float, time_ns: int) -> None:
        """Split what is open. What is more than ``whole`` is closed at this price (after the split), without commission."""
        self._open = [
            replace(each, quantity=each.quantity / ratio, price=each.price * ratio, commission=each.commission * ratio)
            for each in self._open
        ]
        fraction = self.quantity - abs(whole)
        if fraction > 1e-9:
            self.fill(Execution(-self.side, fraction, price, 0.0, conversion, time_ns))

    def trades(self, grouping: Grouping) -> list[Trade]:
        """Return the closed trades, in the order of their closing."""
        if grouping == "fill_to_fill":
            return [trade for _, trade in self.pairs]
        rounds: dict[int, list[Trade]] = {}
        for number, trade in self.pairs:
            if number != self._round or not self._open:  # the last round may be open still
                rounds.setdefault(number, []).append(trade)
        return [_joined(parts) for parts in rounds.values()]


def gain_of(terms: Terms, entry: Execution, fill: Execution, size: float) -> float:
    """Return what a quantity has gained from its entry to its exit, as kernels/valuation.py does."""
    if terms.is_inverse:
        return entry.side * size * terms.multiplier * (1.0 / entry.price - 1.0 / fill.price) * fill.conversion
    if terms.is_margined or entry.conversion == fill.conversion == 1.0:
        return entry.side * size * terms.multiplier * (fill.price - entry.price) * fill.conversion
    return entry.side * size * terms.multiplier * (fill.price * fill.conversion - entry.price * entry.conversion)


def trades_of(
    fills: Sequence[Execution], *, grouping: Grouping, multiplier: float = 1.0, newest_first: bool = False
) -> list[Trade]:
    """Return the closed trades of one instrument's fills, in the order of their closing."""
    matcher = Matcher(Terms(multiplier), newest_first=newest_first)
    for fill in fills:
        matcher.fill(fill)
    return matcher.trades(grouping)


def _joined(parts: list[Trade]) -> Trade:
    size = sum(part.quantity for part in parts)
    return Trade(
        side=parts[0].side,
        quantity=size,
        entry_price=sum(part.quantity * part.entry_price for part in parts) / size,
        exit_price=sum(part.quantity * part.exit_price for part in parts) / size,
        gross_pnl=sum(part.gross_pnl for part in parts),
        commission=sum(part.commission for part in parts),
        opened_ns=min(part.opened_ns for part in parts),
        closed_ns=max(part.closed_ns for part in parts),
    )
