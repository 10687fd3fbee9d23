"""This module makes markets, specs and runs for the engine's tests; a test states only what matters to it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.simulation import simulate
from engine.strategies.order_list import OrderList
from engine.strategy import Strategy
from schemas.commit import EncodedCommit, Head, decode_commit, follow
from schemas.events import AnyEvent
from schemas.ids import BacktestId, Digest
from schemas.market_data import Bars, Instrument, Market
from schemas.spec import BacktestSpec, parse_spec

START_NS = 1_704_067_200_000_000_000  # 2024-01-01T00:00Z
MINUTE_NS = 60_000_000_000
HEAD = Head(number=2, sequence=2, digest=Digest("0" * 64))

Row = tuple[float, float, float, float] | tuple[float, float, float, float, float]


def make_bars(
    rows: Sequence[Row], *, symbol: str = "X", step_ns: int = MINUTE_NS, times: Sequence[int] | None = None, timeframe: str = "1m"
) -> Bars:
    """Return bars of (open, high, low, close[, volume]); ``times`` count steps from the start."""
    table = np.array([(*row, 1_000_000.0)[:5] for row in rows], dtype=np.float64)
    places = np.arange(len(rows)) if times is None else np.array(times)
    return Bars(
        symbol=symbol,
        timeframe=timeframe,
        time_ns=START_NS + places.astype(np.int64) * step_ns,
        **{name: np.ascontiguousarray(table[:, place]) for place, name in enumerate(("open", "high", "low", "close", "volume"))},
    )


def flat(*prices: float) -> list[Row]:
    """Return bars that do not move: open = high = low = close."""
    return [(price, price, price, price) for price in prices]


def make_market(*bars: Bars, **instrument: Any) -> Market:
    terms = {"tick": 0.01, "lot": 1.0} | instrument
    return Market(bars=bars, instruments=tuple(Instrument(symbol=each.symbol, **terms) for each in bars))


def make_spec(market: Market, parameters: dict[str, Any] | None = None, name: str = "order_list", **parts: Any) -> BacktestSpec:
    return parse_spec(
        {
            "data": {
                "dataset": "test",
                "symbols": [bars.symbol for bars in market.bars],
                "timeframe": market.bars[0].timeframe,
            },
            "strategy": {"name": name, "parameters": parameters or {}},
            "recording": {"equity_every": 1},
            **parts,
        }
    )


def run_commits(market: Market, spec: BacktestSpec, strategy: type[Strategy]) -> list[EncodedCommit]:
    return list(simulate(BacktestId("test"), spec, HEAD, market, strategy))


def events_of(commits: Sequence[EncodedCommit]) -> list[AnyEvent]:
    """Decode the commits, checking that they are a chain."""
    head, events = HEAD, []
    for encoded in commits:
        commit = decode_commit(encoded.body)
        head = follow(head, commit, encoded.body)
        assert head == encoded.head
        events += commit.events
    return events


def run(market: Market, strategy: type[Strategy], parameters: dict[str, Any] | None = None, **parts: Any) -> list[AnyEvent]:
    """Run a strategy and return its events."""
    return events_of(run_commits(market, make_spec(market, parameters, **parts), strategy))


def play(market: Market, orders: Sequence[dict[str, Any]], **parts: Any) -> list[AnyEvent]:
    """Play a list of orders and return the events."""
    return run(market, OrderList, {"orders": list(orders)}, **parts)


def of(events: Sequence[AnyEvent], *kinds: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kinds)]
