"""Where a price path meets a level: 100, 106, 94, 100, straight between them."""

import pytest

from engine.kernels.path import NOWHERE, place_on_path


@pytest.mark.parametrize(
    ("direction", "level", "reached", "place"),
    [
        (1, 103.0, 0.0, 0.5),
        (1, 99.0, 0.0, 0.0),  # beyond it at the open
        (1, 100.0, 0.0, 0.0),  # at it
        (1, 101.0, 0.25, 0.25),  # at 101.5 it is passed
        (1, 106.0, 0.0, 1.0),
        (1, 106.01, 0.0, NOWHERE),
        (-1, 97.0, 0.0, 1.75),
        (-1, 101.5, 0.5, 1.375),
        (-1, 94.0, 0.0, 2.0),
        (-1, 93.99, 0.0, NOWHERE),
        (1, 97.0, 2.0, 2.5),
        (1, 100.0, 2.0, 3.0),  # at the close
        (1, 100.01, 2.0, NOWHERE),
        (-1, 97.0, 2.25, 2.25),
        (1, 99.0, 3.0, NOWHERE),  # after the close nothing is met
    ],
)
def test_a_level_is_met_at_a_place_on_the_path(direction: int, level: float, reached: float, place: float) -> None:
    assert place_on_path(direction, level, 100.0, 106.0, 94.0, 100.0, reached) == place
