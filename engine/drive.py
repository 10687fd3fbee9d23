"""This module runs an array-driven strategy block by block in compiled code, and says of each block what it brought about.

A block is a slice of effects, the equity marks that are due, and, where progress is reported, what is held: columns, no events.
``engine.driven_log`` makes events of them, at once or whenever somebody asks for the log.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.kernels import codes
from engine.kernels.driving import ACTIONS, Plan, drive, effects_needed
from engine.kernels.placed import Placed
from engine.kernels.records import EFFECT, ORDER, Records, State, Tape, blank_orders
from engine.recorder import MARKS_PER_EVENT
from engine.reporting import positions_at
from engine.setup import BLOCK

MANY_EFFECTS = 4_096  # that are counted at once: 1 MB, which stays in the processor's cache


@dataclass(frozen=True, slots=True)
class Block:
    """What the steps up to ``end``, exclusive, have brought about since the block before."""

    end: int
    effects: Records  # EFFECT, in the order in which they happened
    marks: Records  # MARK, to be reported at its end; what is not due yet comes with a later block
    positions: list[dict[str, Any]]  # the fields of PositionMarked
    equity: float | None  # where progress is reported


class Tally:
    """Counts orders and fills, and keeps of each closed position what statistics need; the same columns as a Reporter's."""

    def __init__(self) -> None:
        self.pnl = array("d")
        self.gross = array("d")
        self.returns = array("d")  # NaN where undefined
        self.bars_held = array("q")
        self.sides = array("b")
        self.traded = array("l")
        self.fees = array("d")
        self.orders = 0
        self.fills = 0

    def add(self, effects: Records) -> None:
        kinds = effects["kind"]
        self.orders += int(np.count_nonzero(kinds == codes.SUBMITTED))
        self.fills += int(np.count_nonzero(kinds == codes.FILLED))
        closed = effects[kinds == codes.CLOSED]
        if not len(closed):
            return
        average = closed["average"]
        with np.errstate(divide="ignore", invalid="ignore"):
            returns = np.where(average > 0.0, closed["side"] * (closed["close"] / average - 1.0), np.nan)
        self.pnl.frombytes(closed["realized"].tobytes())
        self.gross.frombytes(closed["gross"].tobytes())
        self.returns.frombytes(returns.tobytes())
        self.bars_held.frombytes(closed["bars"].tobytes())
        self.traded.frombytes(closed["symbol"].astype(np.dtype("l")).tobytes())
        self.fees.frombytes(closed["commission"].tobytes())
        self.sides.frombytes(closed["side"].astype(np.int8).tobytes())


class Drive:
    """One run, for ``blocks`` or for ``tally``: once."""

    def __init__(self, tape: Tape, state: State, plan: Plan, symbols: tuple[str, ...], *, progress_every: int) -> None:
        count = len(symbols)
        orders = 2 * ACTIONS * count + len(state.book)
        self.tape = tape
        self._placed_tape = Placed(tape)
        self._plan = Placed(plan)
        self._symbols = symbols
        self._progress_every = progress_every
        self._place(
            state._replace(
                book=np.zeros(orders, dtype=ORDER),
                inbox=blank_orders(ACTIONS * count + 1),  # the last one stays blank
                effects=np.zeros(MANY_EFFECTS + effects_needed(2 * orders, count), dtype=EFFECT),
            )
        )

    def _place(self, state: State) -> None:
        self.state = state
        self._placed_state = Placed(state)

    def blocks(self) -> Iterator[Block]:
        """Run, and yield each block when it is done. The last one holds what follows from the last step's signals."""
        steps, core = len(self.tape.time_ns), self.state.core[0]
        for first in range(0, steps, BLOCK):
            end = min(first + BLOCK, steps)
            self._run(first, end)
            yield self._block(end, 0 if int(core["marks"]) < MARKS_PER_EVENT else int(core["marks"]))
        self._end()
        yield self._block(steps, int(core["marks"]))

    def tally(self) -> Tally:
        """Run, and keep what statistics need: nothing grows with the run but a few columns of its trades."""
        steps, core, tally = len(self.tape.time_ns), self.state.core, Tally()
        effects, marks = core["effects"], core["marks"]  # views
        for first in range(0, steps, BLOCK):
            self._run(first, min(first + BLOCK, steps))
            marks[0] = 0
            if effects[0] >= MANY_EFFECTS:
                tally.add(self.state.effects[: int(effects[0])])
                effects[0] = 0
        self._end()
        tally.add(self.state.effects[: int(effects[0])])
        return tally

    def _run(self, first: int, end: int) -> None:
        step = first - 1
        while (step := drive(self._placed_tape, self._placed_state, self._plan, step, end)) < end - 1:
            self._make_room()

    def _end(self) -> None:
        """Settle the last step, end what is open."""
        steps = len(self.tape.time_ns)
        self._make_room()
        drive(self._placed_tape, self._placed_state, self._plan, steps - 1, steps)

    def _block(self, end: int, marks: int) -> Block:
        """Take what has come up since the block before."""
        core, state = self.state.core[0], self.state
        effects = state.effects[: int(core["effects"])].copy()
        core["effects"] = 0
        taken = state.marks[:marks].copy()
        if marks:
            core["marks"] = 0
        steps = len(self.tape.time_ns)
        is_last = int(core["marked"]) == steps - 1
        is_progress = end % self._progress_every == 0 and end < steps
        positions = positions_at(self.tape, state, self._symbols, end - 1) if is_last or is_progress else []
        return Block(end, effects, taken, positions, self._equity(end - 1) if is_progress else None)

    def _equity(self, step: int) -> float:
        """Return cash and what is held at the step's close, added up as ``Broker.equity`` does."""
        equity, state, tape = float(self.state.core[0]["cash"]), self.state, self.tape
        for index, symbol in enumerate(state.symbols):
            if symbol["quantity"] != 0.0:
                row = int(symbol["offset"]) + step if tape.latest.size == 0 else int(tape.latest[index, step])
                equity += float(symbol["quantity"]) * float(symbol["multiplier"]) * float(tape.close[row])
        return equity

    def _make_room(self) -> None:
        """Double the arrays that could be too small for the next step."""
        state, count = self.state, len(self._symbols)
        orders = int(state.core[0]["orders"]) + ACTIONS * count
        if orders >= len(state.book):
            book = np.zeros(2 * orders + 1, dtype=ORDER)
            book[: len(state.book)] = state.book
            state = state._replace(book=book)
        used = int(state.core[0]["effects"])
        if used + effects_needed(orders, count) >= len(state.effects):
            effects = np.zeros(2 * (used + effects_needed(len(state.book), count)), dtype=EFFECT)
            effects[:used] = state.effects[:used]
            state = state._replace(effects=effects)
        self._place(state)
