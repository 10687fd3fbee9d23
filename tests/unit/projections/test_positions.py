"""Tests of what is shown from positions: trades and histories."""

import pytest

from projections.backtests import BacktestState
from projections.fold import IN_PROCESS, RunFold, RunTables
from projections.rows import Rows
from schemas.commit import decode_commit
from schemas.events import PositionClosed, PositionOpened
from tests.golden.test_engine_logs import RECIPES, stored
from tests.unit.engine.factories import HEAD


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_trade_is_what_its_closing_event_says(recipe: str) -> None:
    """The view takes a trade from the position's row: for the engine's own logs that is the event, field by field."""
    bodies = stored(recipe)
    events = [event for body in bodies for event in decode_commit(body).events]
    said = [
        (
            event.position_id, event.sequence, event.symbol, event.side, event.quantity, event.opened_ns, event.time_ns,
            event.bars_held, event.average_price, event.average_close, event.commission, event.realized_pnl, event.gross_pnl,
            event.return_fraction, event.mae, event.mfe,
        )
        for event in events if isinstance(event, PositionClosed)
    ]  # fmt: skip
    begun = BacktestState("test", False, 100_000.0, "running", HEAD.number, HEAD.sequence, HEAD.digest)
    fold, rows = RunFold("test", begun), Rows()
    for body in bodies:
        fold.apply(decode_commit(body), body, IN_PROCESS, rows)
    tables = RunTables(rows)
    assert [row[1:17] for row in tables.rows("trades")] == said
    opened = [(event.sequence, event.position_id) for event in events if isinstance(event, PositionOpened)]
    assert [row[1:3] for row in tables.rows("position_history") if row[5] == "opened"] == opened
