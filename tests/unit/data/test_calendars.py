"""Imports pin sessions: a calendar of exchange_calendars is asked once, and what it says is part of the version."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adapters.folder import FolderBlobStore
from backtape import run
from backtape.data import BadDataError, import_frame, show_dataset
from backtape.data.calendars import session_table
from engine.registry import BUILTINS
from schemas.market_data import Instrument
from schemas.times import parse_time


def days(first: str, count: int) -> pd.DataFrame:
    times = pd.date_range(first, periods=count, freq="B", tz="UTC")
    return pd.DataFrame({"timestamp": times, "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.0, "volume": 5.0})


def test_new_yorks_sessions_have_holidays_early_closes_and_summer_time() -> None:
    """Thanksgiving 2023 is none, the day after closes at 13:00; in winter 9:30 is 14:30 UTC, in summer 13:30. 252 a year."""
    table = session_table("NYSE", parse_time("2023-06-01"), parse_time("2023-12-01"), "test")
    assert (table.name, table.sessions_per_year) == ("XNYS", 252)
    opens, closes = table.times()
    by_day = {str(pd.Timestamp(o).date()): (pd.Timestamp(o), pd.Timestamp(c)) for o, c in zip(opens, closes, strict=True)}
    assert "2023-11-23" not in by_day
    assert [str(time.time()) for time in by_day["2023-11-24"]] == ["14:30:00", "18:00:00"]
    assert [str(time.time()) for time in by_day["2023-07-05"]] == ["13:30:00", "20:00:00"]
    assert table.source.startswith("exchange_calendars 4.")


def test_the_packages_warnings_are_silent_and_all_others_are_heard() -> None:
    """Inside it what pandas 4 will remove; outside the same warning still counts, as an error in these tests."""
    session_table("XHKG", parse_time("2015-06-01"), parse_time("2016-12-01"), "test")
    with pytest.raises(pd.errors.Pandas4Warning):
        warnings.warn("removed in pandas 4", pd.errors.Pandas4Warning, stacklevel=1)


def test_a_version_holds_its_sessions_and_its_digest_covers_them(tmp_path: Path) -> None:
    """The same data with another calendar is another version, with another digest."""
    store = FolderBlobStore(tmp_path)
    made = [
        import_frame(
            store, days("2024-01-02", 30), dataset="d", symbol="X", timeframe="1d",
            instrument=Instrument(symbol="X", calendar=calendar),
        ).manifest
        for calendar in ("XNYS", "XLON", "XLON", "always")
    ]  # fmt: skip
    assert [manifest.version for manifest in made] == [1, 2, 2, 3]
    assert len({manifest.digest() for manifest in made}) == 3
    assert [table.name for table in show_dataset(store, "d", 2).calendars] == ["XLON"]
    assert made[3].calendars == []


def test_a_damaged_table_is_noticed(tmp_path: Path) -> None:
    """A manifest whose sessions can't be read is refused when it is read."""
    from adapters.errors import IntegrityError

    store = FolderBlobStore(tmp_path)
    instrument = Instrument(symbol="X", calendar="XNYS")
    import_frame(store, days("2024-01-02", 30), dataset="d", symbol="X", timeframe="1d", instrument=instrument)
    (path,) = tmp_path.rglob("00000001.json")
    document = json.loads(path.read_text())
    document["calendars"][0]["sessions"] = document["calendars"][0]["sessions"][:20]
    path.write_text(json.dumps(document))
    with pytest.raises(IntegrityError, match="sessions"):
        show_dataset(store, "d")


@pytest.mark.parametrize("calendar", ["XNOWHERE", "XBOM"])
def test_a_calendar_that_is_not_known_for_the_data_is_refused(tmp_path: Path, calendar: str) -> None:
    """A name of none, and one whose records begin in 1997, for data of 1970; the message lists the names."""
    instrument = Instrument(symbol="X", calendar=calendar)
    with pytest.raises(BadDataError, match=rf"column calendar: '{calendar}' can't be used .* XNYS"):
        import_frame(
            FolderBlobStore(tmp_path), days("1970-01-05", 30), dataset="d", symbol="X", timeframe="1d", instrument=instrument
        )


def test_a_run_never_asks_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once imported, a data set runs where the package can't even be loaded."""
    instrument = Instrument(symbol="X", calendar="XNYS")
    store = FolderBlobStore(tmp_path)
    import_frame(store, days("2024-01-02", 30), dataset="d", symbol="X", timeframe="1d", instrument=instrument)
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    spec = {"data": {"dataset": "d", "symbols": ["X"], "timeframe": "1d"}, "strategy": {"name": "buy_and_hold"}}
    assert run(spec, str(tmp_path)).stats["periods_per_year"] == 252


def test_a_run_on_a_frame_takes_a_calendar_by_name() -> None:
    """In process the package is asked when the frame is read; the sessions are part of the recorded digest."""
    frame = days("2024-01-02", 30).set_index("timestamp")
    digests = set()
    for calendar, per_year in (("XNYS", 252), ("XTKS", 245), ("always", 365)):
        result = run(BUILTINS["buy_and_hold"], frame, symbol="X", timeframe="1d", instruments={"X": {"calendar": calendar}})
        assert result.stats["periods_per_year"] == per_year
        digests.add(result.chain_head)
    assert len(digests) == 3


def test_bid_and_ask_are_imported_and_checked(tmp_path: Path) -> None:
    """Both columns make quotes; a wrong one is named by row and column; a lone one is not used; they read back."""
    from adapters.market_data import StoredMarketData

    store = FolderBlobStore(tmp_path / "store")
    frame = days("2024-01-02", 12).assign(Bid=9.9, Ask=10.1)
    imported = import_frame(store, frame, dataset="q", symbol="X", timeframe="1d")
    assert imported.manifest.files[0].quotes
    bars = StoredMarketData(store, tmp_path / "cache").bars(imported.manifest, "X", "1d")
    assert bars.bid is not None and bars.ask is not None
    assert np.array_equal(bars.bid, np.full(12, 9.9)) and np.array_equal(bars.ask, np.full(12, 10.1))
    assert np.array_equal(bars.close, np.full(12, 10.0))

    wrong = frame.copy()
    wrong.loc[3, "Bid"] = 10.2
    wrong.loc[5, "Ask"] = np.nan
    with pytest.raises(BadDataError) as refused:
        import_frame(store, wrong, dataset="q", symbol="X", timeframe="1d")
    assert "row 4, column Bid: 10.2 is above the row's ask" in str(refused.value)
    assert "row 6, column Ask: nan is not a number" in str(refused.value)
    mended = import_frame(store, wrong, dataset="q", symbol="X", timeframe="1d", repair=True)
    assert mended.manifest.files[0].rows == 10

    alone = import_frame(store, days("2024-01-02", 12).assign(bid=9.9), dataset="one", symbol="X", timeframe="1d")
    assert not alone.manifest.files[0].quotes
    assert alone.ignored == ("the frame of X: bid",)
