"""This module makes logs of runs by hand, for tests of the read side: well-formed commits with every kind of event."""

import random
from collections.abc import Iterator
from typing import Any

from projections.source import Source
from schemas.canonical import document_digest
from schemas.commit import Author, EncodedCommit, Head, encode_commit
from schemas.events import (
    AnyEvent,
    BacktestAccepted,
    BacktestCancelled,
    BacktestCompleted,
    BacktestFailed,
    BacktestProgressed,
    BacktestStarted,
    BorrowPaid,
    DividendPaid,
    EquityMarked,
    FailureReason,
    FundingPaid,
    MarginCalled,
    OrderCancelled,
    OrderEnd,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    OrderType,
    PositionChanged,
    PositionClosed,
    PositionMarked,
    PositionOpened,
    RejectReason,
    Side,
    SplitApplied,
)
from schemas.ids import BacktestId
from schemas.spec import parse_spec

DAY_NS = 86_400_000_000_000
FIRST_BAR_NS = 1_577_923_200_000_000_000  # 2020-01-02
WRITTEN_MS = 1_700_000_000_000
LOG_ID = "5f0c5c1e-7a54-4b3f-9f0e-6d6a3f6b2c11"


def spec(**changes: Any) -> dict[str, Any]:
    """Return a recorded spec: every default explicit."""
    document = {
        "data": {"dataset": "stocks", "symbols": ["AAPL"], "timeframe": "1d"},
        "strategy": {"name": "sma_cross", "parameters": {"fast": 10, "slow": 30}},
        "tags": ["test"],
        **changes,
    }
    return parse_spec(document).recorded()


class Log:
    """One run's log as it grows. ``commits`` are what lies in Kafka."""

    def __init__(self, backtest_id: str = "bt-1", *, recorded: dict[str, Any] | None = None) -> None:
        self.backtest_id = BacktestId(backtest_id)
        self.spec = recorded or spec()
        self.head = Head.start(document_digest(self.spec))
        self.commits: list[EncodedCommit] = []
        self.events: list[AnyEvent] = []

    def append(self, *events: AnyEvent, author: Author = Author.SIMULATION) -> None:
        commit = encode_commit(self.backtest_id, self.head, author, list(events))
        self.head = commit.head
        self.commits.append(commit)
        self.events += events

    @property
    def next(self) -> int:
        return self.head.sequence + 1

    @property
    def bodies(self) -> list[bytes]:
        return [commit.body for commit in self.commits]

    @property
    def sources(self) -> list[Source]:
        return [source_of(offset) for offset in range(len(self.commits))]

    def accept(self) -> "Log":
        digest = document_digest(self.spec)
        self.append(
            BacktestAccepted(
                sequence=self.next, time_ns=0, command_id=f"submit-{self.backtest_id}", issued_at="2026-01-05T10:00:00Z",
                spec=self.spec, spec_digest=digest, submitted_digest=digest, submitter="tests", priority=3,
            ),
            author=Author.OWNER,
        )  # fmt: skip
        return self

    def start(self, bars: int = 250) -> "Log":
        self.append(
            BacktestStarted(
                sequence=self.next, time_ns=0, dataset="stocks", dataset_version=1, data_digest="d" * 64, symbols=("AAPL",),
                timeframe="1d", first_bar_ns=FIRST_BAR_NS, last_bar_ns=FIRST_BAR_NS + (bars - 1) * DAY_NS, bars=bars,
                equity_every=1,
            ),
            author=Author.OWNER,
        )  # fmt: skip
        return self

    def cancel(self) -> "Log":
        self.append(
            BacktestCancelled(sequence=self.next, time_ns=0, command_id="cancel-1", reason="no longer needed"),
            author=Author.OWNER,
        )
        return self

    def fail(self) -> "Log":
        self.append(
            BacktestFailed(sequence=self.next, time_ns=0, reason=FailureReason.STRATEGY_RAISED, detail="ValueError: \0 no"),
            author=Author.OWNER,
        )
        return self


def source_of(offset: int, *, partition: int = 0) -> Source:
    return Source(log_id=LOG_ID, partition=partition, offset=offset, recorded_ns=(WRITTEN_MS + offset) * 1_000_000)


