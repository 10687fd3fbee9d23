"""This module is the fold from commits to rows: the one that fills Postgres, Parquet files and in-process results.

``RunFold`` is one run's state between its commits: the head of its log, its open orders, its open positions. That is also
what can be read back from the tables, so a projector goes on after a restart exactly where a full fold would be: split the
log anywhere, in batches of any size, and the rows are the same (tests/unit/projections/test_fold.py).

Events already seen are dropped. A commit that contradicts what came before raises and is refused as a whole; the caller
throws the batch's rows away, and this run's state with them.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, assert_never

from projections import backtests, orders, positions
from projections.backtests import BacktestState
from projections.errors import FoldError
from projections.forms import Form, Row
from projections.orders import OrderState
from projections.positions import PositionState
from projections.rows import MARK_COLUMNS, RowChange, Rows, mark_rows, touch
from projections.source import Source
from projections.tables import POSITION_HISTORY, RUN_TABLES, TRADES
from schemas.commit import Commit, Head, decode_commit, follow
from schemas.events import (
    AnyEvent,
    BacktestAccepted,
    BacktestCancelled,
    BacktestCompleted,
    BacktestFailed,
    BacktestImported,
    BacktestProgressed,
    BacktestStarted,
    BorrowPaid,
    DividendPaid,
    EquityMarked,
    FundingPaid,
    InstrumentDelisted,
    MarginCalled,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderRejected,
    OrderSubmitted,
    OrderTriggered,
    PositionChanged,
    PositionClosed,
    PositionMarked,
    PositionOpened,
    SplitApplied,
    SymbolChanged,
)

if TYPE_CHECKING:
    import pyarrow as pa

IN_PROCESS = Source(log_id=None, partition=0, offset=0, recorded_ns=0)


class RunFold:
    """One run between two commits."""

    __slots__ = ("backtest_id", "orders", "positions", "run")

    def __init__(
        self,
        backtest_id: str,
        run: BacktestState | None = None,
        open_orders: Iterable[OrderState] = (),
        open_positions: Iterable[PositionState] = (),
    ) -> None:
        """Begin an empty run, or go on from what was read back."""
        self.backtest_id = backtest_id
        self.run = run
        self.orders = {order.order_id: order for order in open_orders}
        self.positions = {position.position_id: position for position in open_positions}

    @property
    def is_finished(self) -> bool:
        return self.run is not None and self.run.is_finished

    def apply(self, commit: Commit, body: bytes, source: Source, rows: Rows) -> bool:
        """Fold one commit into ``rows``; return False for one that was folded before.

        Raises ChainError or FoldError if it can't be what follows; then ``rows`` and this object are of no further use.
        """
        run = self.run
        if run is not None and commit.number <= run.last_number:
            return False
        head = follow(run.head if run is not None else Head.start(_first_parent(commit)), commit, body)
        if run is None:
            run = self.run = self._begin(commit.events[0], source)
        elif run.is_finished:
            raise FoldError(f"commit {commit.number} comes after the end of its run")
        # The chain holds: every event is the next one, none was folded before.
        for event in commit.events:
            _FOLDS[type(event)](self, run, event, source, rows)
        run.last_sequence = head.sequence
        run.last_number = head.number
        run.chain_head = head.digest
        touch(run, rows.backtests)
        rows.commits.append((
            self.backtest_id, head.number, source.log_id, source.partition, source.offset, commit.first_sequence,
            head.sequence, commit.author.value, head.digest, len(body), source.recorded_ns,
        ))  # fmt: skip
        return True

    def evolve(self, event: AnyEvent, rows: Rows, source: Source = IN_PROCESS) -> None:
        """Fold one event; one that was folded before is dropped."""
        if self.run is None:
            self.run = self._begin(event, source)
        self._evolve(self.run, event, source, rows)

    def _begin(self, event: AnyEvent, source: Source) -> BacktestState:
        if isinstance(event, BacktestAccepted):
            return backtests.accepted(self.backtest_id, event, source)
        if isinstance(event, BacktestImported):
            return backtests.imported(self.backtest_id, event, source)
        raise FoldError(f"a log begins with BacktestAccepted or BacktestImported, not with {type(event).__name__}")

    def _evolve(self, run: BacktestState, event: AnyEvent, source: Source, rows: Rows) -> None:
        if event.sequence <= run.last_sequence:
            return
        _FOLDS[type(event)](self, run, event, source, rows)
        run.last_sequence = event.sequence
        touch(run, rows.backtests)

    def order(self, order_id: int) -> OrderState | None:
        """Return an open order; None where orders are not recorded."""
        state = self.orders.get(order_id)
        if state is None and self.run is not None and self.run.records_orders:
            raise FoldError(f"order {order_id} is not open")
        return state

    def position(self, position_id: int) -> PositionState:
        state = self.positions.get(position_id)
        if state is None:
            raise FoldError(f"position {position_id} is not open")
        return state


def fold_run(bodies: Iterable[bytes], sources: Iterable[Source] | None = None) -> "RunTables":
    """Fold one run's commits, from its first on, into complete tables.

    sources : where each commit lies; None for results in process
    Raises ChainError, FoldError or msgspec.DecodeError for what is not a run's log.
    """
    rows = Rows()
    fold: RunFold | None = None
    places = iter(sources) if sources is not None else None
    for body in bodies:
        commit = decode_commit(body)
        if fold is None:
            fold = RunFold(commit.backtest_id)
        elif commit.backtest_id != fold.backtest_id:
            raise FoldError(f"a commit of {commit.backtest_id} in the log of {fold.backtest_id}")
        fold.apply(commit, body, next(places) if places is not None else IN_PROCESS, rows)
    return RunTables(rows)


class RunTables:
    """All rows of one run, by table: those that are written, and those that are shown from them."""

    def __init__(self, rows: Rows) -> None:
        changes = rows.changes()
        changes += [RowChange(POSITION_HISTORY, "insert", _history(rows)), RowChange(TRADES, "insert", _trades(rows))]
        self._changes: dict[str, RowChange] = {change.table.name: change for change in changes}

    def rows(self, table: str) -> list[Row]:
        """Return a table's rows as tuples in the order of its columns; times are int64 nanoseconds."""
        change = self._changes.get(table)
        return change.rows if change is not None else []

    def table(self, name: str, form: Form = "full") -> "pa.Table":
        """Return one table, in the order of its events, typed as projections/arrow.py says."""
        import pyarrow as pa  # here: 30 MB that a projector does not need

        from projections.arrow import to_batch

        change = self._changes.get(name)
        batch = change.batch(form) if change is not None else to_batch(_TABLES[name], [], form=form)
        return pa.Table.from_batches([batch])


