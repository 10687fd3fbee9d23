"""This module tells what an import takes, what it refuses and how it says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapters.market_data import StoredMarketData
from adapters.memory_blobs import MemoryBlobStore
from backtape.data import BadDataError, import_files, import_frame, list_datasets, show_dataset
from schemas.errors import FieldError
from schemas.market_data import Bars, Instrument
from schemas.times import format_time

Frame = pd.DataFrame


def make_frame(rows: int = 20, *, freq: str = "D", zone: str | None = "UTC") -> Frame:
    """Good bars: close 100, 101, …; open half below, high and low one away."""
    close = 100.0 + np.arange(rows)
    time = pd.date_range("2024-01-01", periods=rows, freq=freq, tz=zone)
    return pd.DataFrame(
        {"timestamp": time, "open": close - 0.5, "high": close + 1, "low": close - 1, "close": close, "volume": 10.0}
    )


def changed(column: str, row: int, value: object) -> Frame:
    frame = make_frame()
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    return frame


def bring_in(frame: Frame, **options: Any) -> tuple[Bars, tuple[str, ...]]:
    """Import a frame and return the stored bars, and what was repaired."""
    store = MemoryBlobStore()
    done = import_frame(store, frame, **({"dataset": "d", "symbol": "AAA", "timeframe": "1d"} | options))
    return read_back(store, done.manifest.files[0].timeframe), done.repairs


def read_back(store: MemoryBlobStore, timeframe: str) -> Bars:
    import tempfile

    with tempfile.TemporaryDirectory() as cache:
        data = StoredMarketData(store, Path(cache))
        return data.bars(data.resolve("d", None), "AAA", timeframe)


def refusal(frame: Frame, **options: Any) -> str:
    with pytest.raises(BadDataError) as caught:
        bring_in(frame, **options)
    return str(caught.value)


def test_good_bars_come_back() -> None:
    """Every value is stored as it was given."""
    bars, repairs = bring_in(make_frame())
    assert repairs == ()
    assert bars.close.tolist() == make_frame()["close"].tolist()
    assert format_time(int(bars.time_ns[0])) == "2024-01-01T00:00:00Z"


REFUSED = [
    ("close", 3, float("nan"), "row 4, column close: nan is not a number"),
    ("open", 3, None, "row 4, column open: nothing is not a number"),
    ("open", 3, "n/a", "row 4, column open: n/a is not a number"),
    ("high", 0, float("inf"), "row 1, column high: inf is infinite"),
    ("low", 5, 0.0, "row 6, column low: 0.0 is not above zero"),
    ("low", 5, -1.0, "row 6, column low: -1.0 is not above zero"),
    ("volume", 7, -5, "row 8, column volume: -5 is below zero"),
    ("volume", 7, float("nan"), "row 8, column volume: nan is not a number"),
    ("high", 2, 90.0, "row 3, column high: 90.0 is below the bar's low"),
    ("open", 2, 104.0, "row 3, column open: 104.0 is above the bar's high"),
    ("open", 2, 100.5, "row 3, column open: 100.5 is below the bar's low"),
    ("close", 2, 103.5, "row 3, column close: 103.5 is above the bar's high"),
    ("close", 2, 100.9, "row 3, column close: 100.9 is below the bar's low"),
]


@pytest.mark.parametrize("column, row, value, message", REFUSED, ids=[case[3] for case in REFUSED])
def test_a_bad_value_is_named_by_row_column_and_value(column: str, row: int, value: object, message: str) -> None:
    """Rows count from 1."""
    assert message in refusal(changed(column, row, value))


def test_all_problems_are_counted_and_the_first_shown() -> None:
    """Thirty bad rows: twenty are listed, in order, and the rest counted."""
    frame = make_frame(40)
    frame.loc[5:34, "volume"] = -1.0
    with pytest.raises(BadDataError) as caught:
        bring_in(frame)
    assert caught.value.count == 30
    assert [problem.row for problem in caught.value.problems] == list(range(6, 26))
    assert "and 10 more" in str(caught.value)


def test_unsorted_times_are_refused() -> None:
    """The row that goes back is named."""
    frame = make_frame()
    frame.loc[[4, 5], "timestamp"] = frame.loc[[5, 4], "timestamp"].to_numpy()
    assert "row 6, column timestamp: 2024-01-05 00:00:00+00:00 is earlier than a row before it" in refusal(frame)


def test_duplicate_times_are_refused() -> None:
    """The second of two equal times is named."""
    frame = make_frame()
    frame.loc[5, "timestamp"] = frame.loc[4, "timestamp"]
    assert "row 6, column timestamp: 2024-01-05 00:00:00+00:00 is there already" in refusal(frame)


def test_a_missing_time_is_refused() -> None:
    """No time is not a time."""
    assert "row 3, column timestamp: nothing is not a time" in refusal(changed("timestamp", 2, None))


def test_times_off_the_grid_are_refused() -> None:
    """One bar starts 30 s after the minute, where the others do not."""
    frame = make_frame(freq="min")
    frame.loc[4, "timestamp"] += pd.Timedelta("30s")
    assert "row 5, column timestamp: 2024-01-01 00:04:30+00:00 is off the grid of 1m" in refusal(frame, timeframe="1m")


def test_a_grid_may_begin_anywhere() -> None:
    """Hourly bars from 9:30 are as good as those from 9:00."""
    frame = make_frame(freq="h")
    frame["timestamp"] += pd.Timedelta("30min")
    assert len(bring_in(frame, timeframe="1h")[0]) == 20


@pytest.mark.parametrize("timeframe, freq", [("4h", "h"), ("1d", "h"), ("1w", "D")])
def test_bars_that_overlap_are_refused(timeframe: str, freq: str) -> None:
    """Bars closer together than they are long can't be of this timeframe."""
    assert f"is off the grid of {timeframe}" in refusal(make_frame(freq=freq), timeframe=timeframe)


