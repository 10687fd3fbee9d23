"""This module keeps the books of one instrument outside a simulation, with the simulation's own kernels.

It serves conformance cases and tests: fills and marks go in, the position and the account come out.
"""

from dataclasses import dataclass

import numpy as np

from engine.kernels import codes
from engine.kernels.accounting import book_fill, excursion
from engine.kernels.corporate import apply_dividend, apply_funding, apply_split
from engine.kernels.records import EFFECT, State, Tape
from engine.kernels.valuation import gain_of, value_of
from engine.market import lay_out
from engine.setup import first_state
from engine.trades import Execution
from schemas.events import Side
from schemas.market_data import Bars, Instrument, Market
from schemas.spec import AccountSpec, BacktestSpec, parse_spec


@dataclass(frozen=True, slots=True)
class Closed:
    """A position that ended. Money in account currency."""

    side: int
    quantity: float
    average_price: float
    average_close: float
    realized_pnl: float
    gross_pnl: float
    commission: float
    mae: float
    mfe: float

    @property
    def return_fraction(self) -> float:
        return self.side * (self.average_close / self.average_price - 1.0)


class Ledger:
    """One instrument's position and the account around it."""

    def __init__(self, instrument: Instrument, account: AccountSpec) -> None:
        self._tape, self._state = _empty(instrument, account)
        self.price = 0.0  # the last mark or fill
        self.executions: list[Execution] = []

    def fill(self, side: Side, quantity: float, price: float, commission: float = 0.0) -> Closed | None:
        """Book a fill. Return the position that it ended, if it did."""
        sign = 1 if side is Side.BUY else -1
        self.price = price
        self.executions.append(Execution(sign, quantity, price, commission))
        core = self._state.core[0]
        core["effects"] = 0
        book_fill(self._tape, self._state, 0, sign, quantity, price, commission, 0, True)
        for effect in self._state.effects[: int(core["effects"])]:
            if effect["kind"] == codes.CLOSED:
                return Closed(
                    side=int(effect["side"]),
                    **{name: float(effect[field]) for name, field in _CLOSED_FIELDS.items()},
                )
        return None

    def mark(self, price: float) -> None:
        self.price = price
        if self.quantity != 0.0:
            excursion(self._state.symbols[0], price, 1.0)

    def split(self, ratio: float) -> float:
        """Split the position. Return what was less than a lot of it, and paid in cash."""
        self.price *= ratio
        self._state.core[0]["effects"] = 0
        return float(apply_split(self._state, 0, ratio, self.price, 1.0, 0))

    def dividend(self, per_share: float) -> float:
        self._state.core[0]["effects"] = 0
        return float(apply_dividend(self._state, 0, per_share, 1.0, 0))

    def funding(self, rate: float) -> float:
        self._state.core[0]["effects"] = 0
        return float(apply_funding(self._state, 0, rate, self.price, 1.0, 0))

    @property
    def quantity(self) -> float:
        return float(self._state.symbols[0]["quantity"])

    @property
    def average_price(self) -> float:
        return float(self._state.symbols[0]["average"])

    @property
    def realized_pnl(self) -> float:
        """Of the open position, commissions inside."""
        return float(self._state.symbols[0]["realized"])

    @property
    def unrealized_pnl(self) -> float:
        return float(gain_of(self._state.symbols[0], self.quantity, self.price, 1.0))

    @property
    def cash(self) -> float:
        return float(self._state.core[0]["cash"])

    @property
    def equity(self) -> float:
        return self.cash + float(value_of(self._state.symbols[0], self.price, 1.0))


_CLOSED_FIELDS = {
    "quantity": "quantity",
    "average_price": "average",
    "average_close": "close",
    "realized_pnl": "realized",
    "gross_pnl": "gross",
    "commission": "commission",
    "mae": "mae",
    "mfe": "mfe",
}


def _empty(instrument: Instrument, account: AccountSpec) -> tuple[Tape, State]:
    """Return a market of one bar, and a state without positions."""
    one = np.ones(1)
    bars = Bars(
        symbol=instrument.symbol, timeframe="1m", time_ns=np.zeros(1, dtype=np.int64), open=one, high=one, low=one, close=one,
        volume=one,
    )  # fmt: skip
    market = Market(bars=(bars,), instruments=(instrument,))
    tape = lay_out(market)
    spec: BacktestSpec = parse_spec(
        {
            "data": {"dataset": "ledger", "symbols": [instrument.symbol], "timeframe": "1m"},
            "strategy": {"name": "order_list"},
            "account": account.model_dump() | {"currency": instrument.currency},
        }
    )
    state = first_state(spec, market, tape)
    assert state.effects.dtype == EFFECT
    return tape, state