_TABLES = {table.name: table for table in (*RUN_TABLES, POSITION_HISTORY, TRADES)}


def _history(rows: Rows) -> list[Row]:
    """Return the rows of ``position_history``, as its view has them, in its order."""
    ends = [row for state in rows.positions for row in positions.history_rows(state)]
    return sorted([*ends, *rows.position_changes], key=itemgetter(1, 2))


def _trades(rows: Rows) -> list[Row]:
    """Return the rows of ``trades``, as its view has them, in the order in which they were closed."""
    closed = [state for state in rows.positions if not state.is_open]
    return [positions.trade_row(state) for state in sorted(closed, key=attrgetter("last_sequence"))]


def _first_parent(commit: Commit) -> Any:
    """Return what the first commit's parent must be: the digest of the recorded spec, or of an import's manifest."""
    match commit.events[0] if commit.events else None:
        case BacktestAccepted() as event:
            return event.spec_digest
        case BacktestImported() as event:
            return event.manifest_digest
        case _:
            return commit.parent


# --- what each event does ------------------------------------------------------------------------------------------


def _accepted(fold: RunFold, run: BacktestState, event: BacktestAccepted | BacktestImported, source: Source, rows: Rows) -> None:
    if event.sequence != 1:
        raise FoldError(f"{type(event).__name__} at sequence {event.sequence}")


def _imported(fold: RunFold, run: BacktestState, event: BacktestImported, source: Source, rows: Rows) -> None:
    _accepted(fold, run, event, source, rows)
    backtests.reported(fold.backtest_id, event, rows)


def _started(fold: RunFold, run: BacktestState, event: BacktestStarted, source: Source, rows: Rows) -> None:
    backtests.started(run, event, source)