def test_bars_of_a_longer_timeframe_are_refused() -> None:
    """5-minute bars lie on the grid of one minute, but none are one minute apart."""
    assert "no two rows are 1m apart, the closest are 300 s" in refusal(make_frame(freq="5min"), timeframe="1m")


def test_daily_bars_of_a_market_with_summer_time_are_on_the_grid() -> None:
    """Midnight in New York is 5:00 UTC in winter and 4:00 in summer."""
    bars, _ = bring_in(make_frame(200, zone="America/New_York"))
    assert {int(time) // 3_600_000_000_000 % 24 for time in bars.time_ns} == {4, 5}


def test_a_missing_column_is_named_with_what_is_there() -> None:
    """The message lists the table's columns, and what may have been meant."""
    message = refusal(make_frame().rename(columns={"timestamp": "Date"}).drop(columns="close"))
    assert "column close: is missing; the table has Date, open, high, low, volume" in message
    assert "columns={'timestamp': 'Date'}" in message


def test_columns_are_found_in_any_case_and_by_name() -> None:
    """Open, HIGH and Date with a word about it."""
    frame = make_frame().rename(columns={"timestamp": "Date", "open": "Open", "high": "HIGH", "close": "Adj Close"})
    bars, _ = bring_in(frame, columns={"timestamp": "Date", "close": "Adj Close"})
    assert len(bars) == 20


def test_two_columns_of_one_name_are_refused() -> None:
    """Which of Close and CLOSE is meant can't be said."""
    frame = make_frame().rename(columns={"close": "Close"})
    frame["CLOSE"] = 1.0
    assert "column close: there are 2 of this name" in refusal(frame)


def test_an_option_for_no_column_is_refused() -> None:
    """A misspelt name does not pass in silence."""
    assert "column closing: is none of timestamp, open" in refusal(make_frame(), columns={"closing": "Close"})


def test_an_index_of_times_is_the_timestamp() -> None:
    """The usual shape of a pandas frame works; row numbers still count from 1."""
    assert len(bring_in(make_frame().set_index("timestamp"))[0]) == 20
    assert len(bring_in(make_frame().set_index("timestamp").rename_axis(index=None))[0]) == 20
    frame = changed("close", 3, None).set_index("timestamp")
    assert "row 4, column close" in refusal(frame)


def test_rows_are_counted_in_order_whatever_the_index() -> None:
    """A part of a larger frame has other labels than 0, 1, 2 …"""
    frame = changed("close", 13, None).iloc[10:]
    assert "row 4, column close" in refusal(frame)


def test_no_rows_are_refused() -> None:
    """An empty table is no data set."""
    assert "there is no row" in refusal(make_frame(0))


# --- times -----------------------------------------------------------------------------------------------------


def test_times_without_a_zone_need_one() -> None:
    """Naive times are not taken for UTC in silence."""
    assert "row 1, column timestamp: 2024-01-01 00:00:00 names no time zone" in refusal(make_frame(zone=None))


def test_a_given_zone_is_used() -> None:
    """Midnight in New York is 5:00 UTC in January."""
    bars, _ = bring_in(make_frame(zone=None), timezone="America/New_York")
    assert format_time(int(bars.time_ns[0])) == "2024-01-01T05:00:00Z"


def test_a_zone_that_contradicts_the_data_is_refused() -> None:
    """The data says UTC, the user New York."""
    assert "has the time zone UTC, and America/New_York was given" in refusal(make_frame(), timezone="America/New_York")


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "../etc/passwd", ""])
def test_an_unknown_zone_is_refused(timezone: str) -> None:
    """The message repeats it."""
    assert "is no time zone" in refusal(make_frame(zone=None), timezone=timezone)


