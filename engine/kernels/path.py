"""This module says where a price path through a bar first meets a level.

The path goes open (0) - first extreme (1) - second extreme (2) - close (3), straight between them.
"""

from engine.kernels.compiled import kernel

PATH_END = 3.0
NOWHERE = 1e300  # a place that is never reached


@kernel
def place_on_path(
    direction: int, level: float, bar_open: float, first: float, second: float, close: float, reached: float
) -> float:
    """Return the first place at or after ``reached`` where the price is at the level or beyond it, NOWHERE if there is none.

    direction : +1: at or above the level, -1: at or below it
    Open 100, first 106, second 94, close 100, level 103 upwards: 0.5. Level 97 downwards: 1.75.
    """
    start = bar_open
    for leg in range(3):
        end = first if leg == 0 else (second if leg == 1 else close)
        if reached < leg + 1.0:
            begin = max(reached - leg, 0.0)
            price = start + (end - start) * begin
            if direction * (price - level) >= 0.0:
                return leg + begin
            if direction * (end - level) >= 0.0:
                return leg + (level - start) / (end - start)
        start = end
    return NOWHERE
