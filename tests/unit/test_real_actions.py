"""Splits of real shares in whole runs, from raw prices: the jumps of the prices are no gains and no losses."""

from pathlib import Path

import pandas as pd
import pytest

from backtape import Strategy, run

FOLDER = Path(__file__).parents[3] / "shared" / "data"
SPLITS = {
    "AAPL": [("2000-06-21", 0.5), ("2005-02-28", 0.5), ("2014-06-09", 1 / 7), ("2020-08-31", 0.25)],
    "AIG": [("2009-07-01", 20.0)],
}


class Hold(Strategy):
    """Buys 105 shares at the first bar, and holds them."""

    def on_bar(self) -> None:
        if self.step == 0:
            self.buy(105)


def bars_of(symbol: str) -> pd.DataFrame:
    file = FOLDER / f"{symbol}.1d.parquet"
    if not file.exists():
        pytest.skip(f"there is no {file.name} beside the repository")
    return pd.read_parquet(file)


def actions_of(symbol: str) -> pd.DataFrame:
    rows = [{"timestamp": day, "symbol": symbol, "action": "split", "value": ratio} for day, ratio in SPLITS[symbol]]
    return pd.DataFrame(rows).assign(timestamp=lambda frame: pd.to_datetime(frame["timestamp"], utc=True))


def held_over_splits(symbol: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    bars = bars_of(symbol)
    result = run(
        Hold, bars, symbol=symbol, actions=actions_of(symbol), instruments={symbol: {"lot": 1}}, cash=50_000,
        recording={"equity_every": 1},
    )  # fmt: skip
    return bars, result.equity, result.account_events


def test_apples_four_splits_make_no_gain() -> None:
    """105 * 2 * 2 * 7 * 4 = 11,760 shares in the end; no day of a split moves equity by more than 15 percent of the position."""
    bars, equity, events = held_over_splits("AAPL")
    assert events["kind"].tolist() == ["split"] * 4
    assert (events["amount"] == 0.0).all()
    final = 50_000 - 105 * float(bars["open"].iloc[1]) + 11_760 * float(bars["close"].iloc[-1])
    assert equity["equity"].iloc[-1] == pytest.approx(final, rel=1e-9)
    worth = equity["equity"] - equity["cash"]
    for time in events["time"]:
        assert worth.pct_change().loc[time] == pytest.approx(0.0, abs=0.15)


def test_aigs_reverse_split_pays_a_quarter_of_a_share() -> None:
    """105 / 20 = 5.25: five shares, and a quarter of one at twenty times the last close before."""
    bars, equity, events = held_over_splits("AIG")
    before = bars[bars["timestamp"] < pd.Timestamp("2009-07-01", tz="UTC")]
    [paid] = events["amount"].tolist()
    assert paid == pytest.approx(0.25 * 20.0 * float(before["close"].iloc[-1]))
    final = 50_000 - 105 * float(bars["open"].iloc[1]) + paid + 5 * float(bars["close"].iloc[-1])
    assert equity["equity"].iloc[-1] == pytest.approx(final, rel=1e-9)


def test_trades_of_every_kind_come_from_the_same_fills() -> None:
    """Bought twice, sold twice, with a split in between: what closes what differs, the sum does not."""

    class Around(Strategy):
        def on_bar(self) -> None:
            if self.step == 0:
                self.buy(10)
            if self.step == 2:
                self.buy(10)
            if self.step in (6, 7):
                self.sell(20)

    times = pd.date_range("2024-01-01", periods=9, freq="D", tz="UTC")
    price = [100.0, 100.0, 110.0, 120.0, 60.0, 61.0, 62.0, 63.0, 64.0]
    bars = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), price) | {"volume": 1e6}, index=times)
    actions = pd.DataFrame({"timestamp": [times[4]], "symbol": ["X"], "action": ["split"], "value": [0.5]})
    result = run(Around, bars, symbol="X", actions=actions, instruments={"X": {"lot": 1}})
    # 20 at 50 and 20 at 60 after the split; sold at 63 and at 64
    assert result.trades_by("fifo")[["entry_price", "exit_price", "gross_pnl"]].to_numpy().tolist() == [
        [50.0, 63.0, 260.0], [60.0, 64.0, 80.0],
    ]  # fmt: skip
    assert result.trades_by("lifo")["gross_pnl"].tolist() == [60.0, 280.0]
    assert result.trades_by("flat_to_flat")["gross_pnl"].tolist() == result.trades["gross_pnl"].tolist() == [340.0]