def test_times_that_the_clock_shows_twice_or_never_are_refused() -> None:
    """1:30 on 2024-11-03 is there twice in New York, 2:30 on 2024-03-10 never."""
    for text in ("2024-11-03 01:30", "2024-03-10 02:30"):
        frame = make_frame(1, zone=None)
        frame["timestamp"] = pd.to_datetime([text])
        assert "shown once by its zone's clock" in refusal(frame, timezone="America/New_York", timeframe="1h")


def test_texts_with_and_without_zones() -> None:
    """ISO 8601 with Z or an offset is read; one without is named, also between others."""
    frame = make_frame(3)
    frame["timestamp"] = ["2024-01-01T00:00:00Z", "2024-01-02T01:00:00+01:00", "2024-01-03"]
    assert "row 3, column timestamp: 2024-01-03 00:00:00 names no time zone" in refusal(frame)
    bars, _ = bring_in(frame, timezone="UTC")
    assert [format_time(int(time)) for time in bars.time_ns] == [f"2024-01-0{day}T00:00:00Z" for day in (1, 2, 3)]


def test_texts_in_another_format_need_it_said() -> None:
    """01.02.2024 may be January or February."""
    frame = make_frame(2)
    frame["timestamp"] = ["01.02.2024", "02.02.2024"]
    assert "01.02.2024 is not a time that can be used" in refusal(frame, timezone="UTC")
    bars, _ = bring_in(frame, timezone="UTC", time_format="%d.%m.%Y")
    assert format_time(int(bars.time_ns[0])) == "2024-02-01T00:00:00Z"


def test_numbers_need_a_unit() -> None:
    """1704067200 may be seconds; only the user knows."""
    frame = make_frame(2)
    frame["timestamp"] = [1_704_067_200, 1_704_153_600]
    assert "1704067200 is a number; give its unit" in refusal(frame)
    bars, _ = bring_in(frame, time_unit="s")
    assert format_time(int(bars.time_ns[0])) == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize("text", ["1969-12-31T00:00:00Z", "2262-01-01T00:00:00Z", "9999-01-01T00:00:00Z"])
def test_years_that_can_not_be_said_are_refused(text: str) -> None:
    """int64 nanoseconds since 1970 end in 2262."""
    frame = make_frame(1)
    frame["timestamp"] = [text]
    assert "1970 to 2261" in refusal(frame)


# --- repairs ---------------------------------------------------------------------------------------------------


def test_a_repair_lists_what_it_did() -> None:
    """One of everything; what is left follows the rules, and the manifest tells."""
    frame = make_frame(freq="min")
    frame.loc[1, "close"] = np.nan
    frame.loc[2, "open"] = -1.0
    frame.loc[3, "volume"] = -1.0
    frame.loc[4, "high"] = 50.0
    frame.loc[6, "timestamp"] = frame.loc[5, "timestamp"]
    frame.loc[7, "timestamp"] += pd.Timedelta("1s")
    frame.loc[[10, 11]] = frame.loc[[11, 10]].to_numpy()
    bars, repairs = bring_in(frame, timeframe="1m", repair=True)
    assert len(bars) == 20 - 4
    assert bars.high[2] == 104.0  # its close; open 103.5
    assert bars.volume[1] == 0.0
    told = "\n".join(repairs)
    for part in ("open being no finite", "close being no finite", "got volume 0", "got as high", "moved, to sort"):
        assert part in told
    for part in ("there already", "off the grid", "AAA 1m: 1 row", "row 2 (2024-01-01T00:01:00Z)"):
        assert part in told
    store = MemoryBlobStore()
    assert import_frame(store, frame, dataset="d", symbol="AAA", timeframe="1m", repair=True).manifest.repairs == list(repairs)


def test_a_repair_of_good_bars_does_nothing() -> None:
    """The bars stay, and the list is empty."""
    bars, repairs = bring_in(make_frame(), repair=True)
    assert repairs == () and len(bars) == 20


