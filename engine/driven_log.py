"""This module writes the log of an array-driven run: the events of its blocks, the same bytes as those of callbacks."""

from collections.abc import Iterator

from engine import rendering
from engine.drive import Block
from engine.kernels import codes
from engine.kernels.records import Records, Tape
from engine.recorder import Recorder
from engine.rendering import (
    CLOSED_WEIGHT,
    KIND,
    LEAVES,
    LIMIT,
    LONG_WEIGHT,
    OPENED,
    ORDER,
    QUANTITY,
    ROW,
    SHORT_SYMBOL,
    STEP,
    STOP,
    SYMBOL,
    Row,
    finite,
)
from engine.reporting import report_marks, report_positions
from schemas.commit import EncodedCommit
from schemas.events import BacktestProgressed, OrderModified


class DrivenLog:
    """Renders blocks, one after another."""

    def __init__(self, tape: Tape, symbols: tuple[str, ...], recorder: Recorder, *, records_orders: bool) -> None:
        self._tape = tape
        self._symbols = symbols
        self.recorder = recorder
        self._records_orders = records_orders
        self._filled: dict[int, float] = {}  # what orders that still rest have filled

    def write(self, block: Block) -> Iterator[EncodedCommit]:
        """Record a block's events; return the commits that are complete."""
        recorder, tape = self.recorder, self._tape
        self._write_effects(block.effects)
        recorder.bars_done = block.end
        report_marks(recorder, tape, block.marks)
        report_positions(recorder, block.positions)
        if block.equity is not None:
            recorder.group()
            recorder.add(
                BacktestProgressed(
                    sequence=recorder.next_sequence(),
                    time_ns=int(tape.time_ns[block.end - 1]),
                    bars_done=block.end,
                    bars=len(tape.time_ns),
                    equity=block.equity,
                )
            )
            recorder.flush()
        return recorder.ready()

    def _write_effects(self, effects: Records) -> None:
        recorder, symbols, times = self.recorder, self._symbols, self._tape.time_ns
        add, next_sequence, group, records_orders = recorder.add, recorder.next_sequence, recorder.group, self._records_orders
        step, time_ns = -1, 0
        for row in ROW.iter_unpack(effects.tobytes()):
            kind = row[KIND]
            if row[STEP] != step:
                step = row[STEP]
                time_ns = int(times[step])
            if kind == codes.OPENED:
                add(rendering.opened(row, next_sequence(), time_ns, symbols[row[SYMBOL]]))
            elif kind == codes.CHANGED:
                add(rendering.changed(row, next_sequence(), time_ns, symbols[row[SYMBOL]]))
            elif kind == codes.CLOSED:
                opened_ns = int(times[row[OPENED]])
                add(rendering.closed(row, next_sequence(), time_ns, symbols[row[SYMBOL]], opened_ns), CLOSED_WEIGHT)
            else:
                group()
                if kind == codes.FILLED:
                    self._follow_fill(row)
                    add(rendering.filled(row, next_sequence(), time_ns, symbols[row[SYMBOL]]))
                elif kind == codes.MARGIN_CALLED:
                    add(rendering.margin_called(row, next_sequence(), time_ns))
                elif records_orders:
                    self._write_order(kind, row, time_ns)

    def _follow_fill(self, row: Row) -> None:
        if row[LEAVES] > 0.0:
            self._filled[row[ORDER]] = self._filled.get(row[ORDER], 0.0) + row[QUANTITY]
        elif self._filled:
            self._filled.pop(row[ORDER], None)

    def _write_order(self, kind: int, row: Row, time_ns: int) -> None:
        sequence, recorder = self.recorder.next_sequence(), self.recorder
        if kind == codes.SUBMITTED:
            event = rendering.submitted(row, sequence, time_ns, self._symbols[row[SYMBOL]])
            is_short = event.tag is None and event.oco_group is None and len(event.symbol) <= SHORT_SYMBOL
            recorder.add(event, 256 if is_short else LONG_WEIGHT)
        elif kind == codes.MODIFIED:
            recorder.add(
                OrderModified(
                    sequence=sequence,
                    time_ns=time_ns,
                    order_id=row[ORDER],
                    quantity=self._filled.get(row[ORDER], 0.0) + row[QUANTITY],
                    limit_price=finite(row[LIMIT]),
                    stop_price=finite(row[STOP]),
                )
            )
        elif kind == codes.REJECTED:
            recorder.add(rendering.rejected(row, sequence, time_ns))
        elif kind == codes.TRIGGERED:
            recorder.add(rendering.triggered(row, sequence, time_ns))
        elif kind == codes.CANCELLED:
            recorder.add(rendering.cancelled(row, sequence, time_ns))
        else:
            assert kind == codes.EXPIRED, "every other kind is above"
            recorder.add(rendering.expired(row, sequence, time_ns))
