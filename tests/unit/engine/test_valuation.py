"""What inverse contracts are worth where there is no price: nothing, and no division by it."""

from typing import Any

import numpy as np
import pytest

from engine.kernels.records import SYMBOL
from engine.kernels.valuation import gain_of, notional


def inverse(average: float) -> Any:
    contract = np.zeros(1, dtype=SYMBOL)
    contract["is_inverse"], contract["multiplier"], contract["average"] = 1, 1.0, average
    return contract[0]


@pytest.mark.parametrize(("price", "worth"), [(0.0, 0.0), (0.5, 200.0), (50_000.0, 0.002)])
def test_contracts_without_a_price_are_worth_nothing(price: float, worth: float) -> None:
    """100 of 1 USD: 100 / price."""
    assert notional(inverse(50_000.0), 100.0, price, 1.0) == worth


@pytest.mark.parametrize(
    ("average", "price", "gain"), [(50_000.0, 62_500.0, 0.0004), (50_000.0, 0.0, 0.0), (0.0, 50_000.0, 0.0), (0.5, 0.8, 75.0)]
)
def test_contracts_without_a_price_have_gained_nothing(average: float, price: float, gain: float) -> None:
    """100 * (1 / average - 1 / price)."""
    assert gain_of(inverse(average), 100.0, price, 1.0) == pytest.approx(gain, rel=1e-12)
