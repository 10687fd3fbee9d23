"""This module throws dice: whether a limit order that the price only touched is filled. The seed is the spec's.

A throw follows from seed, order and step alone, so it depends on nothing that happened before, and runs can be repeated.
"""

from engine.kernels.compiled import kernel

PRIME = 2_147_483_647  # 2^31 - 1: products with the factors below stay under 2^63, so integers never overflow
FACTORS = (48_271, 69_621, 39_373)  # multipliers of the minimal standard generators of Park, Miller and L'Ecuyer


@kernel
def throw(seed: int, order: int, step: int) -> float:
    """Return a number in [0, 1). seed : 0 or more, below 2^53."""
    mixed = seed % PRIME
    for value in (seed // PRIME, order, step):
        mixed = (mixed + value % PRIME + 1) % PRIME
        for factor in FACTORS:
            mixed = (mixed * factor + 1) % PRIME
            mixed = (mixed ^ (mixed >> 15)) % PRIME
    return mixed / PRIME