def finished_log(backtest_id: str = "bt-1", *, seed: int = 1, steps: int = 30, end: str = "completed") -> Log:
    """Return the log of a random run: orders of all fates, fills in parts, positions, payments, marks.

    end : completed, cancelled, failed or open
    """
    chance = random.Random(seed)
    log = Log(backtest_id).accept().start()
    simulation = _Simulation(chance, log.next)
    pending: list[AnyEvent] = []
    for step in range(steps):
        pending += simulation.step(step)
        if pending and chance.random() < 0.4:
            log.append(*pending)
            pending = []
    if end == "completed":
        pending.append(simulation.completed(steps))
    if pending:
        log.append(*pending)
    if end == "cancelled":
        log.cancel()
    if end == "failed":
        log.fail()
    return log


class _Simulation:
    """Makes events that fit each other. The numbers are arbitrary but exact fields of what they stand for."""

    def __init__(self, chance: random.Random, sequence: int) -> None:
        self.chance = chance
        self.sequence = sequence
        self.time_ns = FIRST_BAR_NS
        self.orders = self.fills = self.trades = 0
        self.open: dict[int, float] = {}  # order -> leaves
        self.position: tuple[int, float] | None = None
        self.opened_ns = 0
        self.positions = 0

    def step(self, step: int) -> list[AnyEvent]:
        self.time_ns = FIRST_BAR_NS + step * DAY_NS + 123_456_789
        events: list[AnyEvent] = []
        for make in (self._submit, self._handle, self._handle, self._pay, self._mark):
            events += list(make(step))
        return events

    def completed(self, bars: int) -> AnyEvent:
        return BacktestCompleted(
            **self._next(), bars=bars, orders=self.orders, fills=self.fills, trades=self.trades, final_equity=101_000.5,
            statistics={"total_return": 0.010005, "sharpe": 1.25, "sortino": None, "trades": self.trades, "start": "2020-01-02"},
            months=("2020-01", "2020-02"), month_equity=(110_000.0, 101_000.5),
            by_symbol={
                "AAPL": {
                    "trades": self.trades, "win_rate": 0.5, "profit_factor": None, "realized_pnl": 1_000.5, "gross_pnl": 1_100.0,
                    "commission": 99.5,
                },
            },
        )  # fmt: skip

    def _next(self) -> dict[str, int]:
        self.sequence += 1
        return {"sequence": self.sequence - 1, "time_ns": self.time_ns}

    def _price(self) -> float:
        return round(100 + self.chance.gauss(0, 7), 2)

    def _submit(self, step: int) -> Iterator[AnyEvent]:
        for _ in range(self.chance.randint(0, 3)):
            self.orders += 1
            quantity = float(self.chance.randint(1, 100))
            yield OrderSubmitted(
                **self._next(), order_id=self.orders, symbol="AAPL", side=self.chance.choice(list(Side)),
                order_type=self.chance.choice(list(OrderType)), quantity=quantity,
                limit_price=self.chance.choice([None, self._price()]), tag=self.chance.choice([None, "entry", "nul \0 tag"]),
                expires_ns=self.chance.choice([None, self.time_ns + DAY_NS]),
            )  # fmt: skip
            self.open[self.orders] = quantity

    def _handle(self, step: int) -> Iterator[AnyEvent]:
        if not self.open:
            return
        order_id = self.chance.choice(list(self.open))
        match self.chance.randint(0, 8):
            case 0:
                del self.open[order_id]
                yield OrderRejected(**self._next(), order_id=order_id, reason=RejectReason.INSUFFICIENT_CASH, detail="no cash")
            case 1:
                yield OrderCancelled(
                    **self._next(), order_id=order_id, reason=OrderEnd.BY_STRATEGY, quantity=self.open.pop(order_id)
                )
            case 2:
                yield OrderExpired(**self._next(), order_id=order_id, quantity=self.open.pop(order_id))
            case 3:
                self.open[order_id] += 10
                yield OrderModified(**self._next(), order_id=order_id, quantity=self.open[order_id], stop_price=self._price())
            case 4:
                yield OrderTriggered(**self._next(), order_id=order_id, price=self._price())
            case _:
                yield from self._fill(order_id)

    def _fill(self, order_id: int) -> Iterator[AnyEvent]:
        leaves = self.open[order_id]
        quantity = leaves if self.chance.random() < 0.5 else leaves / 3
        self.fills += 1
        self.open[order_id] -= quantity
        yield OrderFilled(
            **self._next(), fill_id=self.fills, order_id=order_id, symbol="AAPL", side=Side.BUY, quantity=quantity,
            price=self._price(), commission=0.1 + quantity / 7, leaves_quantity=leaves - quantity,
            is_maker=self.chance.random() < 0.5,
        )  # fmt: skip
        if quantity == leaves:
            del self.open[order_id]
        yield from self._move_position(quantity)

    def _move_position(self, quantity: float) -> Iterator[AnyEvent]:
        if self.position is None:
            self.positions += 1
            self.position = (self.positions, quantity)
            self.opened_ns = self.time_ns
            yield PositionOpened(
                **self._next(), position_id=self.positions, symbol="AAPL", quantity=quantity, average_price=self._price(),
                commission=1.5, realized_pnl=-1.5,
            )  # fmt: skip
        elif self.chance.random() < 0.5:
            position_id, held = self.position
            self.position = (position_id, held + quantity)
            yield PositionChanged(
                **self._next(), position_id=position_id, symbol="AAPL", quantity=held + quantity, average_price=self._price(),
                commission=2.5, realized_pnl=self.chance.gauss(0, 100), gross_pnl=self.chance.gauss(0, 100),
            )  # fmt: skip
        else:
            position_id, held = self.position
            self.position = None
            self.trades += 1
            yield PositionClosed(
                **self._next(), position_id=position_id, symbol="AAPL", side=Side.BUY, quantity=held,
                average_price=self._price(), average_close=self._price(), commission=3.5, realized_pnl=self.chance.gauss(0, 100),
                gross_pnl=self.chance.gauss(0, 100), return_fraction=self.chance.choice([None, 0.125]), opened_ns=self.opened_ns,
                bars_held=step_of(self.time_ns), mae=-1.0, mfe=2.0,
            )  # fmt: skip

    def _pay(self, step: int) -> Iterator[AnyEvent]:
        match self.chance.randint(0, 20):
            case 0 if self.position is not None:
                position_id, _ = self.position
                yield FundingPaid(**self._next(), symbol="AAPL", position_id=position_id, rate=0.0001, price=125.0, amount=-1.25)
            case 1 if self.position is not None:
                position_id, _ = self.position
                yield BorrowPaid(**self._next(), symbol="AAPL", position_id=position_id, rate=0.02, amount=0.75)
            case 2 if self.position is not None:
                position_id, _ = self.position
                yield DividendPaid(**self._next(), symbol="AAPL", position_id=position_id, per_share=0.24, amount=24.0)
            case 3:
                yield MarginCalled(**self._next(), equity=900.0, maintenance=1_000.0)
            case 4 if self.position is not None:
                position_id, held = self.position
                self.position = (position_id, held * 2)
                yield SplitApplied(
                    **self._next(), symbol="AAPL", position_id=position_id, ratio=0.5, quantity=held * 2,
                    average_price=self._price(), cash=0.0,
                )  # fmt: skip
            case 5:
                if self.position is not None:
                    position_id, _ = self.position
                    yield PositionMarked(
                        **self._next(), position_id=position_id, symbol="AAPL", price=self._price(), unrealized_pnl=3.5,
                        mae=-1.0, mfe=4.0, bars_held=step,
                    )  # fmt: skip
                yield BacktestProgressed(**self._next(), bars_done=step, bars=250, equity=100_000.0 + step)

    def _mark(self, step: int) -> Iterator[AnyEvent]:
        if step % 5 == 4:
            times = tuple(FIRST_BAR_NS + (step - 4 + place) * DAY_NS for place in range(5))
            equity = tuple(100_000.0 + self.chance.gauss(0, 500) for _ in times)
            yield EquityMarked(
                **self._next(), times_ns=times, equity=equity, cash=equity, exposure=(0.0,) * 5, drawdown=(-0.01,) * 5
            )


def step_of(time_ns: int) -> int:
    return (time_ns - FIRST_BAR_NS) // DAY_NS
