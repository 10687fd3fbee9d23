"""A replay gives the recorded cash at every equity mark, to the last bit, and the same state however it is reached."""

import pytest
from hypothesis import given

from engine.strategies.order_list import OrderList
from engine.timeline import started
from projections.replay import Book, replay
from schemas.canonical import document_digest
from schemas.commit import Author, Head, decode_commit, encode_commit
from schemas.events import BacktestAccepted, EquityMarked
from schemas.ids import BacktestId
from tests.property.test_accounting import MANY, random_run
from tests.unit.engine.factories import make_spec


def bodies_of(drawn: dict) -> list[bytes]:  # type: ignore[type-arg]
    """Return a whole log of a random run: accepted, started, simulated."""
    from engine.simulation import simulate

    spec = make_spec(drawn["market"], {"orders": drawn["orders"]}, account=drawn["account"], execution=drawn["execution"])
    recorded, backtest_id = spec.recorded(), BacktestId("test")
    digest = document_digest(recorded)
    accepted = encode_commit(
        backtest_id,
        Head.start(digest),
        Author.OWNER,
        [
            BacktestAccepted(
                sequence=1, time_ns=0, command_id="c", issued_at="2024-01-01T00:00:00Z", spec=recorded, spec_digest=digest,
                submitted_digest=digest,
            )
        ],
    )  # fmt: skip
    start = encode_commit(backtest_id, accepted.head, Author.OWNER, [started(spec, drawn["market"], 2)])
    rest = simulate(backtest_id, spec, start.head, drawn["market"], OrderList)
    return [accepted.body, start.body, *(commit.body for commit in rest)]


@MANY
@given(random_run())
def test_cash_at_every_mark_is_the_recorded_cash(drawn: dict) -> None:  # type: ignore[type-arg]
    """The fold of fills and commissions is the engine's cash, bit for bit; equity at a mark's time is the mark's."""
    bodies, book, seen, compared = bodies_of(drawn), Book(), 0, 0
    for body in bodies:
        commit = decode_commit(body)
        for event in commit.events:
            if isinstance(event, EquityMarked):
                seen += len(event.times_ns)
        book.take(commit, body)
        for mark, cash in book.marks:
            compared += 1
            assert cash == mark.cash
    assert compared == seen == len(drawn["market"].bars[0])
    (marks,) = [event for body in bodies for event in decode_commit(body).events if isinstance(event, EquityMarked)][-1:]
    for time_ns, equity, cash in list(zip(marks.times_ns, marks.equity, marks.cash, strict=True))[:: max(1, seen // 5)]:
        state = replay(bodies, time_ns=time_ns)
        assert state.cash == cash
        assert state.equity == (equity if state.positions else pytest.approx(cash))
    end = replay(bodies)
    assert end.status == "completed"
    assert not end.working_orders
