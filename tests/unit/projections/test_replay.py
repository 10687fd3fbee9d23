"""A run's state at any of its points, from its log alone."""

import random
from datetime import UTC, datetime

import pytest

from backtape import replay
from projections.fold import fold_run
from projections.replay import ReplayError, cash_of_fill
from projections.replay_state import document, point_of
from schemas.commit import ChainError, decode_commit
from schemas.errors import FieldError
from schemas.events import BorrowPaid, DividendPaid, EquityMarked, FundingPaid, OrderFilled, Side, SplitApplied
from schemas.times import format_time
from tests.factories import DAY_NS, FIRST_BAR_NS, Log, finished_log


@pytest.mark.parametrize("seed", range(5))
def test_every_sequence_can_be_reached_and_follows_from_the_events_before_it(seed: int) -> None:
    """Cash is a sum over the events up to there; orders and positions are those of the fold, cut anywhere."""
    log = finished_log(seed=seed)
    cash = float(log.spec["account"]["cash"])
    for event in log.events:
        match event:
            case OrderFilled():
                cash -= (1 if event.side is Side.BUY else -1) * event.quantity * event.price + event.commission
            case FundingPaid() | DividendPaid():
                cash += event.amount
            case BorrowPaid():
                cash -= event.amount
            case SplitApplied():
                cash += event.cash
            case _:
                pass
        state = replay(log.bodies, to=event.sequence)
        assert (state.sequence, state.cash) == (event.sequence, cash)
    end = replay(log.bodies)
    assert end == replay(log.bodies, to=log.events[-1].sequence)
    rows = fold_run(log.bodies).table("orders").to_pylist()
    assert [each.order_id for each in end.working_orders] == [row["order_id"] for row in rows if row["is_open"]]


def test_a_time_takes_in_all_that_happened_then_and_nothing_later() -> None:
    """The mark of that time is in, although its block was recorded later."""
    log = finished_log(seed=3)
    marks = [(each, event) for event in log.events if isinstance(event, EquityMarked) for each in event.times_ns]
    assert marks
    for time_ns, _ in marks:
        state = replay(log.bodies, to=datetime.fromtimestamp(time_ns // 10**9, UTC))
        assert state.mark is not None and state.mark.time_ns == time_ns
        last = max(event.sequence for event in log.events if event.time_ns <= time_ns and _up_to(log, event.sequence, time_ns))
        assert state.sequence == last


def _up_to(log: Log, sequence: int, time_ns: int) -> bool:
    return all(event.time_ns <= time_ns for event in log.events[:sequence])


def test_a_point_outside_the_log_is_refused() -> None:
    """Before the first event, after the last, and what is no point at all."""
    log = finished_log(seed=1)
    last = log.events[-1].sequence
    with pytest.raises(ReplayError, match=rf"sequence {last + 1} is after the log's last event, which has sequence {last}"):
        replay(log.bodies, to=last + 1)
    with pytest.raises(ReplayError, match="empty"):
        replay([])
    for wrong in (0, -3, "yesterday", True, "0", datetime(2024, 1, 1)):
        with pytest.raises(FieldError, match="to: "):
            replay(log.bodies, to=wrong)


def test_a_log_that_is_no_chain_is_not_replayed() -> None:
    log = finished_log(seed=1)
    with pytest.raises(ChainError, match="commit number 3 where 2 follows"):
        replay([log.bodies[0], *log.bodies[2:]])


def test_only_what_is_needed_is_read() -> None:
    """A long log costs no more than its beginning when the point lies there."""
    log, taken = finished_log(seed=2), []
    replay((taken.append(body) or body for body in log.bodies), to=3)
    assert len(taken) < len(log.bodies)
    assert decode_commit(taken[-1]).last_sequence >= 3


def test_what_a_fill_takes_from_cash() -> None:
    """10 sold at 99.5, multiplier 5, commission 1: 4,974 come in; evaluated from left to right."""
    sale = OrderFilled(
        sequence=1, time_ns=0, fill_id=1, order_id=1, symbol="X", side=Side.SELL, quantity=10.0, price=99.5, commission=1.0,
        leaves_quantity=0.0,
    )  # fmt: skip
    assert cash_of_fill(sale, 5.0) == -4_974.0  # -(10 * 5 * 99.5) + 1


def test_points_are_read_from_text() -> None:
    assert point_of("17") == (17, None)
    assert point_of("2020-01-02") == (None, FIRST_BAR_NS)
    assert point_of("2020-01-03T01:00:00+01:00") == (None, FIRST_BAR_NS + DAY_NS)
    assert point_of(None) == (None, None)


def test_as_json_times_are_text_and_names_have_no_unit() -> None:
    """Everything in it is plain JSON; what is unknown is null."""
    log = finished_log(seed=random.Random(1).randrange(100), end="open")
    made = document(replay(log.bodies))
    assert {"time", "equity", "working_orders", "positions", "mark"} <= made.keys()
    assert not any(name.endswith("_ns") for name in made)
    assert made["time"].endswith("Z")


def test_no_name_in_the_json_hides_another() -> None:
    """A price and its time have names of their own."""
    state = next(state for seed in range(40) if (state := replay(finished_log(seed=seed, end="open").bodies)).positions)
    made = document(state)
    assert len(made) == len(state.__struct_fields__)
    (position, *_), shown = state.positions, made["positions"][0]
    assert len(shown) == len(position.__struct_fields__)
    assert shown["last_price"] == position.last_price
    assert shown["opened_at"] == format_time(position.opened_ns)
