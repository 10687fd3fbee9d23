"""This module lists what the demo submits: real markets, several strategies and policies, and input that is wrong on purpose."""

from dataclasses import dataclass, field
from typing import Any

from backtape.data.samples import EURUSD, STOCKS

LONG_DATASET = "generated-minutes"
LONG_BARS = 3_000_000
LONG_SEED = 7


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One submit. ``is_long``: cancelled while it runs. ``by_other_client``: sent by a client that hashes keys differently."""

    name: str
    spec: dict[str, Any] = field(hash=False)
    is_long: bool = False
    by_other_client: bool = False


def _spec(
    dataset: str, symbols: list[str], timeframe: str, strategy: str, parameters: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "data": {"dataset": dataset, "symbols": symbols, "timeframe": timeframe},
        "strategy": {"name": strategy, "parameters": parameters or {}},
        "tags": ["demo"],
        **more,
    }


RATE = {"type": "rate", "rate": 0.0005, "minimum": 1.0}
PER_UNIT = {"type": "rate", "per_unit": 0.005, "minimum": 1.0}

RUNS = (
    DemoRun(
        "long-minutes",
        _spec(LONG_DATASET, ["SIM"], "1m", "sma_cross", {"fast": 5, "slow": 15}),
        is_long=True,
    ),
    DemoRun("aapl-hold", _spec(STOCKS, ["AAPL"], "1d", "buy_and_hold")),
    DemoRun(
        "aapl-sma", _spec(STOCKS, ["AAPL"], "1d", "sma_cross", {"fast": 20, "slow": 100}, execution={"commission": PER_UNIT})
    ),
    DemoRun(
        "ibm-rsi",
        _spec(
            STOCKS,
            ["IBM"],
            "1d",
            "rsi_reversion",
            execution={"slippage": {"type": "basis_points", "value": 5.0}, "commission": RATE},
        ),
    ),
    DemoRun(
        "msft-donchian",
        _spec(STOCKS, ["MSFT"], "1d", "donchian_breakout", account={"cash": 50_000.0, "leverage": 2.0}),
        by_other_client=True,
    ),
    DemoRun(
        "goog-sma-close",
        _spec(STOCKS, ["GOOG"], "1d", "sma_cross", {"fast": 10, "slow": 30}, execution={"market_fill": "same_close"}),
    ),
    DemoRun(
        "four-stocks",
        _spec(
            STOCKS,
            ["AAPL", "IBM", "MSFT", "GOOG"],
            "1d",
            "target_weights",
            {"weights": {"AAPL": 0.3, "IBM": 0.2, "MSFT": 0.2, "GOOG": 0.3}},
            execution={"commission": RATE},
        ),
    ),
    DemoRun(
        "eurusd-sma",
        _spec(
            EURUSD,
            ["EURUSD"],
            "1h",
            "sma_cross",
            {"fast": 24, "slow": 120},
            execution={"slippage": {"type": "fixed", "amount": 0.00002}},
        ),
    ),
    DemoRun(
        "eurusd-rsi",
        _spec(
            EURUSD, ["EURUSD"], "1h", "rsi_reversion", statistics={"period": "bar"}, account={"cash": 20_000.0, "leverage": 10.0}
        ),
    ),
    DemoRun(
        "ibm-orders",
        _spec(
            STOCKS,
            ["IBM"],
            "1d",
            "order_list",
            {
                "orders": [
                    {"time": "2008-01-02", "side": "buy", "quantity": 100.0},
                    {"time": "2008-01-03", "side": "sell", "stop_price": 60.0, "quantity": 100.0},
                    {"time": "2009-03-02", "side": "buy", "limit_price": 70.0, "quantity": 200.0},
                    {"time": "2009-03-03", "side": "sell", "stop_price": 60.0, "limit_price": 59.0, "quantity": 200.0},
                ]
            },
        ),
    ),
)

INVALID = DemoRun("invalid-cash", {**RUNS[1].spec, "account": {"cash": -5.0}})
NOT_JSON = b'{"type": "SubmitBacktest", "spec": '
