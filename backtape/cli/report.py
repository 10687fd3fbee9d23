"""This module finds the prices that a run of the log has traded on, for its report."""

from collections.abc import Sequence

from adapters.errors import AdapterError
from adapters.run_log import StoredCommit
from backtape.cli.output import say
from consumers.settings import Settings
from consumers.wiring import market_data
from schemas.events import BacktestAccepted, BacktestStarted
from schemas.market_data import Bars
from schemas.spec import parse_spec


def bars_of(settings: Settings, commits: Sequence[StoredCommit]) -> tuple[Bars, ...]:
    """Return the bars of the version that the run recorded; none, and a word about it, where they are out of reach."""
    events = [event for stored in commits[:2] for event in stored.commit.events]
    accepted = next((event for event in events if isinstance(event, BacktestAccepted)), None)
    started = next((event for event in events if isinstance(event, BacktestStarted)), None)
    if accepted is None or started is None:
        return ()  # it never saw a bar
    data = parse_spec(accepted.spec).data
    stored = market_data(settings)
    try:
        manifest = stored.resolve(data.dataset, started.dataset_version)
        return tuple(stored.bars(manifest, symbol, data.timeframe) for symbol in data.symbols)
    except AdapterError as error:
        say(f"without prices: {error}")
        return ()
