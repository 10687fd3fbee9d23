"""This module holds a few runs that exercise most rules, for golden logs and determinism tests.

``python -m tests.unit.engine.recipes`` prints one line for each: its name and the digest of its last commit.
"""

from typing import Any

import numpy as np

from engine.registry import BUILTINS
from schemas.commit import EncodedCommit
from schemas.market_data import Bars, Market
from tests.unit.engine.factories import START_NS, make_bars, make_market, make_spec, run_commits

HOUR_NS = 3_600_000_000_000


def walk(count: int, symbol: str = "X", seed: int = 1, times: list[int] | None = None) -> Bars:
    """Return a walk on the tick 0.01 from a linear congruential generator: the same on every machine and numpy."""
    rows, level, state = [], 10_000, seed
    for _ in range(count):
        draws = []
        for _ in range(4):
            state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
            draws.append(state >> 33)
        opened = max(level + draws[0] % 41 - 20, 100)
        level = max(level + draws[1] % 201 - 100, 100)
        high = max(opened, level) + draws[2] % 60
        low = max(min(opened, level) - draws[3] % 60, 1)
        rows.append((opened / 100, high / 100, low / 100, level / 100, float(draws[0] % 5_000)))
    return make_bars(rows, symbol=symbol, step_ns=HOUR_NS, times=times, timeframe="1h")


def _gappy(count: int) -> Market:
    places = [place for place in range(count) if place % 7 not in (3, 4)]
    return make_market(walk(count), walk(len(places), "Y", 2, times=places))


RECIPES: dict[str, dict[str, Any]] = {
    "sma_cross": {"name": "sma_cross", "parameters": {"fast": 5, "slow": 20, "short": True}},
    "rsi_brackets": {
        "name": "rsi_reversion",
        "parameters": {"length": 7, "buy_below": 40.0, "stop_loss": 0.01, "take_profit": 0.02},
        "execution": {
            "commission": {"type": "rate", "rate": 0.0005, "minimum": 1.0},
            "slippage": {"type": "basis_points", "value": 3.0},
            "same_bar": "adaptive_path",
        },
    },
    "donchian_limited": {
        "name": "donchian_breakout",
        "parameters": {"entry": 12, "exit": 6},
        "execution": {"volume_limit": 0.05, "latency_bars": 2},
        "recording": {"orders": False, "equity_every": 50},
    },
    "two_symbols": {
        "name": "target_weights",
        "parameters": {"weights": {"X": 0.8, "Y": -0.6}, "every": 10},
        "account": {"leverage": 3.0, "maintenance_margin": 0.2},
        "execution": {"preset": "nautilus"},
        "statistics": {"period": "bar"},
        "market": "gappy",
    },
}


def market_of(recipe: str, count: int = 600) -> Market:
    return _gappy(count) if RECIPES[recipe].get("market") == "gappy" else make_market(walk(count))


def commits_of(recipe: str) -> list[EncodedCommit]:
    market = market_of(recipe)
    parts = {key: value for key, value in RECIPES[recipe].items() if key not in ("name", "parameters", "market")}
    spec = make_spec(market, RECIPES[recipe]["parameters"], RECIPES[recipe]["name"], **parts)
    return run_commits(market, spec, BUILTINS[RECIPES[recipe]["name"]])


def digests() -> dict[str, str]:
    return {recipe: commits_of(recipe)[-1].head.digest for recipe in RECIPES}


if __name__ == "__main__":
    assert np.int64(START_NS) == START_NS
    for name, digest in digests().items():
        print(name, digest)
