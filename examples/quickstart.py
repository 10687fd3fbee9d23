"""Run a strategy of your own on a pandas frame, look at the numbers, write a picture and a report. No servers are needed.

python examples/quickstart.py [folder for the output]
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from backtape import Strategy, crossed_above, crossed_below, run


class TrendWithStop(Strategy):
    """Buy when the fast average rises above the slow one; leave when it falls below, or by the stop."""

    class Parameters(Strategy.Parameters):
        fast: int = Field(default=10, ge=1)
        slow: int = Field(default=40, ge=2)
        stop: float = Field(default=0.05, gt=0, lt=1)  # distance of the stop loss, a fraction of the price

    def prepare(self, data):
        close = pd.Series(data.close)
        self.fast = self.indicator(close.rolling(self.parameters.fast).mean())
        self.slow = self.indicator(close.rolling(self.parameters.slow).mean())

    def on_bar(self):
        if crossed_above(self.fast, self.slow) and not self.position.is_open:
            self.buy(fraction=0.95, stop_loss=self.bars.close[-1] * (1 - self.parameters.stop))
        elif crossed_below(self.fast, self.slow):
            self.close()


def prices(days: int = 1_000) -> pd.DataFrame:
    """Return made-up daily bars. Use your own: a DatetimeIndex with a time zone, and open, high, low, close, volume."""
    chance = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(chance.normal(0.0004, 0.012, days)))
    opening = np.concatenate([[100.0], close[:-1]])
    reach = chance.uniform(0, 0.006, days)
    return pd.DataFrame(
        {
            "open": opening,
            "high": np.maximum(opening, close) * (1 + reach),
            "low": np.minimum(opening, close) * (1 - reach),
            "close": close,
            "volume": 10_000.0,
        },
        index=pd.date_range("2020-01-01", periods=days, freq="D", tz="UTC"),
    )


def main(folder: Path) -> None:
    result = run(
        TrendWithStop,
        prices(),
        symbol="DEMO",
        parameters={"fast": 15},
        cash=50_000,
        commission={"type": "rate", "rate": 0.0005},
        instruments={"DEMO": {"tick": 0.01, "lot": 1, "calendar": "always"}},
    )
    print(result.stats[["total_return", "cagr", "sharpe", "max_drawdown", "trades", "win_rate"]].to_string())
    print(result.trades[["opened_at", "closed_at", "quantity", "realized_pnl"]].tail().to_string(index=False))
    print("chain head", result.chain_head)
    result.plot(folder / "quickstart.png")
    print("report", result.report(folder / "quickstart.html"))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
