"""Tests of the fold from commits to rows."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory_rows import MemoryRowStore
from consumers.projector.batch import table_write
from projections.errors import FoldError
from projections.fold import RunFold, RunTables, fold_run
from projections.restore import ORDER_COLUMNS, POSITION_COLUMNS, RUN_COLUMNS, restore_folds
from projections.rows import Rows
from projections.tables import RUN_TABLES, changing, key_of
from schemas.commit import ChainError, decode_commit
from schemas.events import (
    AnyEvent,
    BorrowPaid,
    DividendPaid,
    EquityMarked,
    FundingPaid,
    InstrumentDelisted,
    OrderFilled,
    OrderSubmitted,
    OrderType,
    PositionClosed,
    PositionMarked,
    PositionOpened,
    Side,
    SymbolChanged,
)
from tests.factories import FIRST_BAR_NS, Log, finished_log


def _folded(log: Log) -> dict[str, list[tuple[object, ...]]]:
    tables = fold_run(log.bodies, log.sources)
    return {table.name: _sql_rows(tables, table.name) for table in RUN_TABLES}


def _sql_rows(tables: RunTables, name: str) -> list[tuple[object, ...]]:
    """Return the rows in the order of their key, which a store reads them in."""
    keys = len(key_of(next(table for table in RUN_TABLES if table.name == name)))
    return sorted((tuple(row.values()) for row in tables.table(name, "sql").to_pylist()), key=lambda row: row[:keys])


async def _stored(store: MemoryRowStore, backtest_id: str) -> dict[str, list[tuple[object, ...]]]:
    return {
        table.name: await store.read(table.name, list(table.columns.keys()), where="backtest_id", values=[backtest_id])
        for table in RUN_TABLES
    }


async def _write(store: MemoryRowStore, rows: Rows) -> None:
    changes = rows.changes()
    await store.write([], [table_write(each) for each in changes])


async def _restored(store: MemoryRowStore, backtest_id: str) -> RunFold:
    ids = [backtest_id]
    runs = await store.read("backtests", RUN_COLUMNS, where="backtest_id", values=ids)
    orders = await store.read("orders", ORDER_COLUMNS, where="backtest_id", values=ids, only="is_open")
    positions = await store.read("positions", POSITION_COLUMNS, where="backtest_id", values=ids, only="is_open")
    return restore_folds(runs, orders, positions).get(backtest_id, RunFold(backtest_id))


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    end=st.sampled_from(["completed", "cancelled", "failed", "open"]),
    cuts=st.lists(st.integers(0, 12)),
    restarts=st.sets(st.integers(0, 12)),
)
async def test_any_split_and_any_restart_give_the_rows_of_one_fold(
    seed: int, end: str, cuts: list[int], restarts: set[int]
) -> None:
    """Batches of any size, the state kept or read back between them: the same rows as one fold over the whole log."""
    log = finished_log(seed=seed, end=end, steps=15)
    store = MemoryRowStore()
    fold, rows = RunFold(log.backtest_id), Rows()
    for number, (body, source) in enumerate(zip(log.bodies, log.sources, strict=True)):
        fold.apply(decode_commit(body), body, source, rows)
        if number in cuts or number in restarts:
            await _write(store, rows)
            rows = Rows()
        if number in restarts:
            fold = await _restored(store, log.backtest_id)
    await _write(store, rows)
    assert await _stored(store, log.backtest_id) == _folded(log)


def test_a_position_has_what_it_is_worth_and_what_it_was_paid() -> None:
    """Valued by marks, paid by funding, borrow and dividends, renamed with its open orders; a trade takes the sums over."""
    time: dict[str, Any] = {"time_ns": FIRST_BAR_NS}
    about: dict[str, Any] = {"symbol": "OLD", "position_id": 1}
    events: list[AnyEvent] = [
        OrderSubmitted(sequence=2, **time, order_id=1, symbol="OLD", side=Side.BUY, order_type=OrderType.LIMIT, quantity=5.0),
        PositionOpened(sequence=3, **time, **about, quantity=-10.0, average_price=20.0, commission=1.0, realized_pnl=-1.0),
        PositionMarked(sequence=4, **time, **about, price=25.0, unrealized_pnl=-50.0, mae=-60.0, mfe=5.0, bars_held=7),
        FundingPaid(sequence=5, **time, **about, rate=0.01, price=25.0, amount=2.5),
        FundingPaid(sequence=6, **time, **about, rate=-0.01, price=25.0, amount=-1.0),
        BorrowPaid(sequence=7, **time, **about, rate=0.02, amount=0.75),
        DividendPaid(sequence=8, **time, **about, per_share=0.5, amount=-5.0),
        SymbolChanged(sequence=9, **time, symbol="OLD", new_symbol="NEW"),
        InstrumentDelisted(sequence=10, **time, symbol="NEW", price=19.0),
        PositionClosed(
            sequence=11, **time, symbol="NEW", position_id=1, side=Side.SELL, quantity=10.0, average_price=20.0,
            average_close=19.0, commission=2.0, realized_pnl=8.0, gross_pnl=10.0, return_fraction=0.05,
            opened_ns=FIRST_BAR_NS, bars_held=9, mae=-60.0, mfe=10.0,
        ),
    ]  # fmt: skip
    log = finished_log(steps=0)
    fold, rows = RunFold(log.backtest_id), Rows()
    fold.apply(decode_commit(log.bodies[0]), log.bodies[0], log.sources[0], rows)
    for event in events[:-1]:
        fold.evolve(event, rows)
    position = fold.positions[1]
    # side * (25 / 20 - 1) = -0.25; 2.5 - 1 = 1.5
    assert (position.side, position.symbol, position.mark, position.unrealized_pnl) == ("short", "NEW", 25.0, -50.0)
    assert (position.return_fraction, position.mae, position.mfe, position.bars_held) == (-0.25, -60.0, 5.0, 7)
    assert (position.funding, position.borrow, position.dividends) == (1.5, 0.75, -5.0)
    assert fold.orders[1].symbol == "NEW"
    fold.evolve(events[-1], rows)
    tables = RunTables(rows)
    [row] = tables.table("positions").to_pylist()
    assert (row["is_open"], row["mark"], row["unrealized_pnl"], row["return_fraction"], row["bars_held"]) == (
        False, None, 0.0, 0.05, 9,
    )  # fmt: skip
    [trade] = tables.table("trades").to_pylist()
    assert (trade["funding"], trade["borrow"], trade["dividends"], trade["mfe"]) == (1.5, 0.75, -5.0, 10.0)
    account = [(each["kind"], each["position_id"], each["amount"]) for each in tables.table("account_events").to_pylist()]
    assert account == [
        ("funding", 1, 2.5), ("funding", 1, -1.0), ("borrow", 1, -0.75), ("dividend", 1, -5.0), ("symbol_change", None, None),
        ("delisting", None, None),
    ]  # fmt: skip
    assert [row["change"] for row in tables.table("position_history").to_pylist()] == ["opened", "renamed", "closed"]


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    end=st.sampled_from(["completed", "cancelled", "failed", "open"]),
    settled=st.sets(st.integers(0, 12)),
    cuts=st.sets(st.integers(0, 12)),
    holds_back=st.booleans(),
)
async def test_rows_that_are_packed_early_or_held_back_are_the_rows_of_one_fold(
    seed: int, end: str, settled: set[int], cuts: set[int], holds_back: bool
) -> None:
    """What is packed before its batch ends; what waits over batches for its last state, and is then written once."""
    log = finished_log(seed=seed, end=end, steps=15)
    store = MemoryRowStore()
    fold, rows = RunFold(log.backtest_id), Rows()
    kinds: set[str] = set()

    async def write(rows: Rows) -> None:
        changes = rows.changes()
        kinds.update(each.kind for each in changes)
        await store.write([], [table_write(each) for each in changes])

    for number, (body, source) in enumerate(zip(log.bodies, log.sources, strict=True)):
        fold.apply(decode_commit(body), body, source, rows)
        if number in settled:
            rows.settle()
        if number in cuts:
            held = rows.hold_back() if holds_back else Rows()
            await write(rows)
            rows = held
    await write(rows)
    assert await _stored(store, log.backtest_id) == _folded(log)
    assert not holds_back or kinds == {"insert"}


@pytest.mark.parametrize("seed", range(5))
def test_each_event_applied_twice_changes_nothing(seed: int) -> None:
    """Every event of a run folded twice in a row gives the same rows as once."""
    log = finished_log(seed=seed)
    once, twice = Rows(), Rows()
    fold_once, fold_twice = RunFold(log.backtest_id), RunFold(log.backtest_id)
    for event in log.events:
        fold_once.evolve(event, once)
        fold_twice.evolve(event, twice)
        fold_twice.evolve(event, twice)
    assert [(each.table.name, each.kind, each.rows) for each in twice.changes()] == [
        (each.table.name, each.kind, each.rows) for each in once.changes()
    ]


def test_each_commit_applied_twice_changes_nothing() -> None:
    """A commit that was folded before is dropped as a whole."""
    log = finished_log(seed=7)
    doubled = [body for body in log.bodies for _ in range(2)]
    sources = [source for source in log.sources for _ in range(2)]
    twice = fold_run(doubled, sources)
    assert {table.name: _sql_rows(twice, table.name) for table in RUN_TABLES} == _folded(log)


def test_a_gap_in_the_chain_is_refused() -> None:
    """A missing commit, and one with another parent, are not what follows."""
    log = finished_log(seed=1)
    with pytest.raises(ChainError, match="commit number 4 where 3 follows"):
        fold_run([*log.bodies[:2], *log.bodies[3:]])
    forged = log.bodies[2].replace(log.commits[1].head.digest.encode(), b"0" * 64)
    with pytest.raises(ChainError, match="names parent"):
        fold_run([*log.bodies[:2], forged])


def test_a_log_that_does_not_begin_with_its_acceptance_is_refused() -> None:
    """The first event makes the row of the run."""
    log = Log()
    log.start()
    with pytest.raises(FoldError, match="begins with BacktestAccepted"):
        fold_run(log.bodies)


def test_nothing_follows_the_end_of_a_run() -> None:
    """A commit after a terminal event contradicts it."""
    log = finished_log(seed=1, end="cancelled")
    log.fail()
    with pytest.raises(FoldError, match="after the end"):
        fold_run(log.bodies)


def test_a_fill_of_an_order_that_is_not_open_is_refused() -> None:
    """Where orders are recorded, each fill has its order."""
    log = Log().accept().start()
    log.append(_fill(log.next, order_id=9))
    with pytest.raises(FoldError, match="order 9 is not open"):
        fold_run(log.bodies)


def test_fills_need_no_orders_where_orders_are_not_recorded() -> None:
    """recording.orders = false: fills and positions only."""
    from tests.factories import spec

    log = Log(recorded=spec(recording={"orders": False})).accept().start()
    log.append(_fill(log.next, order_id=9))
    tables = fold_run(log.bodies)
    assert len(tables.rows("fills")) == 1
    assert tables.rows("orders") == []


def test_an_order_filled_in_two_parts_has_their_weighted_mean_price() -> None:
    """3 at 100 and 1 at 104: (300 + 104) / 4 = 101."""
    log = Log().accept().start()
    order = OrderSubmitted(
        sequence=log.next,
        time_ns=FIRST_BAR_NS,
        order_id=1,
        symbol="AAPL",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=4.0,
    )
    log.append(order, _fill(log.next + 1, quantity=3.0, price=100.0, leaves=1.0))
    log.append(_fill(log.next, fill_id=2, quantity=1.0, price=104.0, leaves=0.0))
    row = fold_run(log.bodies).table("orders").to_pylist()[0]
    assert (row["status"], row["is_open"], row["fills"], row["filled_quantity"]) == ("filled", False, 2, 4.0)
    assert (row["average_fill_price"], row["leaves_quantity"], row["commission"]) == (101.0, 0.0, 2.0)


def test_equity_marks_count_on_over_blocks() -> None:
    """A block is columns; each mark is a row with a running number."""
    log = Log().accept().start()
    for start in (0, 2):
        times = (FIRST_BAR_NS + start, FIRST_BAR_NS + start + 1)
        log.append(
            EquityMarked(
                sequence=log.next, time_ns=times[-1], times_ns=times, equity=(1.0, 2.0), cash=(0.0, 0.0), exposure=(0.0, 0.0),
                drawdown=(0.0, 0.0),
            )
        )  # fmt: skip
    assert [row[1:3] for row in fold_run(log.bodies).rows("equity")] == [(n + 1, FIRST_BAR_NS + n) for n in range(4)]


def test_every_event_has_its_place_in_the_fold() -> None:
    """A new event must be added to the fold: there is no silent default."""
    from projections.fold import _FOLDS
    from schemas.events import AnyEvent

    assert set(_FOLDS) == set(AnyEvent.__args__)


def test_columns_that_change_are_a_tables_last_ones() -> None:
    """Rows are built as key, what stays, what changes: in the order of the table's columns."""
    for table in RUN_TABLES:
        names = changing(table)
        assert list(table.columns.keys())[len(table.columns) - len(names) :] == list(names)


def test_full_form_has_nanoseconds_and_dictionaries() -> None:
    """Parquet and in-process results keep every digit of time; words are dictionary-encoded."""
    fills = fold_run(finished_log(seed=1).bodies).table("fills")
    assert str(fills.schema.field("time").type) == "timestamp[ns, tz=UTC]"
    assert str(fills.schema.field("symbol").type).startswith("dictionary<values=string")
    assert fills["time"].cast("int64")[0].as_py() % 1_000 == 789  # the factory's market times end in 789 ns


def _fill(
    sequence: int, *, fill_id: int = 1, order_id: int = 1, quantity: float = 1.0, price: float = 100.0, leaves: float = 0.0
) -> OrderFilled:
    return OrderFilled(
        sequence=sequence, time_ns=FIRST_BAR_NS, fill_id=fill_id, order_id=order_id, symbol="AAPL", side=Side.BUY,
        quantity=quantity, price=price, commission=1.0, leaves_quantity=leaves,
    )  # fmt: skip
