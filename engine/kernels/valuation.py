"""This module says what positions are worth: by contract, by settlement, in account currency.

Linear and quanto: a unit is worth multiplier * price (of a quanto in its currency, whatever the price is quoted in).
Inverse: a contract is worth multiplier / price of the base currency; 100 contracts of 1 USD at 50,000: 0.002 BTC.
Paid in full, a position adds its value to equity, and what it gains is measured against what it cost, both converted.
On margin nothing is paid for it: it adds its unrealised gain, converted now; cash is what is left after gains and fees.
"""

from typing import Any

from engine.kernels.compiled import kernel
from engine.kernels.records import State, Tape


@kernel
def rate_at(tape: Tape, symbol: Any, step: int) -> float:
    """Return account currency for a unit of the symbol's currency, as known when the step begins."""
    if symbol["rate_row"] < 0:
        return 1.0
    return float(tape.rates[symbol["rate_row"], max(step, 0)])


@kernel
def rate_now(tape: Tape, state: State, index: int) -> float:
    """Return the symbol's conversion rate in the step that is played."""
    return rate_at(tape, state.symbols[index], state.core[0]["now"])


@kernel
def notional(symbol: Any, quantity: float, price: float, rate: float) -> float:
    """Return what a quantity is worth at a price, in account currency; of a quantity >= 0 what trading it turns over."""
    if symbol["is_plain"]:
        return float(quantity * symbol["multiplier"] * price)
    if symbol["is_inverse"]:
        return float(quantity * symbol["multiplier"] / price * rate) if price > 0.0 else 0.0
    return float(quantity * symbol["multiplier"] * price * rate)


@kernel
def gain_of(symbol: Any, quantity: float, price: float, rate: float) -> float:
    """Return what a signed quantity of the position has gained at a price, in account currency, without commissions.

    Inverse: long 100 contracts of 1 USD from 50,000 to 62,500 gain 100 * (1 / 50,000 - 1 / 62,500) = 0.0004 BTC.
    Paid in full in another currency: bought at 10 and 1.25, now 11 and 1.3: (11 * 1.3 - 10 * 1.25) a unit.
    """
    if symbol["is_plain"]:
        return float(quantity * symbol["multiplier"] * (price - symbol["average"]))
    if symbol["is_inverse"]:
        if price <= 0.0 or symbol["average"] <= 0.0:
            return 0.0
        return float(quantity * symbol["multiplier"] * (1.0 / symbol["average"] - 1.0 / price) * rate)
    if symbol["is_margined"]:
        return float(quantity * symbol["multiplier"] * (price - symbol["average"]) * rate)
    return float(quantity * (symbol["multiplier"] * price * rate - symbol["basis"]))


@kernel
def value_of(symbol: Any, price: float, rate: float) -> float:
    """Return what the position adds to equity."""
    if symbol["is_plain"]:
        return float(symbol["quantity"] * symbol["multiplier"] * price)
    if symbol["is_margined"]:
        return gain_of(symbol, symbol["quantity"], price, rate)
    return float(symbol["quantity"] * symbol["multiplier"] * price * rate)


@kernel
def mean_price(symbol: Any, held: float, quantity: float, price: float) -> float:
    """Return the average price after adding to a position: weighted so that its gain is the sum of its parts'.

    1 at 100 and 1 at 300: 200; inverse: 2 / (1 / 100 + 1 / 300) = 150.
    """
    if symbol["is_inverse"]:
        return float((held + quantity) / (held / symbol["average"] + quantity / price))
    return float((symbol["average"] * held + price * quantity) / (held + quantity))