def test_a_repair_that_leaves_nothing_is_refused() -> None:
    """All prices are missing."""
    frame = make_frame()
    frame["close"] = np.nan
    assert "there is no row left" in refusal(frame, repair=True)


def test_a_repair_does_not_guess_a_zone() -> None:
    """What the user must say, he must still say."""
    assert "names no time zone" in refusal(make_frame(zone=None), repair=True)


# --- files and versions ----------------------------------------------------------------------------------------


def test_csv_and_parquet_give_the_same_version(tmp_path: Path) -> None:
    """The stored bytes follow from the bars, not from the file; symbol and timeframe come from the name."""
    make_frame().to_csv(tmp_path / "AAA.1d.csv", index=False)
    make_frame().to_csv(tmp_path / "AAA.1d.csv.gz", index=False)
    make_frame().to_parquet(tmp_path / "AAA.1d.parquet")
    store = MemoryBlobStore()
    done = [import_files(store, [tmp_path / f"AAA.1d.{end}"], dataset="d") for end in ("csv", "csv.gz", "parquet")]
    assert [each.is_new for each in done] == [True, False, False]
    assert {each.manifest.version for each in done} == {1}
    assert "AAA.1d.csv (SHA-256" in done[0].manifest.source


def test_files_of_several_symbols_are_one_version(tmp_path: Path) -> None:
    """One manifest, a file and an instrument each."""
    for symbol in ("AAA", "BBB"):
        make_frame().to_csv(tmp_path / f"{symbol}.csv", index=False)
    store = MemoryBlobStore()
    done = import_files(
        store,
        [tmp_path / "AAA.csv", tmp_path / "BBB.csv"],
        dataset="d",
        timeframe="1d",
        adjusted=True,
        instruments=[Instrument(symbol="BBB", tick=0.25, lot=1.0, multiplier=50.0)],
    )
    assert [file.symbol for file in done.manifest.files] == ["AAA", "BBB"]
    assert done.manifest.instrument("BBB").multiplier == 50.0
    assert done.manifest.adjusted
    assert [(each.dataset, each.versions, each.rows) for each in list_datasets(store)] == [("d", 1, 40)]
    assert show_dataset(store, "d") == show_dataset(store, "d", 1) == done.manifest


@pytest.mark.parametrize(
    "name, body",
    [("x.csv", b""), ("x.csv", b'"a\nb,c\n"d'), ("x.parquet", b"PAR1"), ("x.txt", b"a,b"), ("x.csv", b"\xff\xfe\x00")],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, name: str, body: bytes) -> None:
    """It is named."""
    (tmp_path / name).write_bytes(body)
    with pytest.raises(BadDataError, match=name):
        import_files(MemoryBlobStore(), [tmp_path / name], dataset="d", timeframe="1d")


def test_a_file_name_without_timeframe_needs_one(tmp_path: Path) -> None:
    """Nothing is guessed."""
    make_frame().to_csv(tmp_path / "AAA.csv", index=False)
    with pytest.raises(ValueError, match="names no timeframe"):
        import_files(MemoryBlobStore(), [tmp_path / "AAA.csv"], dataset="d")


def test_one_symbol_twice_is_refused(tmp_path: Path) -> None:
    """Two tables of one symbol in one timeframe are not merged in silence."""
    make_frame().to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(BadDataError, match="more than once"):
        import_files(MemoryBlobStore(), [tmp_path / "a.csv"] * 2, dataset="d", timeframe="1d", symbols=["AAA", "AAA"])


@pytest.mark.parametrize("options", [{"dataset": "../d"}, {"dataset": ""}, {"symbol": "A A"}, {"timeframe": "1x"}])
def test_a_bad_name_is_refused_before_anything_is_stored(options: dict[str, str]) -> None:
    """Data set, symbol and timeframe follow the words of the schemas."""
    store = MemoryBlobStore()
    with pytest.raises((FieldError, ValueError)):
        import_frame(store, make_frame(), **({"dataset": "d", "symbol": "AAA", "timeframe": "1d"} | options))
    assert list(store.list("")) == []


def test_a_damaged_file_in_the_store_is_replaced() -> None:
    """Importing again mends what lies there under the same digest."""
    store = MemoryBlobStore()
    manifest = import_frame(store, make_frame(), dataset="d", symbol="AAA", timeframe="1d").manifest
    store.put(manifest.files[0].key, b"damaged")
    assert not import_frame(store, make_frame(), dataset="d", symbol="AAA", timeframe="1d").is_new
    assert len(read_back(store, "1d")) == 20
