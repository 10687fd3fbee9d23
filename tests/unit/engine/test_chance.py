"""Throws of dice are the same in every version: a run of an earlier one can be repeated."""

import pytest

from engine.kernels.chance import throw


@pytest.mark.parametrize(
    ("seed", "order", "step", "thrown"),
    [(0, 1, 1, 0.550230010203193), (5, 2, 3, 0.5266159915023558), (123_456_789, 1_000_000_008, 99, 0.5396721984910183)],
)
def test_a_throw_stays_what_it_was(seed: int, order: int, step: int, thrown: float) -> None:
    assert throw(seed, order, step) == thrown
