"""Ticks, lots and money at the bounds of what a float can tell apart."""

import math

import pytest

from engine.kernels.rounding import nearest_lot, round_money, round_price, whole_lots

BILLIONS = 1e12


@pytest.mark.parametrize(
    ("quantity", "lot", "inverse", "rounded"),
    [
        (10.9, 1.0, 1.0, 10.0),
        (10.4, 1.0, 1.0, 10.0),
        (0.57, 0.01, 100.0, 0.57),  # 0.57 * 100 is 56.99999999999999
        (0.21, 0.07, 0.0, 0.21),  # 1 / 0.07 is no whole number; 0.21 / 0.07 is 2.9999999999999996
        (0.3, 0.07, 0.0, 4 * 0.07),
        (math.nextafter(BILLIONS, 0.0), 1.0, 1.0, BILLIONS),  # the float below it: 0.0001 less
        (3.0 - 5e-10, 1.0, 1.0, 3.0),
        (1.0 - 1e-8, 1.0, 1.0, 0.0),
        (0.0, 1.0, 1.0, 0.0),
    ],
)
def test_a_quantity_is_rounded_down_but_for_noise(quantity: float, lot: float, inverse: float, rounded: float) -> None:
    assert whole_lots(quantity, lot, inverse) == pytest.approx(rounded, rel=1e-15)


def test_grids_whose_step_is_no_part_of_one() -> None:
    """Ticks of 0.4: 100.3 is 251 of them after rounding, 100.1 is 250. Lots of 0.3: 1 is 3 of them."""
    assert round_price(100.3, 0.4, 0.0) == pytest.approx(251 * 0.4)
    assert round_price(100.1, 0.4, 0.0) == pytest.approx(250 * 0.4)
    assert nearest_lot(1.0, 0.3, 0.0) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [
        (0.123456785, 0.12345679),  # halves up
        (-0.123456785, -0.12345678),
        (89_999_999.94782749, 89_999_999.9478275),
        (90_000_000.13436425, 90_000_000.13436425),  # rounding would take it to the next float
        (-90_000_000.13436425, -90_000_000.13436425),
    ],
)
def test_money_is_rounded_where_floats_are_finer(amount: float, rounded: float) -> None:
    """Up to 90 million."""
    assert round_money(amount) == rounded
