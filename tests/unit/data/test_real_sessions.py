"""On real prices: hours made into days by New York's sessions are the days that the vendor gives."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from adapters.data_sets import bars_of_table
from backtape.data.calendars import session_table
from engine.resample import by_time
from engine.sessions import session_of
from schemas.market_data import Bars

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data"


def bars_of(name: str) -> Bars:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no {name} beside the repository")
    symbol, timeframe, _ = name.split(".")
    return bars_of_table(pq.read_table(path), symbol=symbol, timeframe=timeframe)


def test_hours_of_23_years_make_the_vendors_days() -> None:
    """All 5,849 days, each in its session; more than 99 % of each column are equal to the last digit."""
    hours, days = bars_of("AAPL.1h.parquet"), bars_of("AAPL.1d.parquet")
    table = session_table("XNYS", int(hours.time_ns[0]), int(hours.time_ns[-1]), "test")
    made = by_time(hours, "1d", table).bars
    assert session_of(table, made.time_ns).tolist() == session_of(table, days.time_ns).tolist()
    for name in ("open", "high", "low", "close", "volume"):
        same = np.count_nonzero(getattr(made, name) == getattr(days, name))
        assert same > 0.99 * len(days), name
