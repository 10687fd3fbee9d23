"""This module reads a tape or a state behind an address: what kernels begin with that Python calls.

Apart from records.py, which is imported where nothing is compiled.
"""

import numpy as np

from engine.kernels.placed import reader
from engine.kernels.records import CORE, EFFECT, HAPPENING, MARK, ORDER, SYMBOL, State, Tape


def _blank_tape() -> Tape:
    """Return a tape of nothing, whose arrays have the types of every tape's."""
    column, table = np.zeros(0), np.zeros((0, 0))
    times, rows = np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.int32)
    tape = Tape(
        times, column, column, column, column, column, rows, np.zeros(0, dtype=np.int32), times, np.zeros((0, 0), dtype=np.uint8),
        times, column, column, table, np.zeros(0, dtype=HAPPENING),
    )  # fmt: skip
    for array in tape:
        array.flags.writeable = False
    return tape


def _blank_state() -> State:
    orders, values = np.zeros(0, dtype=ORDER), np.zeros(0)
    core, symbols, effects, marks = (np.zeros(0, dtype=kind) for kind in (CORE, SYMBOL, EFFECT, MARK))
    return State(core, symbols, orders, orders, effects, marks, values, np.zeros((0, 3)))


tape_at = reader(_blank_tape())  # in a kernel: the tape behind an address
state_at = reader(_blank_state())
