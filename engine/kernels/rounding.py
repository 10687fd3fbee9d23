"""This module rounds: prices to the tick, quantities to the lot, money to 1e-8. It is done once, where a fill is made.

A grid step such as 0.01 is kept with its inverse (100): ``count / 100`` is the float nearest to the decimal, while
``count * 0.01`` often is its neighbour. The inverse is 0 where 1 / step is no whole number.
"""

import math

from engine.kernels.compiled import kernel

MONEY_PER_UNIT = 1e8


@kernel
def on_grid(count: float, step: float, inverse: float) -> float:
    """Return the count-th point of the grid."""
    if inverse > 0.0:
        return count / inverse
    return count * step


@kernel
def steps_in(value: float, step: float, inverse: float) -> float:
    """Return how many steps the value is, unrounded."""
    if inverse > 0.0:
        return value * inverse
    return value / step


@kernel
def round_price(price: float, tick: float, inverse: float) -> float:
    """Round to the nearest tick, halves up; tick 0 rounds nothing. 101.006 with tick 0.01 is 101.01."""
    if tick <= 0.0:
        return price
    return on_grid(math.floor(steps_in(price, tick, inverse) + 0.5), tick, inverse)


@kernel
def nearest_lot(quantity: float, lot: float, inverse: float) -> float:
    """Round to the nearest lot: takes the float noise out of a sum of quantities."""
    return on_grid(math.floor(steps_in(quantity, lot, inverse) + 0.5), lot, inverse)


@kernel
def whole_lots(quantity: float, lot: float, inverse: float) -> float:
    """Round a quantity >= 0 down to whole lots; what is a float's noise below a lot counts as that lot.

    10.9 with lot 1 is 10; 0.3 with lot 0.1 is 0.3 though 0.3 / 0.1 is less than 3.
    """
    count = steps_in(quantity, lot, inverse)
    nearest = math.floor(count + 0.5)
    if abs(nearest - count) > max(1e-9, 4e-16 * count):
        nearest = math.floor(count)
    return on_grid(nearest, lot, inverse)


@kernel
def round_money(amount: float) -> float:
    """Round to 1e-8, halves up; amounts above 9e7 have fewer digits than that and stay."""
    if abs(amount) > 9e7:
        return amount
    return math.floor(amount * MONEY_PER_UNIT + 0.5) / MONEY_PER_UNIT