def _progressed(fold: RunFold, run: BacktestState, event: BacktestProgressed, source: Source, rows: Rows) -> None:
    backtests.progressed(run, event)


def _completed(fold: RunFold, run: BacktestState, event: BacktestCompleted, source: Source, rows: Rows) -> None:
    backtests.completed(run, event, source, rows)


def _cancelled(fold: RunFold, run: BacktestState, event: BacktestCancelled, source: Source, rows: Rows) -> None:
    backtests.cancelled(run, event, source)


def _failed(fold: RunFold, run: BacktestState, event: BacktestFailed, source: Source, rows: Rows) -> None:
    backtests.failed(run, event, source)


def _order_submitted(fold: RunFold, run: BacktestState, event: OrderSubmitted, source: Source, rows: Rows) -> None:
    run.orders += 1
    if event.order_id in fold.orders:
        raise FoldError(f"order {event.order_id} is open already")
    state = fold.orders[event.order_id] = orders.submitted(fold.backtest_id, event)
    touch(state, rows.orders)


def _order_rejected(fold: RunFold, run: BacktestState, event: OrderRejected, source: Source, rows: Rows) -> None:
    # A request about an order that has ended is refused as well; that changes no row.
    state = fold.orders.pop(event.order_id, None)
    if state is not None:
        orders.rejected(state, event)
        touch(state, rows.orders)


def _order_changed(
    fold: RunFold,
    run: BacktestState,
    event: OrderModified | OrderTriggered | OrderCancelled | OrderExpired,
    source: Source,
    rows: Rows,
) -> None:
    state = fold.order(event.order_id)
    if state is None:
        return
    match event:
        case OrderModified():
            orders.modified(state, event)
        case OrderTriggered():
            orders.triggered(state, event)
        case OrderCancelled():
            orders.cancelled(state, event)
        case OrderExpired():
            orders.expired(state, event)
        case _:
            assert_never(event)
    _order_written(fold, state, rows)


def _order_filled(fold: RunFold, run: BacktestState, event: OrderFilled, source: Source, rows: Rows) -> None:
    run.fills += 1
    rows.fills.append(orders.fill_row(fold.backtest_id, event))
    state = fold.order(event.order_id)
    if state is not None:
        orders.filled(state, event)
        _order_written(fold, state, rows)


def _order_written(fold: RunFold, state: OrderState, rows: Rows) -> None:
    touch(state, rows.orders)
    if not state.is_open:
        del fold.orders[state.order_id]


def _position_opened(fold: RunFold, run: BacktestState, event: PositionOpened, source: Source, rows: Rows) -> None:
    if event.position_id in fold.positions:
        raise FoldError(f"position {event.position_id} is open already")
    state = fold.positions[event.position_id] = positions.opened(fold.backtest_id, event)
    touch(state, rows.positions)


def _position_changed(fold: RunFold, run: BacktestState, event: PositionChanged, source: Source, rows: Rows) -> None:
    state = fold.position(event.position_id)
    positions.changed(state, event)
    touch(state, rows.positions)
    rows.position_changes.append(state.change_row("changed"))


def _position_closed(fold: RunFold, run: BacktestState, event: PositionClosed, source: Source, rows: Rows) -> None:
    state = fold.position(event.position_id)
    positions.closed(state, event)
    del fold.positions[event.position_id]
    run.trades += 1
    touch(state, rows.positions)


def _position_marked(fold: RunFold, run: BacktestState, event: PositionMarked, source: Source, rows: Rows) -> None:
    state = fold.position(event.position_id)
    positions.marked(state, event)
    touch(state, rows.positions)


def _symbol_changed(fold: RunFold, run: BacktestState, event: SymbolChanged, source: Source, rows: Rows) -> None:
    for state in fold.positions.values():
        if state.symbol == event.symbol:
            positions.renamed(state, event)
            touch(state, rows.positions)
            rows.position_changes.append(state.change_row("renamed"))
    for order in fold.orders.values():
        if order.symbol == event.symbol:
            orders.renamed(order, event)
            touch(order, rows.orders)
    _account_event(fold, event, rows, "symbol_change", event.symbol, new_symbol=event.new_symbol)


def _instrument_delisted(fold: RunFold, run: BacktestState, event: InstrumentDelisted, source: Source, rows: Rows) -> None:
    _account_event(fold, event, rows, "delisting", event.symbol, price=event.price)


