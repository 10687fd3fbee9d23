"""Tests of the tables of corporate actions and rates: what is read, and what is refused by row and column."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adapters.market_data import StoredMarketData
from adapters.memory_blobs import MemoryBlobStore
from backtape.data import BadDataError, import_files
from backtape.data.columns import TimeRules
from backtape.data.side_tables import read_side
from schemas.actions import ActionKind, RateKind

UTC = TimeRules(timezone="UTC")
SPLIT = {"timestamp": "2020-08-31", "symbol": "AAPL", "action": "split", "value": 0.25, "new_symbol": None}
RATE = {"timestamp": "2024-01-02T08:00:00Z", "kind": "funding", "name": "AAPL", "rate": 0.0001}


def actions_of(*changes: dict[str, Any]) -> Any:
    frame = pd.DataFrame([SPLIT | change for change in changes])
    return read_side(frame, None, symbols={"AAPL", "FB"}, times=UTC).actions


def rates_of(*changes: dict[str, Any]) -> Any:
    return read_side(None, pd.DataFrame([RATE | change for change in changes]), symbols={"AAPL"}, times=UTC).rates


def test_actions_are_read_in_the_order_of_their_times() -> None:
    """Those of one time keep the order of the table."""
    found = actions_of(
        {"timestamp": "2022-06-09", "symbol": "FB", "action": "symbol_change", "value": None, "new_symbol": "META"},
        {},
        {"action": "dividend", "value": 0.82},
        {"timestamp": "2023-01-01", "action": "delisting", "value": None},
    )
    kinds = [ActionKind.SPLIT, ActionKind.DIVIDEND, ActionKind.SYMBOL_CHANGE, ActionKind.DELISTING]
    assert [action.kind for action in found] == kinds
    assert found[0].time_ns == pd.Timestamp("2020-08-31", tz="UTC").value
    assert (found[2].new_symbol, found[3].value) == ("META", None)


WRONG_ACTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "no time": ({"timestamp": "soon"}, "row 2, column timestamp: soon is no time"),
    "an unknown symbol": ({"symbol": "APPL"}, "row 2, column symbol: APPL is no symbol that has bars here"),
    "an unknown word": ({"action": "spilt"}, "row 2, column action: spilt must be one of split, dividend"),
    "no number": ({"value": "four"}, "row 2, column value: four must be a number"),
    "a split by nothing": ({"value": None}, "row 2, column value: nothing must be above 0 for a split"),
    "a negative split": ({"value": -4.0}, "row 2, column value: -4.0 must be above 0 for a split"),
    "no successor": ({"action": "symbol_change", "value": None}, "row 2, column new_symbol: nothing must be another symbol"),
    "a successor of a split": ({"new_symbol": "FB"}, "row 2, column new_symbol: FB must be empty for a split"),
    "the same twice": ({"timestamp": "2020-08-31"}, "row 2, column timestamp: 2020-08-31 holds a second split of AAPL"),
    "a negative price": ({"action": "delisting", "value": -1.0}, "row 2, column value: -1.0 must be empty or a price"),
}


@pytest.mark.parametrize(("change", "message"), WRONG_ACTIONS.values(), ids=WRONG_ACTIONS.keys())
def test_a_wrong_action_is_named_by_row_and_column(change: dict[str, Any], message: str) -> None:
    """The first row is right."""
    with pytest.raises(BadDataError) as caught:
        actions_of({}, {"timestamp": "2021-01-01", **change})
    assert message in str(caught.value)


def test_rates_become_a_series_for_each_kind_and_name() -> None:
    """Sorted by time, whatever the table's order."""
    found = rates_of(
        {},
        {"timestamp": "2024-01-02T00:00:00Z", "rate": -0.0002},
        {"kind": "conversion", "name": "EUR/USD", "rate": 1.1},
        {"kind": "borrow", "rate": 0.0},
    )
    assert [(series.kind, series.name) for series in found] == [
        (RateKind.BORROW, "AAPL"), (RateKind.CONVERSION, "EUR/USD"), (RateKind.FUNDING, "AAPL"),
    ]  # fmt: skip
    assert found[2].rate.tolist() == [-0.0002, 0.0001]


