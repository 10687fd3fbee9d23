"""This module groups fills into trades: flat to flat, or fill to fill with the oldest or the newest first.

A backtest's own trades are its positions (flat to flat); the other groupings are other views of the same fills, and sum
to the same gross PnL.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.ledger import Execution

Grouping = Literal["flat_to_flat", "fill_to_fill"]


@dataclass(frozen=True, slots=True)
class Trade:
    """One round trip."""

    side: int
    quantity: float
    entry_price: float
    exit_price: float
    gross_pnl: float
    commission: float


def trades_of(
    fills: Sequence[Execution], *, grouping: Grouping, multiplier: float = 1.0, newest_first: bool = False
) -> list[Trade]:
    """Return the closed trades of one instrument's fills, in the order of their closing."""
    pairs = _matched(fills, multiplier, newest_first=newest_first)
    if grouping == "fill_to_fill":
        return [trade for _, trade in pairs]
    rounds: dict[int, list[Trade]] = {}
    for number, trade in pairs:
        rounds.setdefault(number, []).append(trade)
    return [_joined(parts) for parts in rounds.values()]


def _matched(fills: Sequence[Execution], multiplier: float, *, newest_first: bool) -> list[tuple[int, Trade]]:
    """Match each closing quantity with open ones; each pair has the number of its flat-to-flat round."""
    result: list[tuple[int, Trade]] = []
    lots: list[list[float]] = []  # [quantity left, price, commission per unit] of the open fills
    side, number = 0, 0
    for fill in fills:
        left, fee = fill.quantity, fill.commission / fill.quantity
        while left > 1e-12 and lots and fill.side != side:
            lot = lots[-1 if newest_first else 0]
            size = min(left, lot[0])
            gain = side * size * multiplier * (fill.price - lot[1])
            result.append((number, Trade(side, size, lot[1], fill.price, gain, size * (lot[2] + fee))))
            lot[0] -= size
            left -= size
            if lot[0] <= 1e-12:
                lots.remove(lot)
        if left > 1e-12:
            if not lots:
                side, number = fill.side, number + 1
            lots.append([left, fill.price, fee])
    return result


def _joined(parts: list[Trade]) -> Trade:
    size = sum(part.quantity for part in parts)
    return Trade(
        side=parts[0].side,
        quantity=size,
        entry_price=sum(part.quantity * part.entry_price for part in parts) / size,
        exit_price=sum(part.quantity * part.exit_price for part in parts) / size,
        gross_pnl=sum(part.gross_pnl for part in parts),
        commission=sum(part.commission for part in parts),
    )