def _split_applied(fold: RunFold, run: BacktestState, event: SplitApplied, source: Source, rows: Rows) -> None:
    state = fold.position(event.position_id)
    positions.split(state, event)
    touch(state, rows.positions)
    rows.position_changes.append(state.change_row("split"))
    place = (event.symbol, event.position_id)
    _account_event(fold, event, rows, "split", *place, amount=event.cash, rate=event.ratio)


def _funding_paid(fold: RunFold, run: BacktestState, event: FundingPaid, source: Source, rows: Rows) -> None:
    _paid(fold, event, rows)
    place = (event.symbol, event.position_id)
    _account_event(fold, event, rows, "funding", *place, amount=event.amount, rate=event.rate, price=event.price)


def _borrow_paid(fold: RunFold, run: BacktestState, event: BorrowPaid, source: Source, rows: Rows) -> None:
    _paid(fold, event, rows)
    place = (event.symbol, event.position_id)
    _account_event(fold, event, rows, "borrow", *place, amount=-event.amount, rate=event.rate)


def _dividend_paid(fold: RunFold, run: BacktestState, event: DividendPaid, source: Source, rows: Rows) -> None:
    _paid(fold, event, rows)
    place = (event.symbol, event.position_id)
    _account_event(fold, event, rows, "dividend", *place, amount=event.amount, rate=event.per_share)


def _paid(fold: RunFold, event: FundingPaid | BorrowPaid | DividendPaid, rows: Rows) -> None:
    # A dividend may be paid after its position has ended: then it stands in account_events alone.
    state = fold.positions.get(event.position_id)
    if state is not None:
        positions.paid(state, event)
        touch(state, rows.positions)


def _margin_called(fold: RunFold, run: BacktestState, event: MarginCalled, source: Source, rows: Rows) -> None:
    _account_event(fold, event, rows, "margin_call", equity=event.equity, maintenance=event.maintenance)


def _account_event(
    fold: RunFold,
    event: AnyEvent,
    rows: Rows,
    kind: str,
    symbol: str | None = None,
    position_id: int | None = None,
    *,
    amount: float | None = None,
    rate: float | None = None,
    price: float | None = None,
    new_symbol: str | None = None,
    equity: float | None = None,
    maintenance: float | None = None,
) -> None:
    rows.account_events.append((
        fold.backtest_id, event.sequence, event.time_ns, kind, symbol, position_id, amount, rate, price, new_symbol, equity,
        maintenance,
    ))  # fmt: skip


def _equity_marked(fold: RunFold, run: BacktestState, event: EquityMarked, source: Source, rows: Rows) -> None:
    lengths = {name: len(getattr(event, name)) for name in MARK_COLUMNS}
    if len(set(lengths.values())) > 1:
        raise FoldError(f"the columns of EquityMarked differ in length: {lengths}")
    if not event.times_ns:
        return
    rows.equity += mark_rows(fold.backtest_id, run.last_mark + 1, event)
    run.last_mark += len(event.times_ns)
    run.equity = event.equity[-1]


_FOLDS: dict[type[Any], Callable[[RunFold, BacktestState, Any, Source, Rows], None]] = {
    BacktestAccepted: _accepted,
    BacktestImported: _imported,
    BacktestStarted: _started,
    BacktestProgressed: _progressed,
    BacktestCompleted: _completed,
    BacktestCancelled: _cancelled,
    BacktestFailed: _failed,
    OrderSubmitted: _order_submitted,
    OrderRejected: _order_rejected,
    OrderModified: _order_changed,
    OrderTriggered: _order_changed,
    OrderCancelled: _order_changed,
    OrderExpired: _order_changed,
    OrderFilled: _order_filled,
    PositionOpened: _position_opened,
    PositionChanged: _position_changed,
    PositionClosed: _position_closed,
    PositionMarked: _position_marked,
    FundingPaid: _funding_paid,
    BorrowPaid: _borrow_paid,
    DividendPaid: _dividend_paid,
    SplitApplied: _split_applied,
    SymbolChanged: _symbol_changed,
    InstrumentDelisted: _instrument_delisted,
    MarginCalled: _margin_called,
    EquityMarked: _equity_marked,
}