WRONG_RATES: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown word": ({"kind": "swap"}, "row 2, column kind: swap must be one of conversion, funding, borrow"),
    "no pair": ({"kind": "conversion", "name": "EURUSD"}, "row 2, column name: EURUSD must be a pair such as EUR/USD"),
    "an unknown symbol": ({"name": "BTC"}, "row 2, column name: BTC is no symbol that has bars here"),
    "no number": ({"rate": None}, "row 2, column rate: nothing must be a number"),
    "a worthless currency": ({"kind": "conversion", "name": "EUR/USD", "rate": 0.0}, "column rate: 0.0 must be above 0"),
    "a negative cost": ({"kind": "borrow", "rate": -0.1}, "column rate: -0.1 must be 0 or more for borrow"),
    "the same time": ({"timestamp": "2024-01-02T08:00:00Z"}, "column timestamp: 2024-01-02T08:00:00Z holds a second rate"),
}


@pytest.mark.parametrize(("change", "message"), WRONG_RATES.values(), ids=WRONG_RATES.keys())
def test_a_wrong_rate_is_named_by_row_and_column(change: dict[str, Any], message: str) -> None:
    """The first row is right."""
    with pytest.raises(BadDataError) as caught:
        rates_of({}, {"timestamp": "2024-01-03T00:00:00Z", **change})
    assert message in str(caught.value)


def test_a_table_with_wrong_columns_is_refused() -> None:
    """A column that is missing, and one that means nothing here."""
    frame = pd.DataFrame([SPLIT]).rename(columns={"action": "type"})
    with pytest.raises(BadDataError, match="column action: is missing") as caught:
        read_side(frame, None, symbols={"AAPL"}, times=UTC)
    assert "column type: is none of timestamp, symbol, action, value, new_symbol" in str(caught.value)


def test_files_become_part_of_a_version(tmp_path: Path) -> None:
    """They are stored by their digests, read back as they were, and make another version when they change."""
    dates = pd.date_range("2020-08-27", periods=3, freq="D", tz="UTC")
    bars = pd.DataFrame({"timestamp": dates, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0})
    bars.to_csv(tmp_path / "AAPL.1d.csv", index=False)
    pd.DataFrame([SPLIT]).to_csv(tmp_path / "actions.csv", index=False)
    pd.DataFrame([RATE]).to_csv(tmp_path / "rates.csv", index=False)
    store = MemoryBlobStore()
    paths = {"actions": tmp_path / "actions.csv", "rates": tmp_path / "rates.csv"}
    plain = import_files(store, [tmp_path / "AAPL.1d.csv"], dataset="d", timezone="UTC")
    both = import_files(store, [tmp_path / "AAPL.1d.csv"], dataset="d", timezone="UTC", **paths)
    again = import_files(store, [tmp_path / "AAPL.1d.csv"], dataset="d", timezone="UTC", **paths)
    assert (plain.manifest.version, both.manifest.version, again.is_new) == (1, 2, False)
    assert plain.manifest.digest() != both.manifest.digest()
    for _ in range(2):  # from the store, and from the local copy
        side = StoredMarketData(store, tmp_path / "cache").side(both.manifest)
        assert side.actions == actions_of({})
        assert [series.rate.tolist() for series in side.rates] == [[0.0001]]
    pd.DataFrame([SPLIT | {"value": "x"}]).to_csv(tmp_path / "actions.csv", index=False)
    with pytest.raises(BadDataError, match=r"actions\.csv is refused"):
        import_files(store, [tmp_path / "AAPL.1d.csv"], dataset="d", timezone="UTC", **paths)
