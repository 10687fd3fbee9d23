"""This module runs a strategy over a market and yields the run's commits.

The loop: steps in which an order may fill are *busy*; the kernels find the next one ahead of time. Between two busy steps
nothing is called but the strategy's ``on_bar``. A step goes: the bar is matched, the strategy's series show it, the
callbacks are told what happened, ``on_bar`` speaks, what it asked for is applied at the bar's close.
"""

import random
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import pydantic

from engine.arrays import ArrayStrategy, is_driven
from engine.broker import Broker
from engine.drive import Drive, Tally
from engine.driven_log import DrivenLog
from engine.errors import ParametersError, StrategyError, strategy_error
from engine.kernels.placed import Placed
from engine.kernels.records import State
from engine.kernels.scanning import FIRST_WINDOW, LAST_WINDOW
from engine.kernels.stepping import PLAYED, finish, mark, play, resume
from engine.recorder import MARKS_PER_EVENT, Recorder
from engine.reporting import Reporter
from engine.series import Columns, rows
from engine.setup import BLOCK, complete_tape, first_state
from engine.strategy import Bars, Data, Positions, Strategy
from engine.summary import Summary, summarize
from engine.timeline import Scene, scene_of
from schemas.commit import EncodedCommit, Head
from schemas.errors import field_error
from schemas.events import BacktestCompleted, BacktestProgressed
from schemas.ids import BacktestId
from schemas.market_data import Market
from schemas.spec import BacktestSpec

MAX_LOOKED_INTO = 64  # values of a container that are looked into for whole columns; a series of numbers is left quickly
PROGRESS_REPORTS = 100  # a run reports its progress at most so often


def simulate(
    backtest_id: BacktestId, spec: BacktestSpec, head: Head, market: Market, strategy: type[Strategy]
) -> Iterator[EncodedCommit]:
    """Yield the simulation's commits, in order, the last one terminal. Equal arguments give equal bytes.

    head : after the commit of BacktestStarted
    Raises StrategyError when the strategy raises (after the commits of what happened before), ParametersError for
    parameters that its schema refuses, NoDataError and UnknownSymbolError like ``timeline.scene_of``.
    """
    simulation = Simulation(backtest_id, spec, head, scene_of(spec, market), strategy)
    yield from simulation.run()


def run_ahead(
    backtest_id: BacktestId, spec: BacktestSpec, head: Head, market: Market, strategy: type[Strategy]
) -> "Outcome | None":
    """Run an array-driven strategy, and leave its log for later; None for a strategy that has to be told what happens.

    Raises like ``simulate``.
    """
    if not is_driven(strategy):
        return None
    simulation = Simulation(backtest_id, spec, head, scene_of(spec, market), strategy)
    return simulation.run_ahead() if simulation.is_driven else None


def parameters_of(strategy: type[Strategy], given: dict[str, Any]) -> Any:
    """Return the strategy's parameters, checked. Raises ParametersError naming each wrong field."""
    try:
        return strategy.Parameters.model_validate(given)
    except pydantic.ValidationError as error:
        raise ParametersError(str(field_error(error))) from error


