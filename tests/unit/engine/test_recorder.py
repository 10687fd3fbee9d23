"""Where commits end."""

from engine.strategy import Strategy
from schemas.commit import MAX_COMMIT_BYTES, decode_commit
from schemas.events import OrderFilled, PositionChanged, PositionClosed, PositionOpened
from tests.unit.engine.factories import flat, make_bars, make_market, make_spec, run_commits

ODD_TEXT = "\x01" * 64  # encoded as six bytes each


class Crowd(Strategy):
    """Trade every symbol at once, with the longest texts, and some that are not there."""

    def on_bar(self) -> None:
        for symbol in self.symbols:
            self.buy(1 / 3, symbol=symbol, tag=ODD_TEXT, oco=ODD_TEXT + "" if self.step % 2 else None, limit=1 / 3 + 100)
            self.sell(2 / 3, symbol=symbol)
            self.buy(1, symbol=ODD_TEXT)


def test_a_step_with_thousands_of_events_stays_in_small_commits() -> None:
    """Every commit is below the log's limit, and no fill is parted from its position."""
    bars = [make_bars(flat(100 / 3, 101 / 3, 102 / 3), symbol=f"{place:064d}") for place in range(400)]
    market = make_market(*bars, lot=1e-8, tick=0.0)
    commits = run_commits(market, make_spec(market), Crowd)
    assert len(commits) > 3
    for encoded in commits:
        assert len(encoded.body) < MAX_COMMIT_BYTES
        events = decode_commit(encoded.body).events
        assert not isinstance(events[0], PositionOpened | PositionChanged | PositionClosed)
        assert not isinstance(events[-1], OrderFilled)
