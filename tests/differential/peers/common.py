"""What the scripts of all engines share: their arguments, the bars, what they print. They run in the peers' environment."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

import rules


@dataclass
class Task:
    """One strategy on one data set. ``frame`` has columns timestamp, open, high, low, close, volume."""

    data: str
    strategy: str
    frame: pd.DataFrame
    columns: dict[str, Any]
    fills: list[tuple[int, int, float, float]] = field(default_factory=list)

    @property
    def quantity(self) -> float:
        return rules.QUANTITY[self.data]

    @property
    def tick(self) -> float:
        return rules.TICKS[self.data]

    @property
    def trail(self) -> float:
        return rules.trail(self.data)

    @property
    def times(self) -> np.ndarray:
        return self.frame["timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64)

    def fill(self, time_ns: int, side: int, quantity: float, price: float) -> None:
        self.fills.append((int(time_ns), side, float(quantity), float(price)))

    def report(self, engine: str, final_equity: float) -> None:
        """Print what came out as the last line."""
        print("\n" + json.dumps({"engine": engine, "fills": self.fills, "final_equity": float(final_equity)}))


def task() -> Task:
    """Read the arguments: file of bars, name of the data, strategy."""
    path, data, strategy = sys.argv[1:4]
    frame = pd.read_parquet(path)
    return Task(data, strategy, frame, rules.signals(strategy, frame["close"].to_numpy(), data))