class Simulation:
    """One run. Its state is the kernels' arrays; everything here is about the strategy and the log."""

    def __init__(self, backtest_id: BacktestId, spec: BacktestSpec, head: Head, scene: Scene, strategy: type[Strategy]) -> None:
        market = scene.market
        self._spec = spec
        self._scene = scene
        self._market = market
        self._tape = complete_tape(spec, market)
        self._placed_tape = Placed(self._tape)
        self._steps = len(self._tape.time_ns)
        self._recorder = Recorder(backtest_id, head)
        self._parameters = parameters_of(strategy, spec.strategy.parameters)
        self._strategy = strategy.__new__(strategy)
        self._speak = None if strategy.on_bar is Strategy.on_bar else self._strategy.on_bar
        self._wakes: Sequence[int] | None = None  # the steps at which on_bar is called; None: each of them
        self._broker = Broker(scene, self._tape, first_state(spec, market, self._tape), strategy.history)
        self._reporter = Reporter(self._broker, self._recorder, self._strategy, records_orders=spec.recording.orders)
        self._plays_next = not self._reporter.has_callbacks
        self._window = FIRST_WINDOW
        self._must_look = True
        core = self._broker.state.core[0]
        self._must_watch = bool(core["calls_margin"]) or int(core["happenings"]) > 0  # also while no order rests
        # In compiled blocks there is no room for lots and for what is due: such runs go signal by signal.
        # A plan has one row for each step: warm-up and finer bars are left to the way that asks the strategy.
        has_rows = scene.played is None and market.live_ns is None
        self.is_driven = is_driven(strategy) and has_rows and bool(core["is_plain"]) and not int(core["happenings"])
        self._progress_every = BLOCK * max(1, -(-self._steps // (BLOCK * PROGRESS_REPORTS)))

    def run(self) -> Iterator[EncodedCommit]:
        """Yield the commits. When the strategy raises, what happened before is yielded first."""
        try:
            self._start()
            if self.is_driven:
                yield from self.log_driven()
                return
            self._wakes = _both(self._strategy._wakes, self._broker.lanes.wakes)
            if self._wakes is not None and self._speak is None:
                self._wakes = ()
            for first in range(0, self._steps, BLOCK):
                end = min(first + BLOCK, self._steps)
                if self._wakes is None:
                    self._run_block(first, end)
                else:
                    self._run_sparse_block(first, end)
                self._end_block(end)
                if self._recorder.has_ready:
                    yield from self._recorder.ready()
            self._finish()
        except (Exception, SystemExit) as error:
            raised = strategy_error(error)
            self._recorder.flush()
            yield from self._recorder.ready()
            if raised is error:
                raise
            raise raised from error
        yield from self._recorder.ready()

    def _start(self) -> None:
        """Give the strategy what it works with, let it prepare, let it start."""
        strategy, broker = self._strategy, self._broker
        strategy._broker = broker
        if isinstance(strategy, ArrayStrategy):
            strategy._is_driven = self.is_driven
        strategy.parameters = self._parameters
        strategy.symbols = broker.symbols
        strategy.bars = Bars(broker, broker.symbols)
        strategy.position = Positions(broker.positions)
        strategy.random = random.Random(self._spec.seed)
        strategy.__init__()  # type: ignore[misc]
        columns = _columns(broker)
        strategy.prepare(Data(columns))
        broker.close_preparation()
        _refuse_whole_columns(strategy, set().union(*(each.lengths() for each in columns.values())))
        for each in columns.values():
            each.close_down()
        strategy.on_start()

    def log_driven(self) -> Iterator[EncodedCommit]:
        """Run an array-driven strategy, whose signals are there, in compiled blocks; yield each block's commits."""
        tally, log = Tally(), self._driven_log()
        machine = self._drive(first_state(self._spec, self._market, self._tape))
        for block in machine.blocks():
            tally.add(block.effects)
            yield from log.write(block)
        self._complete(machine.state, tally)
        yield from self._recorder.ready()

    def run_ahead(self) -> "Outcome":
        """Run without a log, which is made when it is asked for."""
        assert self.is_driven, "nothing has to be told to the strategy"
        try:
            self._start()
        except (Exception, SystemExit) as error:
            raised = strategy_error(error)
            if raised is error:
                raise
            raise raised from error
        machine = self._drive(self._broker.state)
        return Outcome(self, machine.tally(), machine.state)

    def _driven_log(self) -> DrivenLog:
        return DrivenLog(self._tape, self._broker.symbols, self._recorder, records_orders=self._spec.recording.orders)

    def _drive(self, state: State) -> Drive:
        strategy = self._strategy
        assert isinstance(strategy, ArrayStrategy) and strategy._plan is not None, "its prepare has made the plan"
        return Drive(
            self._tape,
            state,
            strategy._plan,
            self._broker.symbols,
            progress_every=self._progress_every,
        )

    def _run_block(self, first: int, end: int) -> None:
        """Run the steps from ``first`` to ``end``, exclusive."""
        broker, on_bar, timers = self._broker, self._speak, self._broker.timers
        self._must_look = True  # once in each block, so that marks never wait for more than one
        fed, feeds = rows(broker.feeds, first, end), len(broker.feeds)
        while broker.step < end - 1:
            busy, horizon = self._settle(end)
            if len(broker.feeds) != feeds:  # the strategy has looked at a column for the first time
                fed, feeds = rows(broker.feeds, broker.step + 1, end), len(broker.feeds)
            if busy == PLAYED:
                self._show(broker.step + 1, fed, speaks=True)
                continue
            alarm = timers.next_step
            if alarm < busy:
                busy = alarm
            if on_bar is not None:
                # Both columns and the clock move on in C; in the loop's head, because every statement here costs 2 %.
                for broker.step, _ in zip(range(broker.step + 1, busy), fed, strict=False):  # noqa: B020
                    on_bar()
                    if broker.actions:
                        break
            else:
                deque(islice(fed, busy - 1 - broker.step), maxlen=0)
                broker.step = busy - 1
            if broker.actions:
                self._window = FIRST_WINDOW
            elif busy < horizon:
                self._play(busy, fed, speaks=True)
            else:
                self._window = min(2 * self._window, LAST_WINDOW)

    def _run_sparse_block(self, first: int, end: int) -> None:
        """Run the steps of a strategy that says beforehand at which of them it speaks: the others cost no Python."""
        broker, wakes, timers = self._broker, self._wakes, self._broker.timers
        assert wakes is not None, "it is known when it speaks"
        self._must_look = True
        coming = iter(wakes[bisect_left(wakes, first) : bisect_left(wakes, end)])
        wake = next(coming, end)
        fed, feeds = rows(broker.feeds, first, end), len(broker.feeds)
        while broker.step < end - 1:
            busy, horizon = self._settle(min(wake, end))
            if len(broker.feeds) != feeds:
                fed, feeds = rows(broker.feeds, broker.step + 1, end), len(broker.feeds)
            if busy == PLAYED:
                self._show(broker.step + 1, fed, speaks=False)
                continue
            alarm = timers.next_step
            if alarm < busy:
                busy = alarm
            if feeds:
                deque(islice(fed, busy - 1 - broker.step), maxlen=0)
            broker.step = busy - 1
            if busy < horizon or busy == wake < end or busy == alarm < end:
                self._play(busy, fed, speaks=busy == wake)
                if busy == wake:
                    wake = next(coming, end)
            else:
                self._window = min(2 * self._window, LAST_WINDOW)

    def _settle(self, end: int) -> tuple[int, int]:
        """Apply what the strategy asked for at this step's close, tell it the answers, until it asks no more.

        Returns the next busy step, and how far ahead was looked for it; PLAYED when the next step was busy and, because the
        strategy has no callback that could ask for anything before, was played in the same call.
        """
        broker = self._broker
        while True:
            horizon = min(broker.step + 1 + self._window, end)
            actions = broker.fill_inbox()
            if not (actions or self._must_look or self._must_watch or broker.has_orders()):
                return end, end  # nothing rests: nothing can happen before the strategy speaks again
            self._must_look = False
            busy = resume(self._placed_tape, broker.placed, broker.step, actions, horizon, plays_next=self._plays_next)
            if busy == PLAYED:
                return PLAYED, horizon
            if actions:
                self._tell()
            if not broker.actions:
                return busy, horizon

    def _play(self, step: int, fed: Iterator[Any], *, speaks: bool) -> None:
        """Match the step's bar, show it to the strategy, tell what happened, let it speak."""
        play(self._placed_tape, self._broker.placed, step)
        self._show(step, fed, speaks=speaks)

    def _show(self, step: int, fed: Iterator[Any], *, speaks: bool) -> None:
        """Show a step that was played to the strategy, tell what happened, let it speak."""
        next(fed, None)
        self._broker.step = step
        self._window = FIRST_WINDOW
        self._tell()
        if step >= self._broker.timers.next_step:
            self._broker.timers.fire(step)
        if speaks and self._speak is not None:
            self._speak()

    def _tell(self) -> None:
        """Record the pending effects and make the callbacks about them."""
        for callback, subject in self._reporter.report():
            callback(subject)

    def _end_block(self, end: int) -> None:
        """Do the chores of a block: marks, progress, dropping old values of series."""
        broker, recorder = self._broker, self._recorder
        recorder.bars_done = end
        # The last step is not settled yet. How far marks have come must not depend on how far was looked ahead.
        mark(self._placed_tape, broker.placed, end - 2)
        self._reporter.report_marks(MARKS_PER_EVENT)
        if end % self._progress_every == 0 and end < self._steps:
            self._reporter.report_positions(end - 1)
            recorder.group()
            recorder.add(
                BacktestProgressed(
                    sequence=recorder.next_sequence(),
                    time_ns=broker.time_ns(),
                    bars_done=end,
                    bars=self._steps,
                    equity=broker.equity(),
                )
            )
            recorder.flush()
        for feed in broker.feeds:
            feed.trim(self._strategy.history)

    def _finish(self) -> None:
        """Settle the last bar's orders, let the strategy end, end open orders, mark the last bar, sum up."""
        self._settle(self._steps)
        self._strategy.on_end()
        self._settle(self._steps)
        state, reporter = self._broker.state, self._reporter
        finish(self._placed_tape, self._broker.placed)
        self._tell()
        reporter.report_marks(1)
        reporter.report_positions(self._steps - 1)
        self._complete(state, reporter)

    def _complete(self, state: State, counts: Reporter | Tally) -> None:
        """Record that the run is complete, with what it came to."""
        recorder = self._recorder
        summary = summarize(self._spec, self._market, self._tape, state, counts)
        recorder.group_of(summary.weight)
        recorder.add(self._completed(recorder.next_sequence(), state, counts, summary), summary.weight)
        recorder.flush()

    def _completed(self, sequence: int, state: State, counts: Reporter | Tally, summary: Summary) -> BacktestCompleted:
        return BacktestCompleted(
            sequence=sequence,
            time_ns=int(self._tape.time_ns[-1]),
            bars=self._steps,
            orders=counts.orders,
            fills=counts.fills,
            trades=len(counts.pnl),
            final_equity=float(state.core[0]["equity"]),
            statistics=summary.statistics,
            months=summary.months,
            month_equity=summary.month_equity,
            by_symbol=summary.by_symbol,
        )


class Outcome:
    """What an array-driven run came to: its statistics now, its log when it is asked for."""

    def __init__(self, simulation: Simulation, tally: Tally, state: State) -> None:
        self._simulation = simulation
        self._tally = tally
        self._state = state

    @cached_property
    def summary(self) -> Summary:
        """What BacktestCompleted holds."""
        simulation = self._simulation
        return summarize(simulation._spec, simulation._market, simulation._tape, self._state, self._tally)

    def commits(self) -> Iterator[EncodedCommit]:
        """Make the log, once: the same bytes as ``simulate`` yields.

        The run is done again for it, by the same signals: that takes less time, and far less memory, than to keep all effects.
        """
        return self._simulation.log_driven()


def _columns(broker: Broker) -> dict[str, Columns]:
    lanes = broker.lanes
    return {
        symbol: Columns(lanes.lane(index).bars, {name: lanes.lane(index, name).bars for name in lanes.frames})
        for index, symbol in enumerate(broker.symbols)
    }


def _refuse_whole_columns(strategy: Strategy, lengths: set[int]) -> None:
    """Refuse a strategy that keeps a whole column as an attribute: in ``on_bar`` it would show the future."""
    for name, value in vars(strategy).items():
        if not name.startswith("_") and _holds_column(value, lengths):
            raise StrategyError(
                f"{name} holds one value for every bar: wrap it in self.indicator(...), which ends at the current bar"
            )


def _holds_column(value: Any, lengths: set[int], depth: int = 3) -> bool:
    """Tell whether an array (of numpy, or inside one of pandas) of such a length is in the value, or in containers in it."""
    if isinstance(value, dict | list | tuple) and depth > 0:
        inside = list(value.values() if isinstance(value, dict) else value)
        return any(_holds_column(each, lengths, depth - 1) for each in inside[:MAX_LOOKED_INTO])
    shape = getattr(value, "shape", None)
    return isinstance(shape, tuple) and 1 <= len(shape) <= 2 and shape[0] > 1 and shape[0] in lengths


def _both(first: Sequence[int] | None, second: Sequence[int] | None) -> Sequence[int] | None:
    """Return the steps that are in both, ascending; None stands for every step."""
    if first is None or second is None:
        return second if first is None else first
    return sorted(set(first) & set(second))
